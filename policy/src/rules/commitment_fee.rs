//! `commitment-fee`: the fee of a commitment of the peer's, with the HTLCs too small for an output, stays below this.
//!
//! Without it a compromised LND that funded the channel raises the feerate until its balance is all fee, or floods the
//! channel with dust HTLCs; either is lost to a miner at the next force close. Our own commitment is signed whatever its
//! fee: a peer that funded the channel sets it, and must not keep us from closing.

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
    summary: "a commitment of the peer's burns no more than this in fee and trimmed HTLCs",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    if !matches!(ask.spend, Spend::CounterpartyCommitment { .. }) {
        return;
    }
    let limit = policy.file.fees.commitment.max_per_transaction_sat.amount();
    if let Some(fee) = ask.fee()
        && fee > limit
    {
        let value = format!("fee of {} for {}", Sat(fee), describe::kind(&ask.spend));
        found.push(Violation::new(TAG, value, format!("at most {}", Sat(limit))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn with_fee(kind: Spend, fee: u64) -> Case {
        let mut ask = spend(kind, vec![to_us(10_000)]);
        ask.inputs = vec![input(40, 10_000 + fee)];
        case(Ask::Spend(ask))
    }

    #[test]
    fn a_commitment_that_is_all_fee_is_refused() {
        assert!(violated(TAG, &cautious(), &with_fee(theirs(3), 1_000_001), &known()));
        assert!(!violated(TAG, &cautious(), &with_fee(theirs(3), 1_000_000), &known()));
        assert!(!violated(TAG, &cautious(), &with_fee(ours(3), 1_000_001), &known()), "the way out");
        assert!(
            !violated(TAG, &cautious(), &with_fee(Spend::Onchain, 1_000_001), &known()),
            "fee-cap has those"
        );
    }
}
