//! `force-close-value`: what we have in the channels whose own commitments are signed is limited in the rolling window.
//!
//! Without it a compromised LND ends the largest channels at once by commitments that it has already revoked, and the
//! peers take what we had in them. Honest force closes are rare and of few channels.

use super::Rule;
use crate::case::{Case, Spend};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, Span, plus};

/// The rule's name.
pub const TAG: Tag = Tag("force-close-value");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "our balance in channels that are force-closed is limited over the rolling window",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Some(Spend::HolderCommitment { channel, number }) = case.spend() else { return };
    let limit = policy.file.channels.max_force_close_value_in_window_sat.amount();
    let (ours, before) = (facts.channel_balance, facts.force_close_value_in_window);
    if *number > 0 && !facts.already_charged && plus(before, ours) > limit {
        let value = format!("{} of ours in {channel} after {} in other channels", Sat(ours), Sat(before));
        let limit = format!("at most {} in {}", Sat(limit), Span(policy.window().seconds()));
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn large_channels_are_not_all_ended_at_once() {
        let policy = edited("channels", "max_force_close_value_in_window_sat", 1_000);
        let facts = |ours, before| Facts {
            channel_balance: sat(ours),
            force_close_value_in_window: sat(before),
            ..known()
        };
        let close = spend_case(ours(8), vec![to_stranger(5)]);
        assert!(violated(TAG, &policy, &close, &facts(10, 991)));
        assert!(!violated(TAG, &policy, &close, &facts(10, 990)));
        assert!(!violated(TAG, &policy, &close, &Facts { already_charged: true, ..facts(10, 991) }));
        assert!(!violated(TAG, &policy, &spend_case(ours(0), vec![to_stranger(5)]), &facts(10, 991)));
        assert!(!violated(TAG, &policy, &spend_case(theirs(8), vec![to_stranger(5)]), &facts(10, 991)));
    }
}
