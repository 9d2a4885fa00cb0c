//! What must not be left in committed files.

use crate::tree::Tree;

/// Code that is unfinished, or tests that do not run. Compared without white space.
const UNFINISHED: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// What a test left out of its suite begins with, when it says how it is run all the same.
const LONG_FORM: &str = "#[ignore=\"alongform:./test";

/// Places that exist only where the project was written.
const WORKPLACE: &[&str] = &[
    concat!("..", "/shared"),
    concat!("/work", "/main"),
    concat!("/work", "/shared"),
    concat!("/tmp", "/brief"),
    concat!("/tmp", "/peersbuild"),
    concat!("/tmp", "/t-"),
];

/// Unfinished code, skipped tests and paths of the workplace.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for ((path, code), (_, text)) in tree.rust_code().zip(tree.rust()) {
        for (number, (code, text)) in code.lines().zip(text.lines()).enumerate() {
            let line = without_space(code);
            let allowed = without_space(text).starts_with(LONG_FORM);
            for word in UNFINISHED.iter().filter(|word| line.contains(**word) && !allowed) {
                problems.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    for (path, file) in &tree.files {
        for (number, line) in file.text.lines().enumerate() {
            for place in WORKPLACE.iter().filter(|place| line.contains(**place)) {
                problems.push(format!("{path}:{}: names {place}", number + 1));
            }
        }
    }
    problems
}

fn without_space(line: &str) -> String {
    line.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_files_pass() {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "// todo!() was here\nfn f() { g(\"dbg!(x)\") }\n/// ```ignore\nfn ignore() {}"),
            ("a/tests/t.rs", "#[test]\n#[ignore = \"a long form: ./test soak --long f\"]\nfn f() {}"),
            ("README.md", "Run `./test`. Working files go to /tmp/strongroom-test."),
        ]);
        assert_eq!(check(&tree), Vec::<String>::new());
    }

    #[test]
    fn mutants_are_caught() {
        for (path, text) in [
            ("a/src/lib.rs", "fn f() { todo!() }"),
            ("a/src/lib.rs", "fn f() { unimplemented!(\"later\") }"),
            ("a/src/lib.rs", "let x = dbg!(y);"),
            ("a/tests/t.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"),
            ("a/tests/t.rs", "#[ ignore ]"),
            ("README.md", concat!("see ..", "/shared/design.md")),
            ("test", concat!("cd /work", "/main")),
            ("tests/data/meta.json", concat!("{\"dir\": \"/tmp", "/t-audit\"}")),
        ] {
            assert_eq!(check(&Tree::of(&[(path, text)])).len(), 1, "{text}");
        }
    }
}
