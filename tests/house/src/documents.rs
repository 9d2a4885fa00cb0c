//! Documents that must know what exists.

use crate::manifest::members;
use crate::tree::Tree;

/// Documents that every fresh clone has.
const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "POLICY.md", "ATTACKS.md", "CHANGELOG.md"];

/// Missing documents, binaries that README.md does not name, rooms that ARCHITECTURE.md does not.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut problems: Vec<String> = DOCUMENTS
        .iter()
        .filter(|path| tree.text(path).trim().is_empty())
        .map(|path| format!("{path} is missing or empty"))
        .collect();
    let members = match members(tree) {
        Ok(members) => members,
        Err(problem) => return vec![problem],
    };
    for member in &members {
        for binary in &member.binaries {
            if !named(tree.text("README.md"), binary) {
                problems.push(format!("README.md does not name the binary `{binary}`"));
            }
        }
        let room = member.folder.split('/').next().unwrap_or_default();
        if !named(tree.text("ARCHITECTURE.md"), room) {
            problems.push(format!("ARCHITECTURE.md does not name the room `{room}`"));
        }
    }
    problems
}

/// Whether the document has the name as a word of its own; `strongroomd` does not name `strongroom`.
fn named(document: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    document.match_indices(name).any(|(at, _)| {
        !document[..at].chars().next_back().is_some_and(part)
            && !document[at + name.len()..].chars().next().is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Tree {
        Tree::of(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"operator\", \"tool\"]"),
            (
                "operator/Cargo.toml",
                "[package]\nname = \"strongroom-operator\"\n[[bin]]\nname = \"strongroom\"\npath = \"src/main.rs\"",
            ),
            ("operator/src/main.rs", "fn main() {}"),
            ("tool/Cargo.toml", "[package]\nname = \"softhsm-setup\""),
            ("tool/src/main.rs", "fn main() {}"),
            ("README.md", "`strongroom` asks; `softhsm-setup` makes a token"),
            ("ARCHITECTURE.md", "operator/ and tool/"),
            ("POLICY.md", "rules"),
            ("ATTACKS.md", "cases"),
            ("CHANGELOG.md", "changes"),
        ])
    }

    #[test]
    fn good_documents_pass() {
        assert_eq!(check(&good()), Vec::<String>::new());
    }

    #[test]
    fn mutants_are_caught() {
        let mutant = good().with("README.md", "`strongroomd` serves; `softhsm-setup` makes a token");
        assert_eq!(check(&mutant), ["README.md does not name the binary `strongroom`"]);
        assert_eq!(
            check(&good().with("README.md", "`strongroom`")),
            ["README.md does not name the binary `softhsm-setup`"]
        );
        assert_eq!(
            check(&good().with("ARCHITECTURE.md", "operator/")),
            ["ARCHITECTURE.md does not name the room `tool`"]
        );
        assert_eq!(check(&good().with("CHANGELOG.md", "\n")), ["CHANGELOG.md is missing or empty"]);
    }
}
