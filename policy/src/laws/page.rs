//! POLICY.md says of every rule what its refusal can cost an honest user.

use std::collections::BTreeMap;

use crate::rules;

const PAGE: &str = include_str!("../../../POLICY.md");
const HEADING: &str = "## What each rule's refusal can cost an honest user";

#[test]
fn the_page_says_what_each_rules_refusal_can_cost() {
    let (_, section) = PAGE.split_once(HEADING).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "four cells: {row}");
        let tag = cells[0].trim_matches('`');
        // Nothing to go on from is left only where nothing is lost.
        assert_eq!(cells[2] == "–", cells[1].starts_with("nothing: "), "{tag}: a loss has a way on");
        *rows.entry(tag).or_default() += 1;
    }
    for rule in &rules::ALL {
        assert_eq!(rows.remove(rule.tag.0), Some(1), "{}: rows of the table", rule.tag);
    }
    assert!(rows.is_empty(), "no rules: {rows:?}");
}
