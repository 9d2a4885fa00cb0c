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

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "new channels are limited in size",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let limit = policy.file.channels.max_capacity_sat.amount();
    let mut judge = |capacity| {
        if capacity > limit {
            let value = format!("a channel of {}", Sat(capacity));
            found.push(Violation::new(
                TAG,
                value,
                format!("at most {} per channel", Sat(limit)),
            ));
        }
    };
    if let Some(capacity) = new_channel::capacity(ask, facts) {
        judge(capacity);
    }
    leaving::unmatched_fundings(policy, ask, facts).for_each(|output| judge(output.amount));
}
