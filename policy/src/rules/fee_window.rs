//! `fee-window`: all fees of a node in the rolling window stay below this.
//!
//! Without it the caps per transaction are no limit: coins can be sent to ourselves all day long, burning a fee each
//! time. Closing transactions have a window of their own, so that wallet spends cannot use up what claims with a deadline
//! need, nor claims what the wallet needs. Justice without wallet coins is exempt: with a watchtower it is prepared for every revoked state,
//! and none confirms.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::fee_class;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, Span};

/// The rule's name.
pub const TAG: Tag = Tag("fee-window");

pub(super) const RULE: Rule =
    Rule { tag: TAG, summary: "fees are limited over the rolling window", protects_money: true, check };

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let Some(fee) = fee_class::borne_by_us(policy, ask) else { return };
    let Some(limits) = fee_class::limits(policy, ask, facts, fee) else {
        return;
    };
    if !limits.has_room(ask, facts, fee) {
        let value = format!("fee of {} after {}", Sat(fee), Sat(limits.before(facts).0));
        let fee_class::Limits { table, window: limit, .. } = limits;
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
    fn neither_window_fills_the_other() {
        let sweep = |fee| with_fee(Spend::Sweep(crate::SweepOf::Delayed), fee);
        assert!(!violated(TAG, &cautious(), &sweep(500_000), &paid(u64::MAX)));
        let closed = |before: u64| Facts { closing_fees_in_window: sat(before), ..known() };
        assert!(!violated(TAG, &cautious(), &sweep(500_000), &closed(249_500_000)));
        assert!(violated(TAG, &cautious(), &sweep(500_000), &closed(249_500_001)));
        assert!(!violated(TAG, &cautious(), &with_fee(Spend::Onchain, 1_000), &closed(u64::MAX)));
    }

    #[test]
    fn what_finds_closings_window_full_may_have_the_wallets_room() {
        let full = |wallet: u64| Facts {
            fees_in_window: sat(wallet),
            closing_fees_in_window: sat(250_000_000),
            ..known()
        };
        let claim = |fee| {
            let mut asked = with_fee(Spend::Sweep(crate::SweepOf::Delayed), fee);
            let Ask::Spend(ask) = &mut asked.ask else { unreachable!("a spend") };
            ask.weight = bitcoin::Weight::from_wu(4_000);
            asked
        };
        assert!(!violated(TAG, &cautious(), &claim(200_000), &full(4_800_000)));
        assert!(violated(TAG, &cautious(), &claim(200_000), &full(4_800_001)));
        // Not above what a wallet spend may cost.
        assert!(violated(TAG, &cautious(), &claim(200_001), &full(0)));
    }

    #[test]
    fn repeats_replacements_and_justice_take_no_more() {
        let full = Facts { closing_fees_in_window: sat(251_000_000), ..paid(5_000_000) };
        let bump = with_fee(Spend::Sweep(crate::SweepOf::Delayed), 700);
        assert!(violated(TAG, &cautious(), &bump, &full));
        assert!(!violated(TAG, &cautious(), &bump, &Facts { already_charged: true, ..full.clone() }));
        assert!(!violated(
            TAG,
            &cautious(),
            &bump,
            &Facts { replaced_closing_fee: sat(700), ..full.clone() }
        ));
        assert!(violated(TAG, &cautious(), &bump, &Facts { replaced_closing_fee: sat(699), ..full.clone() }));
        assert!(!violated(TAG, &cautious(), &with_fee(Spend::Justice, 700), &full));
        assert!(!violated(TAG, &cautious(), &with_fee(theirs(9), 700), &full));
    }
}
