//! `outflow-per-transaction`: one transaction pays strangers no more than this.
//!
//! Without it a compromised LND sends the whole on-chain wallet to itself in a single transaction, or gives a channel
//! away as a push at its opening. Our own wallet within the lookahead and the allowlist are not strangers; channel
//! scripts are, since coins sent there by hand are out of LND's sight.

use super::Rule;
use crate::case::{Ask, Case};
use crate::describe;
use crate::facts::Facts;
use crate::leaving;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("outflow-per-transaction");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "payments to strangers are limited per transaction",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let outflow = leaving::outflow(policy, ask, facts);
    let limit = policy.file.outflow.max_per_transaction_sat.amount();
    if outflow > limit {
        let limit = format!("at most {} per transaction to strangers", Sat(limit));
        found.push(Violation::new(
            TAG,
            format!("{} {}", Sat(outflow), describe::payees(policy, ask)),
            limit,
        ));
    }
}
