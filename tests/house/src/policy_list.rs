//! POLICY.md, the rules' files and the code's list of rules name the same tags.

use std::collections::BTreeSet;

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
    problems.extend(
        coded
            .difference(&listed)
            .map(|tag| format!("POLICY.md has no heading ### `{tag}`")),
    );
    problems.extend(
        listed
            .difference(&coded)
            .map(|tag| format!("POLICY.md has a heading ### `{tag}`, the code no such rule")),
    );

    let mut filed = BTreeSet::new();
    for (path, text) in tree
        .rust()
        .filter(|(path, _)| path.starts_with(RULES) && !path.ends_with("/mod.rs"))
    {
        let here: Vec<&str> = coded
            .iter()
            .copied()
            .filter(|tag| text.contains(&format!("Tag(\"{tag}\")")))
            .collect();
        if here.len() != 1 {
            problems.push(format!(
                "{path}: {} tags of the code's list; a rule's file has one",
                here.len()
            ));
        }
        for tag in here {
            if !filed.insert(tag) {
                problems.push(format!("{path}: the tag {tag} is another file's too"));
            }
        }
    }
    problems.extend(
        coded
            .difference(&filed)
            .map(|tag| format!("no file in {RULES} has Tag(\"{tag}\")")),
    );
    problems
}

/// The tag of a line such as "### `fee-cap`".
fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("### `")?
        .split_once('`')
        .map(|(tag, _)| tag)
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
            (
                "POLICY.md",
                "# Rules\n## Fees\n### `fee-cap`\nMoney is lost by…\n### `sighash`\ntext `other`",
            ),
            ("policy/src/rules/mod.rs", "pub const ALL"),
            (
                "policy/src/rules/fee_cap.rs",
                "pub const TAG: Tag = Tag(\"fee-cap\");",
            ),
            (
                "policy/src/rules/sighash.rs",
                "pub const TAG: Tag = Tag(\"sighash\");",
            ),
        ])
    }

    #[test]
    fn equal_lists_pass() {
        assert_eq!(check(&good(), TAGS), Vec::<String>::new());
    }

    #[test]
    fn mutants_are_caught() {
        let policy = good().text("POLICY.md").to_owned();
        assert_eq!(
            check(
                &good().with("POLICY.md", &policy.replace("### `sighash`", "")),
                TAGS
            )
            .len(),
            1
        );
        assert_eq!(
            check(
                &good().with("POLICY.md", &format!("{policy}\n### `more`")),
                TAGS
            )
            .len(),
            1
        );
        assert_eq!(
            check(
                &good().with("POLICY.md", &format!("{policy}\n### `sighash`")),
                TAGS
            )
            .len(),
            1
        );
        assert_eq!(check(&good(), &["fee-cap"]).len(), 2);
        assert_eq!(check(&good(), &["fee-cap", "sighash", "sighash"]).len(), 1);
        assert!(!check(&Tree::default(), &[]).is_empty());
        assert_eq!(
            check(
                &good().with("policy/src/rules/new.rs", "fn rule() {}"),
                TAGS
            )
            .len(),
            1
        );
        assert_eq!(
            check(
                &good().with("policy/src/rules/new.rs", "Tag(\"sighash\")"),
                TAGS
            )
            .len(),
            1
        );
        assert_eq!(
            check(
                &good().with("policy/src/rules/sighash.rs", "Tag(\"sig-hash\")"),
                TAGS
            )
            .len(),
            2
        );
    }
}
