//! The house as it stands.

use std::path::Path;

use strongroom_house::{Tree, approved, arrows, documents, files, fuzz, leftovers, policy_list, rooms};

fn tree() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tree = Tree::read(&root).expect("the tree can be read");
    assert!(tree.files.len() > 50, "only {} files read from {}", tree.files.len(), root.display());
    tree
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}

#[test]
fn arrows_between_crates() {
    none(&arrows::check(&tree()));
}

#[test]
fn secrets_and_pkcs11_in_their_rooms() {
    none(&rooms::check(&tree()));
}

#[test]
fn approval_is_made_once_and_used_once() {
    none(&approved::check(&tree()));
}

#[test]
fn files_are_short_and_named() {
    none(&files::check(&tree()));
}

#[test]
fn fuzz_targets_are_built_of_what_ships() {
    none(&fuzz::check(&tree()));
}

#[test]
fn nothing_is_left_over() {
    none(&leftovers::check(&tree()));
}

#[test]
fn documents_know_the_house() {
    none(&documents::check(&tree()));
}

#[test]
fn policy_md_lists_the_rules() {
    let tags: Vec<&str> = strongroom_policy::rules::ALL.iter().map(|rule| rule.tag.0).collect();
    none(&policy_list::check(&tree(), &tags));
}
