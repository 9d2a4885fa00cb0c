//! `channels-total`: all channels of a node together stay below this.
//!
//! Without it many channels of permitted size, opened to peers that collude, take the whole wallet: see
//! `channel-capacity`. The sum counts full capacities, whoever funded them, since what we earn in a peer's channel can
//! be rolled back too.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::new_channel;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, plus};

/// The rule's name.
pub const TAG: Tag = Tag("channels-total");

pub(super) const RULE: Rule =
    Rule { tag: TAG, summary: "all channels of a node together are limited", protects_money: true, check };

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let limit = policy.file.channels.max_total_sat.amount();
    let Some((unmatched, added)) = new_channel::added(policy, ask, facts) else { return };
    let before = plus(facts.channels_total, unmatched);
    if plus(before, added) > limit {
        let value = format!("{} more after {}", Sat(added), Sat(before));
        found.push(Violation::new(TAG, value, format!("at most {} in all channels of a node", Sat(limit))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn full(channels: u64, unmatched: u64) -> Facts {
        Facts { channels_total: sat(channels), unmatched_funding: sat(unmatched), ..Facts::default() }
    }

    #[test]
    fn one_channel_too_many_does_not_open() {
        let opening = spend_case(theirs(0), vec![to_stranger(9_999_000)]);
        assert!(violated(TAG, &cautious(), &opening, &full(490_000_001, 0)));
        // Its own funding output is the unmatched one.
        assert!(!violated(TAG, &cautious(), &opening, &full(490_000_000, 10_000_000)));
    }

    #[test]
    fn one_funding_too_many_is_not_signed() {
        let funding = onchain(vec![to_funding(5_000_000), to_funding(5_000_000)]);
        assert!(violated(TAG, &cautious(), &funding, &full(480_000_000, 10_000_001)));
        assert!(!violated(TAG, &cautious(), &funding, &full(480_000_000, 10_000_000)));
        let again = Facts { already_charged: true, ..full(490_000_000, 10_000_000) };
        assert!(!violated(TAG, &cautious(), &funding, &again));
    }

    #[test]
    fn what_opens_nothing_passes_when_full() {
        for asked in [onchain(vec![to_us(5)]), spend_case(theirs(7), vec![to_us(5)])] {
            assert!(!violated(
                TAG,
                &cautious(),
                &asked,
                &Facts { channel_known: true, ..full(900_000_000, 0) }
            ));
        }
        let ending = spend_case(ours(0), vec![to_us(5)]);
        assert!(!violated(TAG, &cautious(), &ending, &full(900_000_000, 0)));
    }
}
