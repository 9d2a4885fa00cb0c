//! `unnamed-total`: channels whose peer no announcement has named stay below this together.
//!
//! Without it the limits on peers are passed by with channels that are never announced: LND says who the peer is in no
//! other request. New channels count here from their funding until they are announced.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::new_channel;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, plus};

/// The rule's name.
pub const TAG: Tag = Tag("unnamed-total");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "channels whose peer is not known are limited together",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let Some((unmatched, added)) = new_channel::added(policy, ask, facts) else { return };
    let (limit, before) =
        (policy.file.channels.max_unnamed_sat.amount(), plus(facts.unnamed_total, unmatched));
    if plus(before, added) > limit {
        let value = format!("{} more after {}", Sat(added), Sat(before));
        let limit = format!("at most {} in channels whose peer is not announced", Sat(limit));
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn unnamed(channels: u64, unmatched: u64) -> Facts {
        Facts { unnamed_total: sat(channels), unmatched_funding: sat(unmatched), ..Facts::default() }
    }

    #[test]
    fn one_unnamed_channel_too_many_does_not_open() {
        let opening = spend_case(theirs(0), vec![to_stranger(9_999_000)]);
        assert!(violated(TAG, &cautious(), &opening, &unnamed(90_000_001, 0)));
        // Its own funding output is the unmatched one.
        assert!(!violated(TAG, &cautious(), &opening, &unnamed(90_000_000, 10_000_000)));
        let funding = onchain(vec![to_funding(10_000_000)]);
        assert!(violated(TAG, &cautious(), &funding, &unnamed(80_000_000, 10_000_001)));
        assert!(!violated(TAG, &cautious(), &funding, &unnamed(80_000_000, 10_000_000)));
        let again = Facts { already_charged: true, ..unnamed(100_000_000, 10_000_000) };
        assert!(!violated(TAG, &cautious(), &funding, &again));
    }

    #[test]
    fn what_opens_nothing_passes_when_full() {
        for asked in [onchain(vec![to_us(5)]), spend_case(theirs(7), vec![to_us(5)])] {
            let full = Facts { channel_known: true, ..unnamed(900_000_000, 0) };
            assert!(!violated(TAG, &cautious(), &asked, &full));
        }
        let ending = spend_case(ours(0), vec![to_us(5)]);
        assert!(!violated(TAG, &cautious(), &ending, &unnamed(900_000_000, 0)));
    }
}
