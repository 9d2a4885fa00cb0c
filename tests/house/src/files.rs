//! Files: short, well named, and scripts that run.

use crate::tests_of::Tests;
use crate::tree::Tree;

/// A source file has fewer lines than this.
const LINES: usize = 500;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "manager", "helper", "helpers", "misc", "shared", "types", "stuff"];

/// Scripts that a fresh clone is used with.
const SCRIPTS: &[&str] = &["demo", "test", ".ci/run"];

/// Files too long, names that say nothing, scripts missing or not executable.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    let tests = Tests::of(tree);
    for (path, text) in tree.rust() {
        let lines = text.lines().count();
        // Tables of cases may be long; what is linked into a program may not.
        if lines >= LINES && !tests.has(path) {
            problems.push(format!("{path}: {lines} lines; allowed: fewer than {LINES}"));
        }
        for part in path.trim_end_matches(".rs").split('/') {
            let empty = |word: &str| EMPTY_NAMES.contains(&word);
            if empty(part) || part.rsplit('_').next().is_some_and(empty) {
                problems.push(format!("{path}: {part} does not say what it is"));
            }
        }
    }
    for (path, file) in &tree.files {
        if file.text.starts_with("#!/") && !file.executable {
            problems.push(format!("{path}: begins with #! and is not executable"));
        }
    }
    for script in SCRIPTS {
        match tree.files.get(*script) {
            None => problems.push(format!("{script} is missing")),
            Some(file) if !file.executable => problems.push(format!("{script} is not executable")),
            Some(_) => {}
        }
    }
    problems.dedup();
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Tree {
        let mut tree = Tree::of(&[
            ("demo", "#!/bin/sh"),
            ("test", "#!/bin/sh"),
            (".ci/run", "#!/bin/sh"),
            ("tests/harness/stop.sh", "#!/bin/sh"),
            ("a/tests/long.rs", &"\n".repeat(LINES)),
            ("a/src/lib.rs", "#[cfg(test)]\nmod cases;"),
            ("a/src/cases.rs", &"\n".repeat(LINES)),
            ("a/src/short.rs", &"\n".repeat(LINES - 1)),
        ]);
        for path in ["demo", "test", ".ci/run", "tests/harness/stop.sh"] {
            tree.files.entry(path.to_owned()).or_default().executable = true;
        }
        tree
    }

    #[test]
    fn good_files_pass() {
        assert_eq!(check(&good()), Vec::<String>::new());
    }

    #[test]
    fn mutants_are_caught() {
        assert_eq!(check(&good().with("a/src/long.rs", &"\n".repeat(LINES))).len(), 1);
        assert_eq!(check(&good().with("a/src/utils.rs", "")).len(), 1);
        assert_eq!(check(&good().with("a/src/helpers/mod.rs", "")).len(), 1);
        assert_eq!(check(&good().with("a/src/session_manager.rs", "")).len(), 1);
        assert_eq!(check(&good().with("scripts/new", "#!/bin/bash\n")).len(), 1);
        let mut mutant = good();
        mutant.files.remove("demo");
        assert_eq!(check(&mutant), ["demo is missing"]);
        let mut mutant = good();
        mutant.files.entry("test".to_owned()).or_default().executable = false;
        assert_eq!(check(&mutant).len(), 2);
    }
}
