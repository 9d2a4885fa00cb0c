//! `channel-capacity`: no channel is larger than this.
//!
//! Without it one peer that colludes with a compromised LND takes everything that fits into one channel: LND keeps the
//! revocation secrets and obtains our signature on our own first commitment, so a channel's full value is at the
//! mercy of both. The cap is what such a theft costs at most, per channel.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::leaving;
use crate::new_channel;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("channel-capacity");

pub(super) const RULE: Rule =
    Rule { tag: TAG, summary: "new channels are limited in size", protects_money: true, check };

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let limit = policy.file.channels.max_capacity_sat.amount();
    let mut judge = |capacity| {
        if capacity > limit {
            let value = format!("a channel of {}", Sat(capacity));
            found.push(Violation::new(TAG, value, format!("at most {} per channel", Sat(limit))));
        }
    };
    if let Some(capacity) = new_channel::capacity(ask, facts) {
        judge(capacity);
    }
    leaving::unmatched_fundings(policy, ask, facts).for_each(|(_, output)| judge(output.amount));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn opening(kind: crate::Spend, capacity: u64) -> Case {
        spend_case(kind, vec![to_stranger(capacity - 1_000)])
    }

    #[test]
    fn channels_that_are_too_large_do_not_open() {
        let unseen = Facts::default();
        assert!(violated(TAG, &cautious(), &opening(theirs(0), 16_777_216), &unseen));
        assert!(!violated(TAG, &cautious(), &opening(theirs(0), 16_777_215), &unseen));
        // What ends a channel opens none.
        assert!(!violated(TAG, &cautious(), &opening(ours(0), 16_777_216), &unseen));
        // Of what the journal and the request say, the larger counts.
        let smaller = Facts { channel_capacity: Some(sat(1_000)), ..Facts::default() };
        assert!(violated(TAG, &cautious(), &opening(theirs(0), 16_777_216), &smaller));
        let recorded = Facts { channel_capacity: Some(sat(20_000_000)), ..Facts::default() };
        assert!(violated(TAG, &cautious(), &opening(theirs(0), 10_000), &recorded));
    }

    #[test]
    fn each_funding_output_is_judged() {
        let fundings = vec![to_funding(16_777_216), to_funding(16_777_215), to_funding(20_000_000)];
        assert_eq!(violations(TAG, &cautious(), &onchain(fundings), &known()), 2);
        let again = output(16_777_216, wsh(5), crate::Destination::OwnFunding(locator(0, 1)));
        assert!(violated(TAG, &cautious(), &onchain(vec![again]), &known()));
    }

    #[test]
    fn a_channel_that_is_open_goes_on_under_a_smaller_cap() {
        assert!(!violated(TAG, &cautious(), &opening(theirs(7), 50_000_000), &known()));
    }
}
