//! `commitment-fee`: a commitment's fee, with the HTLCs too small for an output, stays below this.
//!
//! Without it a compromised LND that funded the channel raises the feerate until its balance is all fee, or floods the
//! channel with dust HTLCs; either is lost to a miner at the next force close.

use super::Rule;
use crate::case::{Ask, Case, Spend};
use crate::describe;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("commitment-fee");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "a commitment burns no more than this in fee and trimmed HTLCs",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    if !matches!(
        ask.spend,
        Spend::CounterpartyCommitment { .. } | Spend::HolderCommitment { .. }
    ) {
        return;
    }
    let limit = policy.file.fees.commitment.max_per_transaction_sat.amount();
    if let Some(fee) = ask.fee()
        && fee > limit
    {
        let value = format!("fee of {} for {}", Sat(fee), describe::kind(&ask.spend));
        found.push(Violation::new(
            TAG,
            value,
            format!("at most {}", Sat(limit)),
        ));
    }
}
