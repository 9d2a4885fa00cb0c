//! `outflow-window`: all transactions of a node together pay strangers no more than this in the rolling window.
//!
//! Without it the limit per transaction is no limit: a compromised LND sends as many transactions as it likes.

use super::Rule;
use crate::case::{Ask, Case};
use crate::describe;
use crate::facts::Facts;
use crate::leaving;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, Span, less, plus};

/// The rule's name.
pub const TAG: Tag = Tag("outflow-window");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "payments to strangers are limited over the rolling window",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let outflow = leaving::outflow(policy, ask, facts);
    if facts.already_charged || outflow <= facts.replaced_outflow {
        return;
    }
    let before = less(facts.outflow_in_window, facts.replaced_outflow);
    let limit = policy.file.outflow.max_in_window_sat.amount();
    if plus(before, outflow) > limit {
        let value = format!("{} {} after {}", Sat(outflow), describe::payees(policy, ask), Sat(before));
        let limit = format!("at most {} to strangers in {}", Sat(limit), Span(policy.window().seconds()));
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn spent(before: u64) -> Facts {
        Facts { outflow_in_window: sat(before), ..known() }
    }

    #[test]
    fn what_exceeds_the_window_is_refused() {
        let one = onchain(vec![to_stranger(1_000_000)]);
        assert!(violated(TAG, &cautious(), &one, &spent(4_000_001)));
        assert!(violated(TAG, &cautious(), &one, &spent(u64::MAX)));
        assert!(!violated(TAG, &cautious(), &one, &spent(4_000_000)));
    }

    #[test]
    fn an_approved_transaction_is_not_counted_twice() {
        let again = Facts { already_charged: true, ..spent(5_000_000) };
        assert!(!violated(TAG, &cautious(), &onchain(vec![to_stranger(1_000_000)]), &again));
    }

    #[test]
    fn a_replacement_counts_only_what_it_adds() {
        let replacing = Facts { replaced_outflow: sat(900_000), ..spent(4_900_000) };
        assert!(violated(TAG, &cautious(), &onchain(vec![to_stranger(1_000_001)]), &replacing));
        // Adding nothing passes, even where a lower limit came into force meanwhile.
        let over = Facts { replaced_outflow: sat(900_000), ..spent(9_000_000) };
        assert!(violated(TAG, &cautious(), &onchain(vec![to_stranger(900_001)]), &over));
        assert!(!violated(TAG, &cautious(), &onchain(vec![to_stranger(900_000)]), &over));
        assert!(!violated(TAG, &cautious(), &onchain(vec![to_stranger(1_000_000)]), &replacing));
    }

    #[test]
    fn a_full_window_stops_nothing_that_pays_no_stranger() {
        for kind in [onchain(vec![to_us(5)]), spend_case(theirs(3), vec![to_stranger(5)])] {
            assert!(!violated(TAG, &cautious(), &kind, &spent(9_000_000)));
        }
    }
}
