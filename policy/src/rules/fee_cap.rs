//! `fee-cap`: no transaction pays a fee above this.
//!
//! Without it a compromised LND burns coins as fees to a miner who shares them: outputs all look fine, and the money is
//! gone. Wallet spends and closing transactions have caps of their own, and wallet coins that bump a commitment by its
//! anchor have the latter; the peer's HTLC transactions spend the peer's money, and commitments have `commitment-fee`.

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
    let Some((class, limits)) = fee_class::limits(policy, ask) else {
        return;
    };
    let limit = limits.max_per_transaction_sat.amount();
    if fee > limit {
        let value = format!("fee of {} for {}", Sat(fee), describe::kind(&ask.spend));
        found.push(Violation::new(TAG, value, format!("at most {} ({class})", Sat(limit))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Spend;
    use crate::fixture::*;

    fn with_fee(kind: Spend, fee: u64) -> Case {
        let mut ask = spend(kind, vec![to_us(10_000)]);
        ask.inputs = vec![input(40, 10_000 + fee)];
        case(Ask::Spend(ask))
    }

    #[test]
    fn fees_above_the_cap_of_their_class_are_refused() {
        for (kind, cap) in [
            (Spend::Onchain, 200_000),
            (Spend::Unknown { why: String::new() }, 200_000),
            (Spend::Sweep(crate::SweepOf::Delayed), 1_000_000),
            (Spend::Justice, 1_000_000),
            (our_htlc(), 1_000_000),
            (mutual_close(0, false), 1_000_000),
        ] {
            assert!(violated(TAG, &cautious(), &with_fee(kind.clone(), cap + 1), &known()));
            assert!(!violated(TAG, &cautious(), &with_fee(kind, cap), &known()));
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
        assert!(!violated(TAG, &cautious(), &with_fee(peers_htlc(5), 3_000_000), &known()));
    }
}
