//! `force-close-value`: tells when own commitments are signed for channels that hold more of ours than this in the rolling
//! window. An alarm as `force-close-window` is, for few channels that are large.

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
    summary: "tells of much that is ours in channels force-closed in the rolling window",
    protects_money: false,
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
    fn large_channels_at_once_are_told_of() {
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
