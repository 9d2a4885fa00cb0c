//! Names of the journal's records in the store: one letter for the kind, then what it is of. `K` is the macaroons'.
//!
//! Names are not sealed, only values are: a thief of the disk learns txids and outpoints, which the chain tells too.
//!
//! Where nothing is ever listed by node, the hash comes before the node's name: the store compares the first four bytes of
//! two names without looking for the rest.

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};
use strongroom_policy::{ClientName, NodeName};

/// Leaves, by index.
pub(super) const LEAF: &[u8] = b"L";

/// Headers of the chain followed, by height.
pub(super) const BLOCK: &[u8] = b"B";

/// Outpoints watched on the chain.
pub(super) const WATCH: &[u8] = b"O";

/// How things stand with the chain.
pub(super) const CHAIN: &[u8] = b"H";

/// A leaf.
pub(super) fn leaf(index: u64) -> Vec<u8> {
    [LEAF, &index.to_be_bytes()].concat()
}

/// A client's approved request's digest → index of its leaf. Another client's same request is decided for itself.
pub(super) fn digest(node: &NodeName, client: &ClientName, digest: &[u8; 32]) -> Vec<u8> {
    let (node, client) = (node.as_str().as_bytes(), client.as_str().as_bytes());
    [b"D", digest.as_slice(), node, &[0], client].concat()
}

/// A transaction that we signed for this node → its bytes, without witnesses.
pub(super) fn transaction(node: &NodeName, txid: &Txid) -> Vec<u8> {
    [b"T", txid.as_byte_array().as_slice(), node.as_str().as_bytes()].concat()
}

/// A commitment never to be signed: HTLC transactions of it were, and are kept no longer.
pub(super) fn tombstone(node: &NodeName, commitment: &Txid) -> Vec<u8> {
    [b"G", commitment.as_byte_array().as_slice(), node.as_str().as_bytes()].concat()
}

/// A transaction that was charged → the kind of spend it was charged as.
pub(super) fn charged(node: &NodeName, txid: &Txid) -> Vec<u8> {
    [b"X", txid.as_byte_array().as_slice(), node.as_str().as_bytes()].concat()
}

/// An outpoint that we signed a spend of → the amount signed for. One for all nodes of the appliance: two of them
/// must not be told two stories about one coin.
pub(super) fn amount(outpoint: &OutPoint) -> Vec<u8> {
    [b"A".as_slice(), outpoint.txid.as_byte_array().as_slice(), &outpoint.vout.to_be_bytes()].concat()
}

/// An outpoint → what this node was charged for spending it.
pub(super) fn pinned(node: &NodeName, outpoint: &OutPoint) -> Vec<u8> {
    let vout = outpoint.vout.to_be_bytes();
    [b"P", outpoint.txid.as_byte_array().as_slice(), &vout, node.as_str().as_bytes()].concat()
}

/// Prefix of a node's channel records.
pub(super) fn channels(node: &NodeName) -> Vec<u8> {
    [b"C", node.as_str().as_bytes(), &[0]].concat()
}

/// One channel record.
pub(super) fn channel(node: &NodeName, record: &[u8]) -> Vec<u8> {
    [channels(node).as_slice(), record].concat()
}

/// Prefix of what VLS is to know of a node again.
pub(super) fn vls(node: &NodeName) -> Vec<u8> {
    [b"S", node.as_str().as_bytes(), &[0]].concat()
}

/// One record of it.
pub(super) fn vls_record(node: &NodeName, record: &[u8]) -> Vec<u8> {
    [vls(node).as_slice(), record].concat()
}

/// A node's allowances.
pub(super) fn allowances(node: &NodeName) -> Vec<u8> {
    [b"V", node.as_str().as_bytes()].concat()
}

/// What left a node's channels.
pub(super) fn flows(node: &NodeName) -> Vec<u8> {
    [b"F", node.as_str().as_bytes()].concat()
}

/// How far each branch of a node's keys was used.
pub(super) fn marks(node: &NodeName) -> Vec<u8> {
    [b"W", node.as_str().as_bytes()].concat()
}

/// Prefix of a node's refused claims.
pub(super) fn refused_claims(node: &NodeName) -> Vec<u8> {
    [b"R", node.as_str().as_bytes(), &[0]].concat()
}

/// An output that the node was refused to claim → what is told of it.
pub(super) fn refused_claim(node: &NodeName, outpoint: &OutPoint) -> Vec<u8> {
    let (txid, vout) = (outpoint.txid.as_byte_array().as_slice(), outpoint.vout.to_be_bytes());
    [refused_claims(node).as_slice(), txid, &vout].concat()
}

/// The header of the block at this height.
pub(super) fn block(height: u32) -> Vec<u8> {
    [BLOCK, &height.to_be_bytes()].concat()
}

/// The height in a header's name.
pub(super) fn height_of(key: &[u8]) -> Option<u32> {
    key.strip_prefix(BLOCK)?.try_into().ok().map(u32::from_be_bytes)
}

/// An outpoint watched, of whatever node: the chain has one story for all.
pub(super) fn watch(outpoint: &OutPoint) -> Vec<u8> {
    [WATCH, outpoint.txid.as_byte_array().as_slice(), &outpoint.vout.to_be_bytes()].concat()
}

/// The outpoint in a watch's name.
pub(super) fn outpoint_of(key: &[u8]) -> Option<OutPoint> {
    let (txid, vout) = key.strip_prefix(WATCH)?.split_first_chunk::<32>()?;
    let vout = u32::from_be_bytes(vout.try_into().ok()?);
    Some(OutPoint { txid: Txid::from_byte_array(*txid), vout })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two kinds under one letter read each other's records: a daemon that has written both cannot be unsealed.
    #[test]
    fn no_two_kinds_share_a_letter() {
        let (node, client): (NodeName, ClientName) =
            ("alice".parse().expect("a name"), "lnd".parse().expect("a name"));
        let (txid, outpoint) = (Txid::all_zeros(), OutPoint::null());
        let names = [
            crate::appliance::MACAROONS.to_vec(),
            CHAIN.to_vec(),
            leaf(0),
            digest(&node, &client, &[0; 32]),
            transaction(&node, &txid),
            tombstone(&node, &txid),
            charged(&node, &txid),
            amount(&outpoint),
            pinned(&node, &outpoint),
            channels(&node),
            vls(&node),
            allowances(&node),
            flows(&node),
            marks(&node),
            refused_claims(&node),
            block(0),
            watch(&outpoint),
        ];
        let letters: std::collections::HashSet<u8> = names.iter().map(|name| name[0]).collect();
        assert_eq!(letters.len(), names.len());
    }
}
