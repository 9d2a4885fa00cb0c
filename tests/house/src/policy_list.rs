//! POLICY.md, the rules' files and the code's list of rules name the same tags.

use std::collections::BTreeSet;

use crate::code::{code_of, lines_with};
use crate::tree::Tree;

const RULES: &str = "policy/src/rules/";

/// Tags that one side has and another has not, or that stand twice. `tags` is the code's own list.
pub fn check(tree: &Tree, tags: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    let coded = set(tags.iter().copied(), "the code's list", &mut problems);
    if coded.is_empty() {
        problems.push("the code's list of rules is empty".to_owned());
    }
    let headings = tree.text("POLICY.md").lines().filter_map(heading);
    let listed = set(headings, "POLICY.md", &mut problems);
    problems.extend(coded.difference(&listed).map(|tag| format!("POLICY.md has no heading ### `{tag}`")));
    problems.extend(
        listed
            .difference(&coded)
            .map(|tag| format!("POLICY.md has a heading ### `{tag}`, the code no such rule")),
    );

    let rooms = code_of(tree.text("policy/src/rules/mod.rs"));
    let mut filed = BTreeSet::new();
    for (path, code) in tree.rust().filter(|(path, _)| path.starts_with(RULES) && !path.ends_with("/mod.rs"))
    {
        let here: Vec<&str> =
            coded.iter().copied().filter(|tag| code.contains(&format!("Tag(\"{tag}\")"))).collect();
        // What `mod.rs` keeps private serves the rules; what it makes public is one.
        let name = path.trim_start_matches(RULES).trim_end_matches(".rs");
        if lines_with(&rooms, &format!("mod {name}")).is_empty() {
            problems.push(format!("{path}: mod.rs does not know it"));
        }
        let is_rule = !lines_with(&rooms, &format!("pub mod {name}")).is_empty();
        if here.len() != usize::from(is_rule) {
            problems.push(format!("{path}: {} tags of the code's list; a rule's file has one", here.len()));
        }
        for tag in here {
            if tag.replace('-', "_") != name {
                problems.push(format!("{path}: has the rule {tag}; the file is named after its rule"));
            }
            if !filed.insert(tag) {
                problems.push(format!("{path}: the tag {tag} is another file's too"));
            }
        }
    }
    for name in rooms.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        if !tree.files.contains_key(&format!("{RULES}{name}.rs")) {
            problems.push(format!("{RULES}mod.rs: no file of the public mod {name}"));
        }
    }
    problems.extend(coded.difference(&filed).map(|tag| format!("no file in {RULES} has Tag(\"{tag}\")")));
    problems
}

/// The tag of a line such as "### `fee-cap`".
fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("### `")?.split_once('`').map(|(tag, _)| tag)
}

fn set<'a>(
    tags: impl Iterator<Item = &'a str>,
    whose: &str,
    problems: &mut Vec<String>,
) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for tag in tags {
        if !seen.insert(tag) {
            problems.push(format!("{whose}: {tag} stands twice"));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGS: &[&str] = &["fee-cap", "sighash"];

    fn good() -> Tree {
        Tree::of(&[
            ("POLICY.md", "# Rules\n## Fees\n### `fee-cap`\nMoney is lost by…\n### `sighash`\ntext `other`"),
            ("policy/src/rules/mod.rs", "pub mod fee_cap;\npub mod sighash;\nmod describe;"),
            ("policy/src/rules/describe.rs", "fn kind() {}"),
            ("policy/src/rules/fee_cap.rs", "pub const TAG: Tag = Tag(\"fee-cap\");"),
            ("policy/src/rules/sighash.rs", "pub const TAG: Tag = Tag(\"sighash\");"),
        ])
    }

    #[test]
    fn equal_lists_pass() {
        assert_eq!(check(&good(), TAGS), Vec::<String>::new());
    }

    #[test]
    fn mutants_are_caught() {
        let policy = good().text("POLICY.md").to_owned();
        let rules = good().text("policy/src/rules/mod.rs").to_owned();
        for (path, text, problems) in [
            ("POLICY.md", policy.replace("### `sighash`", ""), 1),
            ("POLICY.md", format!("{policy}\n### `more`"), 1),
            ("POLICY.md", format!("{policy}\n### `sighash`"), 1),
            ("policy/src/rules/sighash.rs", "Tag(\"sig-hash\")".into(), 2),
            ("policy/src/rules/sighash.rs", "Tag(\"sighash\"); Tag(\"fee-cap\")".into(), 3),
            ("policy/src/rules/describe.rs", "Tag(\"sighash\")".into(), 3),
            ("policy/src/rules/new.rs", "fn rule() {}".into(), 1),
            ("policy/src/rules/mod.rs", format!("{rules}\npub mod new;"), 1),
            ("policy/src/rules/mod.rs", rules.replace("pub mod sighash;", "mod sighash;"), 1),
        ] {
            let found = check(&good().with(path, &text), TAGS);
            assert_eq!(found.len(), problems, "{path}: {text}: {found:?}");
        }
        assert_eq!(check(&good(), &["fee-cap"]).len(), 2);
        assert_eq!(check(&good(), &["fee-cap", "sighash", "sighash"]).len(), 1);
        assert!(!check(&Tree::default(), &[]).is_empty());
    }
}
