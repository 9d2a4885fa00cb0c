//! `fee-cap`: no transaction pays a fee above this.
//!
//! Without it a compromised LND burns coins as fees to a miner who shares them: outputs all look fine, and the money is
//! gone. A wallet spend has a cap in satoshis. LND joins up to a hundred claims in one transaction, so a closing
//! transaction has a share of what it claims instead: most of what a channel holds comes home, whatever is bid for it. For
//! a bump of a commitment by its anchor that is what the commitment pays us. A claim that is worth less than its fee has the
//! wallet's cap. The peer's HTLC transactions spend the peer's money, and commitments have `commitment-fee`.

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

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let Some(fee) = fee_class::borne_by_us(policy, ask) else {
        let value = format!("outputs of transaction {} exceed its inputs", ask.txid);
        found.push(Violation::new(TAG, value, "a fee of zero or more"));
        return;
    };
    let Some(limits) = fee_class::limits(policy, ask, facts, fee) else {
        return;
    };
    if fee > limits.most {
        let mut value = format!("fee of {} for {}", Sat(fee), describe::kind(&ask.spend));
        if ask.claimed > bitcoin::Amount::ZERO {
            value += &format!(", which claims {}", Sat(ask.claimed));
        }
        found.push(Violation::new(TAG, value, format!("at most {}", Sat(limits.most))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Spend, SpendAsk, SweepOf};
    use crate::fixture::*;

    fn with_fee(kind: Spend, claimed: u64, fee: u64) -> Case {
        let ask = spend(kind, vec![to_us(10_000)]);
        case(Ask::Spend(SpendAsk { inputs: vec![input(40, 10_000 + fee)], claimed: sat(claimed), ..ask }))
    }

    fn closing() -> [Spend; 6] {
        [
            Spend::Sweep(SweepOf::Delayed),
            Spend::Sweep(SweepOf::CounterpartyHtlc),
            Spend::Sweep(SweepOf::Anchor),
            Spend::Justice,
            our_htlc(),
            mutual_close(0, false),
        ]
    }

    #[test]
    fn fees_above_the_cap_of_a_wallet_spend_are_refused() {
        for kind in [Spend::Onchain, Spend::Unknown { why: String::new() }] {
            // Whatever it claims to claim.
            assert!(violated(TAG, &cautious(), &with_fee(kind.clone(), 90_000_000, 200_001), &known()));
            assert!(!violated(TAG, &cautious(), &with_fee(kind, 0, 200_000), &known()));
        }
    }

    #[test]
    fn more_than_half_of_what_is_claimed_is_refused() {
        for kind in closing() {
            for claimed in [500_000, 3_000_000, 100_000_000] {
                let fee = |fee| with_fee(kind.clone(), claimed, fee);
                assert!(violated(TAG, &cautious(), &fee(claimed / 2 + 1), &known()), "{kind:?}");
                assert!(!violated(TAG, &cautious(), &fee(claimed / 2), &known()), "{kind:?}");
            }
        }
    }

    #[test]
    fn a_tiny_claim_pays_its_way_and_no_more() {
        for kind in closing() {
            for claimed in [0, 330, 400_000] {
                assert!(violated(TAG, &cautious(), &with_fee(kind.clone(), claimed, 200_001), &known()));
                assert!(!violated(TAG, &cautious(), &with_fee(kind.clone(), claimed, 200_000), &known()));
            }
        }
    }

    #[test]
    fn outputs_above_inputs_are_refused_in_any_kind() {
        for kind in [Spend::Onchain, theirs(1), peers_htlc(5), Spend::Justice] {
            let mut ask = spend(kind, vec![to_us(10_000)]);
            ask.inputs = vec![input(40, 9_999)];
            assert!(violated(TAG, &cautious(), &case(Ask::Spend(ask)), &known()));
        }
    }

    #[test]
    fn the_peers_htlc_pays_its_own_fee() {
        assert!(!violated(TAG, &cautious(), &with_fee(peers_htlc(5), 0, 3_000_000), &known()));
    }
}
