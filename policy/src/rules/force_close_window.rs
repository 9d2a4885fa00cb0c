//! `force-close-window`: tells when own commitments above number 0 are signed for more channels than this in the rolling
//! window. An alarm: it never refuses.
//!
//! A compromised LND that collects own commitments of all channels holds a bearer instrument for each, which it can publish
//! after revoking it. It holds one anyway: our commitment 0 of each channel was signed when the channel opened. So a refusal
//! would save nothing that the caps on channels do not bound, and would keep an honest node with many channels from
//! closing in time. People should know of it all the same.

use super::Rule;
use crate::case::{Ask, Case, Spend};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Span;

/// The rule's name.
pub const TAG: Tag = Tag("force-close-window");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "tells of many channels that are force-closed in the rolling window",
    protects_money: false,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let Spend::HolderCommitment { channel, number } = &ask.spend else {
        return;
    };
    let limit = policy.file.channels.max_force_closes_in_window;
    if *number > 0 && !facts.already_charged && facts.force_closes_in_window.saturating_add(1) > limit {
        let before = facts.force_closes_in_window;
        let value = format!("own commitment {number} of {channel} after {before} other channels");
        let limit =
            format!("own commitments of at most {limit} channels in {}", Span(policy.window().seconds()));
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn many_channels_at_once_are_told_of() {
        let after = |others| Facts { force_closes_in_window: others, ..known() };
        let close = spend_case(ours(8), vec![to_stranger(5)]);
        assert!(violated(TAG, &cautious(), &close, &after(40)));
        assert!(violated(TAG, &cautious(), &close, &after(u32::MAX)));
        assert!(!violated(TAG, &cautious(), &close, &after(39)));
        assert!(!violated(TAG, &cautious(), &close, &Facts { already_charged: true, ..after(40) }));
        // lnd asks for number 0 when the funding confirms.
        assert!(!violated(TAG, &cautious(), &spend_case(ours(0), vec![to_stranger(5)]), &after(40)));
        assert!(!violated(TAG, &cautious(), &spend_case(theirs(8), vec![to_stranger(5)]), &after(40)));
    }
}
