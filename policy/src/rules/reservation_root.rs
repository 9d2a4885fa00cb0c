//! `reservation-root`: a revocation root {5/i} answers for one own multisig key {0/j}, and that key for one root.
//!
//! Without it two channels share one revocation root: revealing a secret of one revokes states of the other, and the
//! peer takes the balance. And with foreign points the root's key answers ECDH for whatever its asker likes.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::key::KeyLocator;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("reservation-root");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "each revocation-root key answers exactly one own multisig key",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Ecdh(ask) = &case.ask else { return };
    if ask.key.family != KeyLocator::REVOCATION_ROOT {
        return;
    }
    let Some(multisig) = ask.with_own_multisig else {
        let value = format!("ECDH of {{{}}} with a point that is not ours", ask.key);
        found.push(Violation::new(TAG, value, "the public key of an own multisig key {0/j}"));
        return;
    };
    if let Some(before) = facts.root_answered_for
        && before != multisig
    {
        let value = format!("ECDH of {{{}}} with {{{multisig}}}", ask.key);
        found.push(Violation::new(TAG, value, format!("{{{before}}}, as before")));
    }
    if let Some(before) = facts.multisig_answered_by
        && before != ask.key
    {
        let value = format!("ECDH of {{{}}} with {{{multisig}}}", ask.key);
        found.push(Violation::new(
            TAG,
            value,
            format!("for {{{multisig}}} the root {{{before}}}, as before"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn root() -> KeyLocator {
        locator(5, 1)
    }

    #[test]
    fn foreign_points_and_second_answers_are_refused() {
        assert!(violated(TAG, &cautious(), &ecdh(root(), None), &known()));
        let asked = ecdh(root(), Some(locator(0, 4)));
        let elsewhere = Facts { root_answered_for: Some(locator(0, 3)), ..known() };
        assert!(violated(TAG, &cautious(), &asked, &elsewhere));
        let taken = Facts { multisig_answered_by: Some(locator(5, 9)), ..known() };
        assert!(violated(TAG, &cautious(), &asked, &taken));
    }

    #[test]
    fn the_first_answer_and_its_repeat_pass() {
        let asked = ecdh(root(), Some(locator(0, 4)));
        assert!(!violated(TAG, &cautious(), &asked, &known()));
        let again =
            Facts { root_answered_for: Some(locator(0, 4)), multisig_answered_by: Some(root()), ..known() };
        assert!(!violated(TAG, &cautious(), &asked, &again));
        assert!(!violated(TAG, &cautious(), &ecdh(locator(6, 0), None), &known()));
    }
}
