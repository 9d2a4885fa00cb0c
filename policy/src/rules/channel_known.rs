//! `channel-known`: mutual closes and the peer's HTLC transactions belong to a channel that we have seen a commitment of.
//!
//! Without it a made-up channel has no balance to hold a close to and no capacity that was counted: a "mutual close" of
//! an unknown outpoint could pay us nothing and fit every other rule. Where an operator said what a close must pay us
//! (`strongroom channel allow-close`), that is what it is held to. An own commitment is the way out of a channel, seen here or
//! not.

use super::Rule;
use crate::case::{Ask, Case, Spend};
use crate::describe;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("channel-known");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "the peer's HTLC transactions and mutual closes only for channels seen before",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let channel = match &ask.spend {
        Spend::CounterpartyHtlc { channel, .. } | Spend::MutualClose { channel, by_word: false, .. } => {
            channel
        }
        _ => return,
    };
    if !facts.channel_known {
        let value = format!("{} on {channel}, never seen before", describe::kind(&ask.spend));
        found.push(Violation::new(TAG, value, "channels whose first commitment was signed here"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn a_channel_never_seen_closes_nothing_and_has_no_htlcs() {
        let unseen = Facts::default();
        for kind in [mutual_close(0, false), peers_htlc(5)] {
            let asked = spend_case(kind, vec![to_us(5)]);
            assert!(violated(TAG, &cautious(), &asked, &unseen));
            assert!(!violated(TAG, &cautious(), &asked, &known()));
        }
    }

    /// An operator said what the close must pay us, so it needs no balance of ours.
    #[test]
    fn a_close_that_an_operator_allowed_needs_no_history() {
        let asked = spend_case(close_by_word(5), vec![to_us(5)]);
        assert!(!violated(TAG, &cautious(), &asked, &Facts::default()));
    }

    #[test]
    fn first_commitments_open_a_channel_and_own_ones_end_any() {
        for kind in [theirs(0), ours(0), ours(7)] {
            assert!(!violated(TAG, &cautious(), &spend_case(kind, vec![to_stranger(5)]), &Facts::default()));
        }
    }
}
