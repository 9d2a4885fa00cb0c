//! Deny cases first, an honest one beside each; together they keep [`TAGS`] true.

mod blocks;
mod closes;
mod commitments;
mod restart;
mod spends;
mod table;

use std::collections::BTreeSet;

use strongroom_policy::{Kind, Policy, Profile, Violation};

use super::*;
use crate::fixture::*;

/// The shipped limits.
fn limits() -> VlsLimits {
    let text = Profile::Cautious.render(strongroom_policy::Network::Regtest);
    Policy::from_toml(&text).unwrap().vls().clone()
}

fn node(number: u8) -> PublicKey {
    Seed::new(number).key(&lightning(6, 0))
}

fn vls() -> Vls {
    Vls::new(limits(), Network::Regtest, node(1))
}

fn tags(found: &[Violation]) -> BTreeSet<&str> {
    found.iter().map(|violation| violation.tag.as_str()).collect()
}

/// Each case is refused for the tag it names, and says what was given and what is allowed.
fn assert_denied(cases: &[(&'static str, Vec<Violation>)]) {
    for (number, (tag, found)) in cases.iter().enumerate() {
        let broken = found.iter().find(|violation| violation.tag == *tag);
        let broken = broken.unwrap_or_else(|| panic!("case {number}: {tag} is not in {found:?}"));
        assert!(!broken.value.is_empty() && !broken.limit.is_empty(), "{broken:?}");
    }
}

#[test]
fn it_moves_to_the_thread_that_owns_it() {
    fn sent<T: Send>(_: T) {}
    sent(vls());
}
