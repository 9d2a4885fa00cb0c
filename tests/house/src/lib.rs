//! Checks that hold the house's order. Each is a function over a [`Tree`] that answers what is wrong, so that its own
//! tests can show it a mutant that it must catch; `tests/house.rs` shows it the real tree.

pub mod approved;
pub mod arrows;
pub mod code;
pub mod documents;
pub mod files;
pub mod fuzz;
pub mod leftovers;
pub mod manifest;
pub mod policy_list;
pub mod rooms;
pub mod tests_of;
pub mod tree;

pub use tree::Tree;
