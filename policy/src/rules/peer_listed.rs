//! `peer-listed`: with a list of permitted peers, no other is announced, and none that was announced is paid through.
//!
//! Without it anybody whom LND is talked into opening a channel with, or who opens one, becomes a peer that may collude.
//! The peer is LND's word: an LND that lies can give a stranger a listed name.

use super::Rule;
use crate::case::{Ask, Case, MessageKind, Spend};
use crate::facts::Facts;
use crate::file::PeerMode;
use crate::node_id::NodeId;
use crate::policy::Policy;
use crate::update::ChannelUpdate;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("peer-listed");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "with a list of peers no other is announced or paid through",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let peers = &policy.file.peers;
    if peers.mode == PeerMode::Any {
        return;
    }
    let unlisted = |peer: &NodeId| !peers.listed.contains(peer);
    let (what, peer) = match (&case.ask, &facts.announced) {
        (Ask::Message(ask), Some(Ok(announced)))
            if matches!(ask.kind, MessageKind::ChannelAnnouncement { .. }) =>
        {
            ("a channel announcement with", announced.peer)
        }
        (Ask::Spend(ask), _) if matches!(ask.spend, Spend::CounterpartyCommitment { .. }) => {
            match (facts.peer, facts.update.as_ref().is_some_and(ChannelUpdate::has_outflow)) {
                (Some(peer), true) => ("outflow on a channel with", peer),
                _ => return,
            }
        }
        _ => return,
    };
    if unlisted(&peer) {
        found.push(Violation::new(TAG, format!("{what} {peer}"), "the peers listed in [peers]"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::update::Cover;

    #[test]
    fn an_unlisted_peer_is_neither_announced_nor_paid_through() {
        let listed = listing(&[1, 2]);
        let paying = spend_case(theirs(3), vec![to_us(5)]);
        let through = |n| Facts { peer: Some(peer(n)), ..offering(5, Cover::Own) };
        for n in [3, 9] {
            assert!(violated(TAG, &listed, &announcement(), &announcing(n, None, 5)));
            assert!(violated(TAG, &listed, &announcement(), &announcing(n, Some(n), 5)));
            assert!(violated(TAG, &listed, &paying, &through(n)));
            assert!(violated(TAG, &listing(&[]), &paying, &through(n)));
            assert!(!violated(TAG, &cautious(), &paying, &through(n)));
            assert!(!violated(TAG, &cautious(), &announcement(), &announcing(n, None, 5)));
        }
        for n in [1, 2] {
            assert!(!violated(TAG, &listed, &announcement(), &announcing(n, None, 5)));
            assert!(!violated(TAG, &listed, &paying, &through(n)));
        }
    }

    #[test]
    fn what_brings_money_home_goes_on_with_anybody() {
        let facts = Facts { peer: Some(peer(3)), ..updating(ChannelUpdate::default()) };
        let settled = spend_case(theirs(3), vec![to_us(5)]);
        assert!(!violated(TAG, &listing(&[1]), &settled, &facts));
        for kind in [mutual_close(5, false), Spend::Justice, ours(3)] {
            assert!(!violated(TAG, &listing(&[1]), &spend_case(kind, vec![to_us(5)]), &facts));
        }
        // Not announced yet: nobody is known to be its peer.
        let unnamed = Facts { peer: None, ..offering(5, Cover::Own) };
        assert!(!violated(TAG, &listing(&[1]), &settled, &unnamed));
    }
}
