//! What a message must not be: the preimage of a signature hash.

use super::MessageForm;

/// BIP 143 before and after the script code: version, two hashes, outpoint; amount, sequence, hash, locktime, type.
const BEFORE: usize = 4 + 32 + 32 + 36;
const AFTER: usize = 8 + 4 + 32 + 4 + 4;

/// Tags whose hashes protect signatures of other meaning.
const RESERVED: [&[u8]; 2] = [b"BIP0340", b"TapSighash"];

/// What the message resembles, if it must not be signed whatever else it is.
pub(super) fn resemblance(form: &MessageForm<'_>) -> Option<&'static str> {
    if RESERVED.iter().any(|tag| form.tag.starts_with(tag)) {
        return Some("a BIP341 sighash or a BIP340 challenge: their tags are reserved");
    }
    if begins_with_tag(form.message) {
        return Some("a BIP341 sighash preimage or another tagged hash of BIP340");
    }
    if !form.double_hash && form.message.len() == 32 {
        return Some("a hash, as SHA256 of a sighash preimage");
    }
    is_bip143(form.message).then_some("a BIP143 sighash preimage")
}

/// A tagged hash begins with the tag's hash twice; no message of lnd's has such a beginning, whatever the tag.
fn begins_with_tag(message: &[u8]) -> bool {
    message.get(..32).is_some_and(|tag| message.get(32..64) == Some(tag))
}

/// Every BIP 143 preimage has this form: a script code whose length fits the whole, and a sighash type of one byte.
fn is_bip143(message: &[u8]) -> bool {
    let Some(rest) = message.get(BEFORE..).filter(|_| message.ends_with(&[0, 0, 0])) else {
        return false;
    };
    let (script, width) = match rest {
        [0xfd, a, b, ..] => (usize::from(u16::from_le_bytes([*a, *b])), 3),
        [0xfe, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 5),
        // A script of 4 GiB is none, and no message is that long.
        [0xff, ..] | [] => return false,
        [short, ..] => (usize::from(*short), 1),
    };
    rest.len() == width + script + AFTER
}
