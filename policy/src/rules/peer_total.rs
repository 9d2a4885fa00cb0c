//! `peer-total`: the announced channels of one peer stay below this together.
//!
//! Without it one peer that colludes, or is broken into, holds as much of ours as all channels may: see
//! `channel-capacity`. It is judged when a channel's peer is first named, which is after the channel was funded; before,
//! `unnamed-total` counts it. The peer is LND's word.

use super::Rule;
use crate::case::{Ask, Case, MessageKind};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, plus};

/// The rule's name.
pub const TAG: Tag = Tag("peer-total");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "the announced channels of one peer together are limited",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Message(ask) = &case.ask else { return };
    let Some(Ok(announced)) = &facts.announced else { return };
    if !matches!(ask.kind, MessageKind::ChannelAnnouncement { .. }) || announced.named.is_some() {
        return;
    }
    let limit = policy.file.channels.max_per_peer_sat.amount();
    let before = announced.peer_total;
    if plus(before, announced.capacity) > limit {
        let value = format!("{} with {} after {}", Sat(announced.capacity), announced.peer, Sat(before));
        found.push(Violation::new(TAG, value, format!("at most {} with one peer", Sat(limit))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn one_channel_too_many_with_a_peer_is_not_announced() {
        let cap = edited("channels", "max_per_peer_sat", 10_000_000);
        let at = |before| {
            let mut facts = announcing(1, None, 4_000_000);
            if let Some(Ok(announced)) = &mut facts.announced {
                announced.peer_total = sat(before);
            }
            facts
        };
        assert!(violated(TAG, &cap, &announcement(), &at(6_000_001)));
        assert!(!violated(TAG, &cap, &announcement(), &at(6_000_000)));
    }

    #[test]
    fn what_was_announced_is_announced_again_under_a_smaller_cap() {
        let cap = edited("channels", "max_per_peer_sat", 0);
        assert!(violated(TAG, &cap, &announcement(), &announcing(1, None, 5)));
        assert!(!violated(TAG, &cap, &announcement(), &announcing(1, Some(1), 5)));
        assert!(!violated(TAG, &cap, &message(locator(6, 0), MessageKind::ChannelUpdate), &known()));
    }
}
