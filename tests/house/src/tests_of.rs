//! Which files are compiled for tests only.

use crate::code::is_word;
use crate::tree::Tree;

/// The test files of a tree.
pub struct Tests {
    modules: Vec<String>,
}

impl Tests {
    /// Finds them.
    pub fn of(tree: &Tree) -> Self {
        Self { modules: modules(tree) }
    }

    /// Whether the file is one: in a folder for tests, or a module under `#[cfg(test)]`.
    pub fn has(&self, path: &str) -> bool {
        path.split('/').any(|part| matches!(part, "tests" | "benches" | "examples" | "fuzz"))
            || self.modules.iter().any(|module| path.starts_with(module.as_str()))
    }
}

/// Beginnings of the paths of modules that are compiled for tests only: `a/src/fixture.rs` and `a/src/fixture/`.
fn modules(tree: &Tree) -> Vec<String> {
    let mut modules = Vec::new();
    for (path, code) in tree.rust_code() {
        let Some((folder, file)) = path.rsplit_once('/') else { continue };
        let folder = match file {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            file => format!("{folder}/{}", file.trim_end_matches(".rs")),
        };
        for item in code.split("#[cfg(test)]").skip(1) {
            let item = item.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let name = item.strip_prefix("mod ").and_then(|item| item.split_once(';')).map(|(name, _)| name);
            let Some(name) = name.filter(|name| name.chars().all(is_word)) else { continue };
            modules.extend([format!("{folder}/{name}.rs"), format!("{folder}/{name}/")]);
        }
    }
    modules
}
