//! `fee-window`: all fees of a node in the rolling window stay below this.
//!
//! Without it the caps per transaction are no limit: coins can be sent to ourselves all day long, burning a fee each
//! time. Closing transactions have a higher limit of the same sum, so that wallet spends cannot use up what claims with
//! a deadline need. Justice is exempt: with a watchtower it is prepared for every revoked state, and none confirms.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::fee_class;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, Span, less, plus};

/// The rule's name.
pub const TAG: Tag = Tag("fee-window");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "fees are limited over the rolling window",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    if facts.already_charged || !fee_class::counts(&ask.spend) {
        return;
    }
    let (Some(fee), Some((class, limits))) = (ask.fee(), fee_class::limits(policy, &ask.spend))
    else {
        return;
    };
    let before = less(facts.fees_in_window, facts.replaced_fee);
    let limit = limits.max_in_window_sat.amount();
    if fee > facts.replaced_fee && plus(before, fee) > limit {
        let value = format!("fee of {} after {}", Sat(fee), Sat(before));
        let limit = format!(
            "at most {} in {} ({class})",
            Sat(limit),
            Span(policy.window().seconds())
        );
        found.push(Violation::new(TAG, value, limit));
    }
}
