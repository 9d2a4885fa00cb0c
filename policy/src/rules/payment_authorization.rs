//! `payment-authorization`: an HTLC we offer stays within what was authorised for its payment hash; where the policy
//! demands it, every payment of our own needs an authorisation.
//!
//! Without it a compromised LND pays whom it likes out of our channels, and pays an authorised payment twice: by another
//! channel, after a restart, or as an attempt that never comes back.

use super::Rule;
use crate::case::Case;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::update::Cover;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("payment-authorization");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "payments stay within their authorisation, and need one where the policy says so",
    protects_money: true,
    check,
};

fn check(policy: &Policy, _: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Some(update) = &facts.update else { return };
    for htlc in &update.offered {
        match &htlc.cover {
            Cover::Beyond { value, limit } => found.push(Violation::new(TAG, value.clone(), limit.clone())),
            Cover::Own if policy.file.payments.require_authorization => {
                let value = format!("HTLC of {} with hash160 {}", Sat(htlc.amount), htlc.payment_hash160);
                found.push(Violation::new(TAG, value, "an authorisation of its payment hash"));
            }
            Cover::Own | Cover::Authorized | Cover::Forward { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn more_than_was_authorised_is_refused_under_any_policy() {
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let beyond = Cover::Beyond { value: "6 sat".into(), limit: "5 sat".into() };
        assert!(violated(TAG, &cautious(), &asked, &offering(6, beyond)));
        assert!(!violated(TAG, &cautious(), &asked, &offering(5, Cover::Authorized)));
    }

    #[test]
    fn an_unknown_hash_is_refused_where_authorisation_is_required() {
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let strict = edited("payments", "require_authorization", true);
        assert!(violated(TAG, &strict, &asked, &offering(6, Cover::Own)));
        assert!(!violated(TAG, &strict, &asked, &offering(6, Cover::Authorized)));
        assert!(!violated(TAG, &strict, &asked, &offering(6, forward(700_100, 0))));
        assert!(!violated(TAG, &cautious(), &asked, &offering(6, Cover::Own)));
    }
}
