//! `channels-total`: all channels of a node together stay below this.
//!
//! Without it many channels of permitted size, opened to peers that collude, take the whole wallet: see
//! `channel-capacity`. The sum counts full capacities, whoever funded them, since what we earn in a peer's channel can
//! be rolled back too.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::leaving;
use crate::new_channel;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, plus};
use bitcoin::Amount;

/// The rule's name.
pub const TAG: Tag = Tag("channels-total");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "all channels of a node together are limited",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let limit = policy.file.channels.max_total_sat.amount();
    let funded = leaving::unmatched_fundings(policy, ask, facts)
        .map(|output| output.amount)
        .fold(Amount::ZERO, plus);
    let (before, added) = match new_channel::capacity(ask, facts) {
        // Its funding output is among the unmatched until this commitment matches it.
        Some(capacity) => (facts.channels_total, capacity),
        None if funded > Amount::ZERO && !facts.already_charged => {
            (plus(facts.channels_total, facts.unmatched_funding), funded)
        }
        None => return,
    };
    if plus(before, added) > limit {
        let value = format!("{} more after {}", Sat(added), Sat(before));
        found.push(Violation::new(
            TAG,
            value,
            format!("at most {} in all channels of a node", Sat(limit)),
        ));
    }
}
