//! A message to be signed. Whatever it is, no preimage of a signature hash is recognised as anything, and an invoice's
//! amount is the one that others read.

#![no_main]

use lightning_invoice::RawHrp;
use strongroom_fuzz::day::{self, ACCOUNTS, Call};
use strongroom_lightning::messages::{MessageForm, recognise};
use strongroom_policy::case::MessageKind;
use strongroom_policy::{KeyLocator, KeyPath};

/// Bits of an input's first byte; families and a tag's length follow in a byte each.
const DOUBLE: u8 = 1;
const SCHNORR: u8 = 2;

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let messages = day::calls().into_iter().filter_map(|call| match call {
        Call::SignMessage(asked) => {
            let flags = u8::from(asked.double_hash) * DOUBLE + u8::from(asked.schnorr_sig) * SCHNORR;
            let family = asked.key_loc.unwrap_or_default().key_family as u8;
            let tag = asked.tag;
            Some([&[flags, family, tag.len() as u8], &tag[..], &asked.msg].concat())
        }
        _ => None,
    });
    day::of_each_length(messages)
}

fn run(input: &[u8]) {
    let Some(([flags, family, tag_length], rest)) = input.split_first_chunk() else { return };
    let Some((tag, message)) = rest.split_at_checked(usize::from(*tag_length)) else { return };
    let locator = KeyLocator { family: u32::from(*family) % 10, index: 0 };
    let Ok(key) = ACCOUNTS.derive(&KeyPath::Lightning(locator)) else { return };
    let told = |message: &[u8], double_hash, schnorr, tag: &[u8]| {
        recognise(&MessageForm { message, double_hash, schnorr, tag }, locator, &key.bytes)
    };
    let (double, schnorr) = (flags & DOUBLE != 0, flags & SCHNORR != 0);
    let kind = told(message, double, schnorr, tag);
    if let MessageKind::Invoice { amount_msat } = kind {
        assert!(!double && !schnorr && tag.is_empty());
        same_amount(message, amount_msat);
    }
    if matches!(kind, MessageKind::ChannelUpdate | MessageKind::NodeAnnouncement) {
        assert!(double && !schnorr && tag.is_empty());
    }
    // What hashes to a signature hash: the preimage hashed twice, its hash hashed once, and BIP 341's with its tag.
    let preimage = bip143(message);
    unknown(&told(&preimage, true, false, &[]));
    unknown(&told(&preimage, true, schnorr, &[]));
    unknown(&told(message, false, true, b"TapSighash"));
    // Nobody finds a hash that begins so.
    if message.starts_with(b"Lightning Signed Message:") {
        return;
    }
    unknown(&told(&message.iter().copied().chain([0; 32]).take(32).collect::<Vec<_>>(), false, schnorr, &[]));
    let tag_hash: [u8; 32] = std::array::from_fn(|at| message.get(at).copied().unwrap_or(at as u8));
    unknown(&told(&[&tag_hash[..], &tag_hash, message].concat(), double, schnorr, &[]));
}

/// A BIP 143 preimage with the message as its script code, and fields that repeat it.
fn bip143(message: &[u8]) -> Vec<u8> {
    let fill = message.iter().copied().cycle().chain([7].into_iter().cycle());
    let mut fill = fill.take(104 + 48);
    let mut preimage: Vec<u8> = fill.by_ref().take(104).collect();
    preimage[..4].copy_from_slice(&[2, 0, 0, 0]);
    preimage.extend(bitcoin::consensus::serialize(&bitcoin::VarInt::from(message.len())));
    preimage.extend(message);
    preimage.extend(fill);
    preimage.extend([message.first().copied().unwrap_or(1), 0, 0, 0]);
    preimage
}

fn unknown(kind: &MessageKind) {
    assert!(matches!(kind, MessageKind::Unknown { .. }), "{kind:?} is the preimage of a signature hash");
}

fn same_amount(message: &[u8], amount_msat: Option<u64>) {
    let end = message.iter().position(|byte| *byte < 0x20).unwrap_or(message.len());
    let Some(hrp) = std::str::from_utf8(&message[..end]).ok().and_then(|hrp| hrp.parse::<RawHrp>().ok())
    else {
        return;
    };
    let unit = hrp.si_prefix.as_ref().map_or(1_000_000_000_000, |prefix| prefix.multiplier());
    let pico = hrp.raw_amount.and_then(|amount| amount.checked_mul(unit));
    if hrp.raw_amount.is_some() == pico.is_some() {
        assert_eq!(
            amount_msat,
            pico.map(|pico| pico / 10),
            "of {:?}",
            String::from_utf8_lossy(&message[..end])
        );
    }
}

strongroom_fuzz::target!(seeds, run);
