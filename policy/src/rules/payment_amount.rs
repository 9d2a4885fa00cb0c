//! `payment-amount`: an HTLC that nobody authorised and that forwards nothing is limited.
//!
//! Without it a compromised LND empties a channel with one payment.

use super::Rule;
use crate::case::Case;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::update::Cover;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("payment-amount");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "an HTLC of our own without authorisation is limited",
    protects_money: true,
    check,
};

fn check(policy: &Policy, _: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Some(update) = &facts.update else { return };
    let limit = policy.file.payments.max_unauthorized_htlc_sat.amount();
    for htlc in update.offered.iter().filter(|htlc| htlc.cover == Cover::Own && htlc.amount > limit) {
        let value = format!("HTLC of {} with hash160 {}", Sat(htlc.amount), htlc.payment_hash160);
        found.push(Violation::new(TAG, value, format!("at most {} without authorisation", Sat(limit))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn a_large_payment_needs_an_authorisation() {
        let policy = edited("payments", "max_unauthorized_htlc_sat", 1_000);
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        assert!(violated(TAG, &policy, &asked, &offering(1_001, Cover::Own)));
        assert!(!violated(TAG, &policy, &asked, &offering(1_000, Cover::Own)));
        assert!(!violated(TAG, &policy, &asked, &offering(1_001, Cover::Authorized)));
        assert!(!violated(TAG, &policy, &asked, &offering(1_001, forward(700_100, 0))));
    }
}
