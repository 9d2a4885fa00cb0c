use bitcoin::consensus::serialize;
use bitcoin::hashes::{Hash as _, sha256, sha256d};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use proptest::prelude::*;

use super::*;
use crate::fixture::{Seed, outpoint, pays, sat, stranger, transaction};
use crate::script::{anchor_script, funding_script};

const NODE: KeyLocator = KeyLocator { family: 6, index: 0 };
const MULTISIG: KeyLocator = KeyLocator { family: 0, index: 0 };

// As a real lnd asked for them.
const CHANNEL_UPDATE: &str = "06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f0001f000000100006b013f480102005000000000000003e8000003e80000000100000001270b0180";
const INVOICE: &str = "6c6e62637274323530750d6027eae10d1475286d4cc4c0bd14ec383ae89fce7fb9999eb3fde975503f6f190c27eeb395c1a006002140c020a8c04034dcccdee1412e61f1572537e4e3144174a109ae0d27608e0dbf3934ae50a7fd7a0280c101208000";

fn kind(message: &[u8], double_hash: bool) -> MessageKind {
    kind_by(message, double_hash, NODE, &[2; 33])
}

fn kind_by(message: &[u8], double_hash: bool, locator: KeyLocator, key: &[u8; 33]) -> MessageKind {
    recognise(&MessageForm { message, double_hash, schnorr: false, tag: &[] }, locator, key)
}

fn is_unknown(kind: &MessageKind) -> bool {
    matches!(kind, MessageKind::Unknown { .. })
}

fn looks_like(kind: MessageKind) -> String {
    match kind {
        MessageKind::Unknown { looks_like } => looks_like,
        known => panic!("{known:?}"),
    }
}

fn node_announcement(key: &[u8; 33]) -> Vec<u8> {
    let mut message = vec![0, 3, 1, 2, 3, 0x65, 0, 0, 0];
    message.extend(key);
    message.extend([1, 2, 3]);
    message.extend([b'a'; 32]);
    let addresses = [1, 127, 0, 0, 1, 0x26, 0x07, 5, 2, b'a', b'b', 0, 80];
    message.extend([0, addresses.len() as u8]);
    message.extend(addresses);
    message
}

fn channel_announcement(features: usize, keys: [[u8; 33]; 4]) -> Vec<u8> {
    let mut message = (features as u16).to_be_bytes().to_vec();
    message.extend(vec![0; features]);
    message.extend(&hex::decode(CHANNEL_UPDATE).unwrap()[..32]);
    message.extend([0, 0, 1, 0, 0, 1, 0, 0]);
    message.extend(keys.iter().flatten());
    message
}

/// BIP 143 preimages of every sighash type for the scripts that our keys stand in.
fn preimages() -> Vec<Vec<u8>> {
    let ours = Seed::new(1).bytes(0, 0);
    let scripts = [funding_script(&ours, &[3; 33]), anchor_script(&ours), stranger(1)];
    let spend = transaction(&[(outpoint(1), 5), (outpoint(2), 6)], vec![pays(1, &stranger(2))], 3);
    let types = [1, 2, 3, 0x81, 0x82, 0x83].map(EcdsaSighashType::from_consensus);
    let mut preimages = Vec::new();
    for script in &scripts {
        for kind in types {
            let mut preimage = Vec::new();
            SighashCache::new(&spend)
                .segwit_v0_encode_signing_data_to(&mut preimage, 0, script, sat(9), kind)
                .unwrap();
            let digest = SighashCache::new(&spend).p2wsh_signature_hash(0, script, sat(9), kind);
            assert_eq!(sha256d::Hash::hash(&preimage).to_byte_array(), digest.unwrap().to_byte_array());
            preimages.push(preimage);
        }
    }
    preimages
}

#[test]
fn sighash_preimages_are_seen_for_what_they_are() {
    for preimage in preimages() {
        for double_hash in [true, false] {
            assert_eq!(looks_like(kind(&preimage, double_hash)), "a BIP143 sighash preimage");
        }
        // Its hash, hashed once more, is the sighash too.
        let hash = sha256::Hash::hash(&preimage).to_byte_array();
        assert_eq!(looks_like(kind(&hash, false)), "a hash, as SHA256 of a sighash preimage");
    }
    let tag = sha256::Hash::hash(b"TapSighash").to_byte_array();
    let tapped = [&tag[..], &tag, &[0; 100]].concat();
    for schnorr in [false, true] {
        let form = MessageForm { message: &tapped, double_hash: false, schnorr, tag: &[] };
        assert!(looks_like(recognise(&form, NODE, &[2; 33])).contains("BIP341"));
    }
}

#[test]
fn a_preimage_cannot_hide_in_gossip() {
    // Features of any length could hold a whole preimage; the sighash type at the end gives it away.
    let mut message = preimages().swap_remove(0);
    message[..2].copy_from_slice(&[0, 200]);
    assert!(is_unknown(&kind(&message, true)));
}

#[test]
fn tags_of_consensus_are_reserved() {
    for tag in ["TapSighash", "TapSighashes", "BIP0340/challenge", "BIP0340"] {
        let form = MessageForm { message: b"m", double_hash: false, schnorr: true, tag: tag.as_bytes() };
        assert!(is_unknown(&recognise(&form, NODE, &[2; 33])), "{tag}");
    }
    let form = |schnorr, double_hash, tag| MessageForm { message: b"m", double_hash, schnorr, tag };
    let recognised = |form| recognise(&form, NODE, &[2; 33]);
    assert!(is_unknown(&recognised(form(false, false, &b"bolt12"[..]))));
    assert!(is_unknown(&recognised(form(true, true, &b"bolt12"[..]))));
    assert!(is_unknown(&recognised(form(true, false, &[0xff][..]))));
    let tagged = MessageKind::Tagged { tag: "bolt12".into() };
    assert_eq!(recognised(form(true, false, &b"bolt12"[..])), tagged);
}

#[test]
fn gossip_and_invoices_are_hashed_as_lnd_hashes_them() {
    let update = hex::decode(CHANNEL_UPDATE).unwrap();
    let invoice = hex::decode(INVOICE).unwrap();
    assert!(is_unknown(&kind(&update, false)));
    assert!(is_unknown(&kind(&invoice, true)));
    let schnorr = MessageForm { message: &update, double_hash: true, schnorr: true, tag: &[] };
    assert!(is_unknown(&recognise(&schnorr, NODE, &[2; 33])));
    assert_eq!(kind(&update, true), MessageKind::ChannelUpdate);
    assert_eq!(kind(&invoice, false), MessageKind::Invoice { amount_msat: Some(25_000_000) });
}

#[test]
fn a_channel_update_is_of_a_known_chain_and_ends_where_it_ends() {
    let update = hex::decode(CHANNEL_UPDATE).unwrap();
    let mut elsewhere = update.clone();
    elsewhere[0] ^= 1;
    assert!(is_unknown(&kind(&elsewhere, true)));
    assert!(is_unknown(&kind(&update[..update.len() - 1], true)));
    assert!(is_unknown(&kind(&[&update[..], &[9]].concat(), true)));
    assert!(is_unknown(&kind(&[&update[..], &[9, 1, 0, 3, 0]].concat(), true)), "types descend");
    // lnd's inbound fees: TLV type 55555.
    let fees = [&update[..], &[0xfd, 0xd9, 0x03, 8, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(kind(&fees, true), MessageKind::ChannelUpdate);
}

#[test]
fn a_node_announcement_names_the_signing_key() {
    let key = [2; 33];
    let message = node_announcement(&key);
    assert!(is_unknown(&kind_by(&message, true, NODE, &[3; 33])));
    assert!(is_unknown(&kind_by(&message[..message.len() - 1], true, NODE, &key)));
    let mut unknown_address = message.clone();
    let at = message.len() - 13;
    unknown_address[at] = 9;
    assert!(is_unknown(&kind_by(&unknown_address, true, NODE, &key)));
    assert_eq!(kind_by(&message, true, NODE, &key), MessageKind::NodeAnnouncement);
}

#[test]
fn a_channel_announcement_names_each_key_in_its_place() {
    let keys = [[2; 33], [3; 33], [4; 33], [5; 33]];
    let named = |key: u8, locator, keys| {
        let message = channel_announcement(0, keys);
        kind_by(&message, true, locator, &[key; 33])
    };
    let names = |names_key| MessageKind::ChannelAnnouncement { names_key };
    for key in [4, 5, 6] {
        assert_eq!(named(key, NODE, keys), names(false));
    }
    for key in [2, 3, 6] {
        assert_eq!(named(key, MULTISIG, keys), names(false), "a multisig key is no node");
    }
    assert_eq!(named(3, NODE, keys), names(true));
    assert_eq!(named(5, MULTISIG, keys), names(true));
    assert!(is_unknown(&named(3, NODE, [[3; 33], [2; 33], [4; 33], [5; 33]])), "nodes are in order");
    let kind = |message: &[u8]| kind_by(message, true, MULTISIG, &[4; 33]);
    assert!(is_unknown(&kind(&channel_announcement(33, keys))), "room for a preimage");
    assert!(is_unknown(&kind(&[&channel_announcement(0, keys)[..], &[9, 0]].concat())));
    assert_eq!(kind(&channel_announcement(32, keys)), names(true));
}

#[test]
fn an_invoice_is_one_to_the_last_bit() {
    let invoice = hex::decode(INVOICE).unwrap();
    let changed = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut message = invoice.clone();
        edit(&mut message);
        kind(&message, false)
    };
    assert!(is_unknown(&changed(&|m| m[2] = b'x')), "another prefix");
    assert!(is_unknown(&changed(&|m| m.truncate(m.len() - 1))));
    assert!(is_unknown(&changed(&|m| m.push(1))));
    assert!(is_unknown(&changed(&|m| m.extend([0; 2]))), "more padding than a byte");
    assert!(is_unknown(&changed(&|m| m.truncate(50))), "without a payment hash");
    assert!(is_unknown(&changed(&|m| m[6] = b'0')), "a leading zero");
    assert!(is_unknown(&changed(&|m| m[9] = b'x')), "an unknown unit");
    let amount = |text: &str| {
        let message = [b"lnbcrt", text.as_bytes(), &invoice[10..]].concat();
        match kind(&message, false) {
            MessageKind::Invoice { amount_msat } => Some(amount_msat),
            _ => None,
        }
    };
    for refused in ["p", "15p", "m", "00m", "99999999999999999999m", "999999999999", "1k", "-1"] {
        assert_eq!(amount(refused), None, "{refused}");
    }
    assert_eq!(amount(""), Some(None));
    assert_eq!(amount("20p"), Some(Some(2)));
    assert_eq!(amount("7n"), Some(Some(700)));
    assert_eq!(amount("3u"), Some(Some(300_000)));
    assert_eq!(amount("1"), Some(Some(100_000_000_000)));
}

#[test]
fn users_messages_begin_with_their_prefix() {
    for double_hash in [true, false] {
        let message = b"Lightning Signed Message:hello w";
        assert_eq!(kind(message, double_hash), MessageKind::LightningSignedMessage);
    }
    assert_eq!(looks_like(kind(b"lightning signed message:hello", true)), "text");
    let tagged = MessageForm {
        message: b"Lightning Signed Message:hello",
        double_hash: false,
        schnorr: true,
        tag: b"TapSighash",
    };
    assert!(is_unknown(&recognise(&tagged, NODE, &[2; 33])));
}

#[test]
fn a_serialized_transaction_is_nothing() {
    let spend = transaction(&[(outpoint(1), 5)], vec![pays(1, &stranger(2))], 3);
    assert!(is_unknown(&kind(&serialize(&spend), true)));
}

proptest! {
    #[test]
    fn no_bytes_panic(message in prop::collection::vec(any::<u8>(), 0..400), double_hash: bool) {
        let _ = kind(&message, double_hash);
    }

    #[test]
    fn no_changed_message_panics(which in 0..4usize, at: prop::sample::Index, byte: u8, double_hash: bool) {
        let mut message = match which {
            0 => hex::decode(INVOICE).unwrap(),
            1 => hex::decode(CHANNEL_UPDATE).unwrap(),
            2 => node_announcement(&[2; 33]),
            _ => channel_announcement(4, [[2; 33], [3; 33], [4; 33], [5; 33]]),
        };
        let at = at.index(message.len());
        message[at] = byte;
        let _ = kind(&message, double_hash);
    }

    /// Whatever stands in a preimage's fields, no kind is told from it.
    #[test]
    fn no_preimage_is_a_known_kind(
        head in prop::collection::vec(any::<u8>(), 104),
        script in prop::collection::vec(any::<u8>(), 0..300),
        tail in prop::collection::vec(any::<u8>(), 48),
        sighash: u8,
        double_hash: bool,
    ) {
        let mut message = head;
        message.extend(serialize(&script));
        message.extend(tail);
        message.extend([sighash, 0, 0, 0]);
        prop_assert!(is_unknown(&kind(&message, double_hash)));
    }
}
