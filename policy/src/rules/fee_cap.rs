//! `fee-cap`: no transaction pays a fee above this.
//!
//! Without it a compromised LND burns coins as fees to a miner who shares them: outputs all look fine, and the money is
//! gone. Wallet spends and closing transactions have caps of their own; the peer's HTLC transactions spend the peer's
//! money, and commitments have `commitment-fee`.

use super::Rule;
use crate::case::{Ask, Case};
use crate::describe;
use crate::facts::Facts;
use crate::fee_class;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("fee-cap");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "fees are limited per transaction, and outputs never exceed inputs",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let Some(fee) = ask.fee() else {
        let value = format!("outputs of transaction {} exceed its inputs", ask.txid);
        found.push(Violation::new(TAG, value, "a fee of zero or more"));
        return;
    };
    let Some((class, limits)) = fee_class::limits(policy, &ask.spend) else {
        return;
    };
    let limit = limits.max_per_transaction_sat.amount();
    if fee > limit {
        let value = format!("fee of {} for {}", Sat(fee), describe::kind(&ask.spend));
        found.push(Violation::new(
            TAG,
            value,
            format!("at most {} ({class})", Sat(limit)),
        ));
    }
}
