//! The gossip messages of BOLT 7, as lnd signs them: without type and signatures (`lnwire`, `DataToSign`).

use secp256k1::PublicKey;
use strongroom_policy::KeyLocator;
use strongroom_policy::case::MessageKind;

use super::bytes::Bytes;

/// Genesis block hashes in wire order: mainnet, testnet 3 and 4, signet, regtest, and btcd's simnet.
const CHAINS: [[u8; 32]; 6] = [
    hex("6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000"),
    hex("43497fd7f826957108f4a30fd9cec3aeba79972084e90ead01ea330900000000"),
    hex("43f08bdab050e35b567c864b91f47f50ae725ae2de53bcfbbaf284da00000000"),
    hex("f61eee3b63a380a477a063af32b2bbc97c9ff9f01f2c4225e973988108000000"),
    hex("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f"),
    hex("f67ad7695d9b662a72ff3d8edbbb2de0bfa67b13974bb9910d116d5cbd863e68"),
];

/// Longest feature vector of a channel_announcement. lnd's are empty. With no extra data allowed either, the message
/// has at most 206 bytes, too few for a BIP 143 preimage of the one script that holds a multisig key's coins (228).
const CHANNEL_FEATURES: usize = 32;

/// The gossip message that `message` is to the last byte, if any.
pub(super) fn parse(message: &[u8], locator: KeyLocator, key: &[u8; 33]) -> Option<MessageKind> {
    node_announcement(Bytes(message), key)
        .or_else(|| channel_announcement(Bytes(message), locator, key))
        .or_else(|| channel_update(Bytes(message)))
}

fn node_announcement(mut rest: Bytes<'_>, key: &[u8; 33]) -> Option<MessageKind> {
    let features = rest.u16()?;
    rest.take(features)?;
    let _timestamp = rest.array::<4>()?;
    let node = rest.array::<33>()?;
    let _color = rest.array::<3>()?;
    let _alias = rest.array::<32>()?;
    let addresses = rest.u16()?;
    let addresses = rest.take(addresses)?;
    (node == *key && are_addresses(Bytes(addresses))? && rest.is_tlv_stream())
        .then_some(MessageKind::NodeAnnouncement)
}

/// Address descriptors to the last byte: IPv4, IPv6, Tor v2, Tor v3, DNS name. Others end the list (BOLT 7), and
/// lnd writes none.
fn are_addresses(mut rest: Bytes<'_>) -> Option<bool> {
    while !rest.0.is_empty() {
        let length = match rest.u8()? {
            1 => 4,
            2 => 16,
            3 => 10,
            4 => 35,
            5 => usize::from(rest.u8()?),
            _ => return Some(false),
        };
        rest.take(length)?;
        let _port = rest.u16()?;
    }
    Some(true)
}

/// What a channel_announcement says of its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Both nodes, the lesser id first.
    pub nodes: [PublicKey; 2],
    /// Their keys of the funding output, in the same order.
    pub funding: [[u8; 33]; 2],
}

impl Announcement {
    /// Reads one, to the last byte; `None` also if a node's id is no public key.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let (nodes, funding) = named_keys(Bytes(message))?;
        let [first, second] = nodes.map(|id| PublicKey::from_slice(&id).ok());
        Some(Self { nodes: [first?, second?], funding })
    }
}

/// Both sides' keys of a kind, compressed.
type Pair = [[u8; 33]; 2];

/// The keys of nodes and of the funding output that a channel_announcement names.
fn named_keys(mut rest: Bytes<'_>) -> Option<(Pair, Pair)> {
    let features = rest.u16()?;
    rest.take(features)?;
    chain(&mut rest)?;
    let _channel = rest.array::<8>()?;
    let nodes = [rest.array::<33>()?, rest.array::<33>()?];
    let funding = [rest.array::<33>()?, rest.array::<33>()?];
    let fits = features <= CHANNEL_FEATURES && rest.0.is_empty() && nodes[0] < nodes[1];
    fits.then_some((nodes, funding))
}

fn channel_announcement(rest: Bytes<'_>, locator: KeyLocator, key: &[u8; 33]) -> Option<MessageKind> {
    let (nodes, funding) = named_keys(rest)?;
    // Each key vouches for its own part: a node key for the node, a multisig key for the funding output.
    let named = if locator.family == KeyLocator::MULTISIG { funding } else { nodes };
    Some(MessageKind::ChannelAnnouncement { names_key: named.contains(key) })
}

fn channel_update(mut rest: Bytes<'_>) -> Option<MessageKind> {
    chain(&mut rest)?;
    let _channel = rest.array::<8>()?;
    let _timestamp = rest.array::<4>()?;
    let message_flags = rest.u8()?;
    let _channel_flags = rest.u8()?;
    let _cltv_expiry_delta = rest.array::<2>()?;
    let _htlc_minimum_msat = rest.array::<8>()?;
    let _base_and_rate = rest.array::<8>()?;
    if message_flags & 1 != 0 {
        let _htlc_maximum_msat = rest.array::<8>()?;
    }
    rest.is_tlv_stream().then_some(MessageKind::ChannelUpdate)
}

fn chain(rest: &mut Bytes<'_>) -> Option<()> {
    let hash = rest.array::<32>()?;
    CHAINS.contains(&hash).then_some(())
}

const fn hex(text: &str) -> [u8; 32] {
    const fn digit(c: u8) -> u8 {
        if c.is_ascii_digit() { c - b'0' } else { c - b'a' + 10 }
    }
    let text = text.as_bytes();
    let mut bytes = [0; 32];
    let mut i = 0;
    while i < 32 {
        bytes[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
        i += 1;
    }
    bytes
}
