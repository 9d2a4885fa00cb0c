//! Who the peer of a channel is, as its announcement says. LND has the channel_announcement signed by the channel's own
//! key {0/i}, when the funding confirms; no other request names the peer. It is LND's word: only the peer's own
//! signature, which no request carries, would prove it.

use std::collections::HashMap;

use bitcoin::{Amount, OutPoint};
use strongroom_policy::{KeyLocator, KeyPath, NodeId};

use super::{Change, Channels, Learned};
use crate::accounts::Accounts;
use crate::messages::Announcement;
use crate::script::Funding;

impl Channels {
    /// The peer that the channel's announcement named.
    pub fn peer(&self, channel: &OutPoint) -> Option<NodeId> {
        self.peers.get(channel).copied()
    }

    /// The channel and the peer that a channel_announcement names, which our multisig key `key` is to sign; or why it fits
    /// no channel known.
    pub fn announced(
        &self,
        key: KeyLocator,
        message: &[u8],
        accounts: &Accounts,
    ) -> Result<(OutPoint, NodeId), String> {
        let Announcement { nodes, funding } =
            Announcement::parse(message).ok_or("it names nodes that are no public keys")?;
        let channel = self.by_multisig.get(&key.index).and_then(|channel| self.channels.get(channel));
        let record =
            &channel.ok_or_else(|| format!("our key {{{key}}} belongs to no channel known here"))?.record;
        let derive = |locator| {
            accounts
                .public_key(&KeyPath::Lightning(locator))
                .map_err(|e| format!("our key {{{locator}}}: {e}"))
        };
        let node = derive(KeyLocator { family: KeyLocator::NODE, index: 0 })?;
        let ours = derive(key)?.serialize();
        // BOLT 7: the keys stand in the order of the nodes that they belong to.
        let at = nodes.iter().position(|named| *named == node).ok_or("it does not name our node")?;
        let theirs =
            Funding::parse(record.funding_script.as_bytes()).and_then(|script| script.peer_of(&ours));
        if funding[at] != ours || Some(funding[1 - at]) != theirs {
            return Err(format!("it does not name the keys of channel {}", record.funding));
        }
        Ok((record.funding, NodeId::from(nodes[1 - at])))
    }

    /// What an approved announcement teaches: nothing if the peer was named before.
    pub fn names(&self, channel: OutPoint, peer: NodeId) -> Learned {
        match self.peer(&channel) {
            Some(_) => Learned::nothing(),
            None => Learned { changes: vec![Change::Named { channel, peer }] },
        }
    }

    /// Capacity of the channels with one peer, or with `None` of those whose peer is not known: open ones, and of those
    /// whose close was signed the ones in `closing`.
    pub fn capacity_with<'a>(
        &'a self,
        peer: Option<NodeId>,
        closing: impl Iterator<Item = &'a OutPoint>,
    ) -> Amount {
        let open =
            self.channels.values().map(|channel| (channel.record.funding, channel.record.counted_capacity()));
        let closing = closing.filter_map(|channel| Some((*channel, self.closing_capacity(channel)?)));
        let counted = open.chain(closing).filter(|(channel, _)| self.peer(channel) == peer);
        counted
            .fold(Amount::ZERO, |sum, (_, capacity)| sum.checked_add(capacity).unwrap_or(Amount::MAX_MONEY))
    }

    /// What is ours in open channels, by peer; `None` stands for those whose peer is not known.
    pub fn exposure_by_peer(&self) -> HashMap<Option<NodeId>, Amount> {
        let mut by_peer = HashMap::new();
        for channel in self.channels.values().filter(|channel| !channel.record.closing) {
            let ours =
                channel.record.counterparty.as_ref().map_or(Amount::ZERO, super::CounterpartyState::ours);
            let sum = by_peer.entry(self.peer(&channel.record.funding)).or_insert(Amount::ZERO);
            *sum = sum.checked_add(ours).unwrap_or(Amount::MAX_MONEY);
        }
        by_peer
    }
}

#[cfg(test)]
mod tests {
    use secp256k1::PublicKey;

    use super::*;
    use crate::classify::tests::channel::{CAPACITY, Node, PEER};
    use crate::fixture::{Seed, lightning, sat};

    const KEY: KeyLocator = KeyLocator { family: KeyLocator::MULTISIG, index: 0 };

    fn node_key(seed: u8) -> PublicKey {
        Seed::new(seed).key(&lightning(6, 0))
    }

    /// A channel_announcement of two sides, each a node and its key of the funding output.
    fn message(sides: [(PublicKey, [u8; 33]); 2]) -> Vec<u8> {
        let mut sides = sides.map(|(node, key)| (node.serialize(), key));
        sides.sort_unstable();
        let mut message = vec![0, 0];
        // Regtest's genesis block, and a short channel id.
        message
            .extend(hex::decode("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f").unwrap());
        message.extend([0, 0, 1, 0, 0, 1, 0, 0]);
        message.extend(sides.iter().flat_map(|(node, _)| *node));
        message.extend(sides.iter().flat_map(|(_, key)| *key));
        message
    }

    #[test]
    fn what_does_not_fit_the_channel_names_nobody() {
        let node = Node::with_two_channels(400_000);
        let (us, ours, other) = (node_key(1), node.seed.bytes(0, 0), node.seed.bytes(0, 1));
        let says = |key, message: &[u8]| {
            node.channels.announced(key, message, &node.accounts).expect_err("names nobody")
        };
        let good = message([(us, ours), (node_key(2), PEER)]);
        for (message, why) in [
            (message([(us, other), (node_key(2), PEER)]), "does not name the keys"),
            (message([(us, ours), (node_key(2), other)]), "does not name the keys"),
            // The right keys, each beside the wrong node.
            (message([(us, PEER), (node_key(2), ours)]), "does not name the keys"),
            (message([(node_key(3), ours), (node_key(2), PEER)]), "does not name our node"),
            (good[1..].to_vec(), "no public keys"),
            (
                good.iter().map(|byte| if *byte == 2 || *byte == 3 { 5 } else { *byte }).collect(),
                "no public keys",
            ),
        ] {
            assert!(says(KEY, &message).contains(why), "{why}: {}", says(KEY, &message));
        }
        assert!(says(KeyLocator { index: 5, ..KEY }, &good).contains("belongs to no channel"));
        let second = KeyLocator { index: 1, ..KEY };
        assert!(says(second, &good).contains("does not name the keys"));
    }

    #[test]
    fn a_peer_is_named_once_and_for_ever() {
        // Either side may be the lesser node.
        for other in 2..8 {
            let mut node = Node::with_two_channels(400_000);
            let message = message([(node_key(1), node.seed.bytes(0, 0)), (node_key(other), PEER)]);
            let (channel, peer) = node.channels.announced(KEY, &message, &node.accounts).expect("it fits");
            assert_eq!((node.channels.peer(&channel), peer), (None, node_key(other).into()));
            let none = std::iter::empty;
            assert_eq!(node.channels.capacity_with(None, none()), sat(2 * CAPACITY));
            // Stored and read back with all else.
            node.learn(node.channels.names(channel, peer));
            assert_eq!(node.channels.peer(&channel), Some(peer));
            assert!(node.channels.names(channel, node_key(9).into()).is_empty());
            assert_eq!(node.channels.capacity_with(None, none()), sat(CAPACITY));
            assert_eq!(node.channels.capacity_with(Some(peer), none()), sat(CAPACITY));
            let by_peer = node.channels.exposure_by_peer();
            assert_eq!(by_peer[&Some(peer)], sat(400_000));
            assert_eq!(by_peer[&None], sat(400_000));
        }
    }
}
