//! `musig2`: MuSig2 only if the policy turns it on.
//!
//! Without it any key signs any 32 bytes: a MuSig2 request shows a bare digest, which may be the sighash of any
//! transaction, so no other rule can look at what is signed.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("musig2");

pub(super) const RULE: Rule =
    Rule { tag: TAG, summary: "MuSig2 is off unless turned on", protects_money: true, check };

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Musig2(ask) = &case.ask else { return };
    if !policy.file.musig2.enabled {
        let value = format!("a MuSig2 session with key {{{}}}", ask.key);
        found.push(Violation::new(TAG, value, "none while musig2.enabled is false"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Musig2Step;
    use crate::fixture::*;

    #[test]
    fn off_is_off_for_every_step() {
        let on = edited("musig2", "enabled", true);
        for step in [Musig2Step::Create, Musig2Step::Sign] {
            assert!(violated(TAG, &cautious(), &musig2(false, step), &known()));
            assert!(!violated(TAG, &on, &musig2(false, step), &known()));
        }
    }
}
