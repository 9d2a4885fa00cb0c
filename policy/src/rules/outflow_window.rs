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
use bitcoin::Amount;

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
    if facts.already_charged || outflow == Amount::ZERO {
        return;
    }
    let before = less(facts.outflow_in_window, facts.replaced_outflow);
    let limit = policy.file.outflow.max_in_window_sat.amount();
    if plus(before, outflow) > limit {
        let value = format!(
            "{} {} after {}",
            Sat(outflow),
            describe::payees(policy, ask),
            Sat(before)
        );
        let limit = format!(
            "at most {} to strangers in {}",
            Sat(limit),
            Span(policy.window().seconds())
        );
        found.push(Violation::new(TAG, value, limit));
    }
}
