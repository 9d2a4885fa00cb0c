//! The room of fuzz targets, which is a workspace of its own.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::tree::Tree;

/// Targets that are not built, crates in other versions than those that ship, a room that ARCHITECTURE.md does not name.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    let [manifest, shipped, fuzzed] = ["fuzz/Cargo.toml", "Cargo.lock", "fuzz/Cargo.lock"]
        .map(|path| tree.text(path).parse::<Table>().unwrap_or_default());
    let bins = manifest.get("bin").and_then(Value::as_array).into_iter().flatten();
    let built: BTreeSet<(&str, &str)> =
        bins.filter_map(|bin| Some((text(bin, "name")?, text(bin, "path")?))).collect();
    for path in tree.files.keys().filter_map(|path| path.strip_prefix("fuzz/")) {
        let target = path.strip_prefix("fuzz_targets/").and_then(|file| file.strip_suffix(".rs"));
        let Some(target) = target else { continue };
        if !built.contains(&(format!("fuzz-{target}").as_str(), path)) {
            problems.push(format!("fuzz/Cargo.toml: builds no fuzz-{target} of {path}"));
        }
    }
    if built.is_empty() {
        problems.push("fuzz/Cargo.toml: builds no target".to_owned());
    }
    let shipped = packages(&shipped);
    for (name, version) in packages(&fuzzed) {
        if name != "strongroom-fuzz" && !shipped.contains(&(name, version)) {
            problems.push(format!("fuzz/Cargo.lock: {name} {version} is not what Cargo.lock has"));
        }
    }
    if !tree.text("ARCHITECTURE.md").contains("`fuzz`") {
        problems.push("ARCHITECTURE.md does not name the room `fuzz`".to_owned());
    }
    problems
}

/// Names and versions in a lock file.
fn packages(lock: &Table) -> BTreeSet<(&str, &str)> {
    let packages = lock.get("package").and_then(Value::as_array).into_iter().flatten();
    packages.filter_map(|package| Some((text(package, "name")?, text(package, "version")?))).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Tree {
        let package =
            |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        let shipped = package("hex", "0.4.3") + &package("clap", "4.0.0");
        let fuzzed = package("hex", "0.4.3") + &package("strongroom-fuzz", "0.1.0");
        Tree::of(&[
            ("Cargo.lock", &shipped),
            ("fuzz/Cargo.lock", &fuzzed),
            ("fuzz/Cargo.toml", "[[bin]]\nname = \"fuzz-psbt\"\npath = \"fuzz_targets/psbt.rs\""),
            ("fuzz/fuzz_targets/psbt.rs", "#![no_main]"),
            ("ARCHITECTURE.md", "| `fuzz` | targets |"),
        ])
    }

    #[test]
    fn a_good_room_passes() {
        assert_eq!(check(&good()), Vec::<String>::new());
    }

    #[test]
    fn mutants_are_caught() {
        let newer = "[[package]]\nname = \"hex\"\nversion = \"0.5.0\"";
        for (path, text, problem) in [
            ("fuzz/Cargo.lock", newer, "fuzz/Cargo.lock: hex 0.5.0 is not what Cargo.lock has"),
            ("fuzz/fuzz_targets/uri.rs", "", "fuzz/Cargo.toml: builds no fuzz-uri of fuzz_targets/uri.rs"),
            ("ARCHITECTURE.md", "fuzzing", "ARCHITECTURE.md does not name the room `fuzz`"),
        ] {
            assert_eq!(check(&good().with(path, text)), [problem]);
        }
        assert_eq!(check(&good().with("fuzz/Cargo.toml", "[package]")).len(), 2);
    }
}
