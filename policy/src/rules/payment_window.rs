//! `payment-window`: payments that nobody authorised and that forward nothing are limited in the rolling window.
//!
//! Without it a compromised LND empties every channel with many payments that are each small enough. An HTLC counts when it
//! is offered and does not come back when it fails: nothing that LND shows proves that it did.

use super::Rule;
use crate::case::Case;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, Span, plus};
use bitcoin::Amount;

/// The rule's name.
pub const TAG: Tag = Tag("payment-window");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "payments of our own without authorisation are limited over the rolling window",
    protects_money: true,
    check,
};

fn check(policy: &Policy, _: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Some(update) = &facts.update else { return };
    let limit = policy.file.payments.max_unauthorized_in_window_sat.amount();
    let (new, before) = (update.unauthorized(), facts.unauthorized_in_window);
    if new > Amount::ZERO && plus(before, new) > limit {
        let value = format!("{} more after {}", Sat(new), Sat(before));
        let limit =
            format!("at most {} in {} without authorisation", Sat(limit), Span(policy.window().seconds()));
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::update::Cover;

    #[test]
    fn many_small_payments_are_limited_too() {
        let policy = edited("payments", "max_unauthorized_in_window_sat", 1_000);
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let after = |before, cover| Facts { unauthorized_in_window: sat(before), ..offering(10, cover) };
        assert!(violated(TAG, &policy, &asked, &after(991, Cover::Own)));
        assert!(violated(TAG, &policy, &asked, &after(u64::MAX, Cover::Own)));
        assert!(!violated(TAG, &policy, &asked, &after(990, Cover::Own)));
        assert!(!violated(TAG, &policy, &asked, &after(5_000, Cover::Authorized)));
        assert!(!violated(TAG, &policy, &asked, &after(5_000, forward(700_100, 0))));
    }
}
