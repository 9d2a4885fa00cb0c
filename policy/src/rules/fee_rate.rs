//! `fee-rate`: no transaction pays a feerate above this.
//!
//! Without it small transactions burn fees up to the absolute cap, again and again until the window is full. It protects
//! no money that `fee-cap` and `fee-window` do not bound, so it may be observed on any network.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::fee_class;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Grouped, Sat};

/// The rule's name.
pub const TAG: Tag = Tag("fee-rate");

pub(super) const RULE: Rule =
    Rule { tag: TAG, summary: "feerates are limited", protects_money: false, check };

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let Some(fee) = fee_class::borne_by_us(policy, ask) else { return };
    let Some(limits) = fee_class::limits(policy, ask, facts, fee) else {
        return;
    };
    if !limits.has_rate(ask, fee) {
        let value = format!("{} for {} vB", Sat(fee), Grouped(fee_class::vbytes(ask)));
        let fee_class::Limits { table, rate: limit, .. } = limits;
        found.push(Violation::new(TAG, value, format!("at most {} sat/vB ({table})", Grouped(limit))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Spend;
    use crate::fixture::*;

    fn at(kind: Spend, fee: u64, weight: u64) -> Case {
        let mut ask = spend(kind, vec![to_us(500_000)]);
        ask.inputs = vec![input(40, 500_000 + fee)];
        ask.claimed = sat(500_000);
        ask.weight = bitcoin::Weight::from_wu(weight);
        case(Ask::Spend(ask))
    }

    #[test]
    fn feerates_above_the_limit_are_refused() {
        // 600 wu are 150 vB.
        assert!(violated(TAG, &cautious(), &at(Spend::Onchain, 300 * 150 + 1, 600), &known()));
        assert!(!violated(TAG, &cautious(), &at(Spend::Onchain, 300 * 150, 600), &known()));
        assert!(violated(TAG, &cautious(), &at(Spend::Justice, 1_200 * 150 + 1, 600), &known()));
        assert!(!violated(TAG, &cautious(), &at(Spend::Justice, 1_200 * 150, 600), &known()));
        // Beyond its share a closing transaction is held as a wallet spend.
        assert!(violated(TAG, &cautious(), &at(Spend::Justice, 300_000, 3_600), &known()));
        // A part of a virtual byte is a whole one.
        assert!(!violated(TAG, &cautious(), &at(Spend::Onchain, 300 * 151, 601), &known()));
    }

    #[test]
    fn absurd_weights_do_not_overflow() {
        assert!(violated(TAG, &cautious(), &at(Spend::Onchain, 1, 0), &known()));
        assert!(!violated(TAG, &cautious(), &at(Spend::Onchain, 1, u64::MAX - 3), &known()));
    }
}
