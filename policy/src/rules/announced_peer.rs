//! `announced-peer`: a channel's announcement names the channel, our node, and one peer for ever.
//!
//! Without it a compromised LND has the channel's key vouch for a channel that it does not fund, for another node's, or
//! for one peer today and another tomorrow, so that limits on peers count the channel where it suits. Who the peer is
//! remains LND's word: nothing in a request proves it.

use super::Rule;
use crate::case::{Ask, Case, MessageKind};
use crate::facts::Facts;
use crate::key::KeyLocator;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("announced-peer");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "a channel announcement names a known channel, our node, and the peer it named before",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Message(ask) = &case.ask else { return };
    if !matches!(ask.kind, MessageKind::ChannelAnnouncement { .. }) || ask.key.family != KeyLocator::MULTISIG
    {
        return;
    }
    let (value, limit) = match &facts.announced {
        None => {
            ("a channel_announcement of a channel never seen".to_owned(), "a channel known here".to_owned())
        }
        Some(Err(why)) => {
            (format!("a channel_announcement: {why}"), "the channel of the key that signs".to_owned())
        }
        Some(Ok(announced)) => match announced.named {
            Some(before) if before != announced.peer => {
                (format!("{} as the channel's peer", announced.peer), format!("{before}, as before"))
            }
            _ => return,
        },
    };
    found.push(Violation::new(TAG, value, limit));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn what_names_no_channel_or_another_peer_is_not_signed() {
        let unfit = Facts { announced: Some(Err("it does not name our node".into())), ..known() };
        for facts in [known(), unfit, announcing(1, Some(2), 5)] {
            assert!(violated(TAG, &cautious(), &announcement(), &facts));
        }
        assert!(!violated(TAG, &cautious(), &announcement(), &announcing(1, None, 5)));
        assert!(!violated(TAG, &cautious(), &announcement(), &announcing(1, Some(1), 5)));
    }

    #[test]
    fn the_nodes_own_key_and_other_messages_are_not_asked() {
        let by_node = message(locator(6, 0), MessageKind::ChannelAnnouncement { names_key: true });
        for case in [by_node, message(locator(0, 3), MessageKind::ChannelUpdate)] {
            assert!(!violated(TAG, &cautious(), &case, &known()));
        }
    }
}
