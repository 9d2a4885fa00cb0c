//! `fee-window`: all fees of a node in the rolling window stay below this.
//!
//! Without it the caps per transaction are no limit: coins can be sent to ourselves all day long, burning a fee each
//! time. Closing transactions have a higher limit of the same sum, so that wallet spends cannot use up what claims with
//! a deadline need. Justice without wallet coins is exempt: with a watchtower it is prepared for every revoked state,
//! and none confirms.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::fee_class;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, Span, less, plus};

/// The rule's name.
pub const TAG: Tag = Tag("fee-window");

pub(super) const RULE: Rule =
    Rule { tag: TAG, summary: "fees are limited over the rolling window", protects_money: true, check };

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    if facts.already_charged || !fee_class::counts(ask) {
        return;
    }
    let Some(fee) = ask.fee() else { return };
    let Some(fee_class::Limits { table, window: limit, .. }) = fee_class::limits(policy, ask, fee) else {
        return;
    };
    let before = less(facts.fees_in_window, facts.replaced_fee);
    if fee > facts.replaced_fee && plus(before, fee) > limit {
        let value = format!("fee of {} after {}", Sat(fee), Sat(before));
        let limit = format!("at most {} in {} ({table})", Sat(limit), Span(policy.window().seconds()));
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Spend;
    use crate::fixture::*;

    fn with_fee(kind: Spend, fee: u64) -> Case {
        let mut ask = spend(kind, vec![to_us(10_000)]);
        ask.inputs[0].amount = sat(10_000 + fee);
        ask.claimed = sat(2 * fee);
        case(Ask::Spend(ask))
    }

    fn paid(before: u64) -> Facts {
        Facts { fees_in_window: sat(before), ..known() }
    }

    #[test]
    fn fees_beyond_the_window_are_refused() {
        assert!(violated(TAG, &cautious(), &with_fee(Spend::Onchain, 1_001), &paid(4_999_000)));
        assert!(!violated(TAG, &cautious(), &with_fee(Spend::Onchain, 1_000), &paid(4_999_000)));
        assert!(violated(TAG, &cautious(), &with_fee(Spend::Onchain, 1), &paid(u64::MAX)));
    }

    #[test]
    fn what_exceeds_its_share_of_a_claim_has_the_room_of_wallet_spends() {
        let mut ask = spend(our_htlc(), vec![to_us(10_000)]);
        ask.inputs[0].amount = sat(11_000);
        for (claimed, refused) in [(0, true), (1_999, true), (2_000, false)] {
            let case = case(Ask::Spend(crate::SpendAsk { claimed: sat(claimed), ..ask.clone() }));
            assert_eq!(violated(TAG, &cautious(), &case, &paid(5_000_000)), refused, "{claimed}");
        }
    }

    #[test]
    fn closing_has_room_when_the_wallet_has_none() {
        let sweep = || Spend::Sweep(crate::SweepOf::Delayed);
        assert!(!violated(TAG, &cautious(), &with_fee(sweep(), 500_000), &paid(5_000_000)));
        assert!(!violated(TAG, &cautious(), &with_fee(sweep(), 500_000), &paid(249_500_000)));
        assert!(violated(TAG, &cautious(), &with_fee(sweep(), 500_000), &paid(249_500_001)));
    }

    #[test]
    fn repeats_replacements_and_justice_take_no_more() {
        let full = paid(251_000_000);
        let bump = with_fee(Spend::Sweep(crate::SweepOf::Delayed), 700);
        assert!(violated(TAG, &cautious(), &bump, &full));
        assert!(!violated(TAG, &cautious(), &bump, &Facts { already_charged: true, ..full.clone() }));
        assert!(!violated(TAG, &cautious(), &bump, &Facts { replaced_fee: sat(700), ..full.clone() }));
        assert!(violated(TAG, &cautious(), &bump, &Facts { replaced_fee: sat(699), ..full.clone() }));
        assert!(!violated(TAG, &cautious(), &with_fee(Spend::Justice, 700), &full));
        assert!(!violated(TAG, &cautious(), &with_fee(theirs(9), 700), &full));
    }
}
