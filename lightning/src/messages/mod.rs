//! Messages that lnd signs, recognised by parsing them whole.
//!
//! SignMessage is an oracle for transactions unless only known kinds pass: its double hash of a BIP 143 preimage is
//! a sighash, its single hash of SHA256(preimage) too, and its single hash under Schnorr of two tag hashes and a
//! BIP 341 message as well. So no kind may double as a preimage:
//! - "Lightning Signed Message:" stands where a preimage has its first hash output, which nobody can choose, and is
//!   the beginning of no hash that anybody can find;
//! - whatever else has the outer form of a BIP 143 preimage, or begins with two tag hashes, is unknown, before any
//!   kind is tried;
//! - so is whatever is hashed once and as long as SHA256(preimage).

mod bytes;
mod gossip;
mod invoice;
mod preimage;
#[cfg(test)]
mod tests;

pub use gossip::Announcement;
use strongroom_policy::KeyLocator;
use strongroom_policy::case::MessageKind;

/// A SignMessage request, beside its key.
#[derive(Clone, Copy, Debug)]
pub struct MessageForm<'a> {
    /// The message.
    pub message: &'a [u8],
    /// SHA256 twice rather than once.
    pub double_hash: bool,
    /// Schnorr rather than ECDSA.
    pub schnorr: bool,
    /// BIP 340 tag; empty for none.
    pub tag: &'a [u8],
}

/// What `lncli signmessage` puts before the text (`rpcserver.go`).
const SIGNED_MESSAGE: &[u8] = b"Lightning Signed Message:";

/// What a message is. `key` is the compressed public key that is to sign, at `locator`.
///
/// A kind is told only if message and hashing are both as lnd makes them; otherwise it is
/// [`MessageKind::Unknown`].
pub fn recognise(form: &MessageForm<'_>, locator: KeyLocator, key: &[u8; 33]) -> MessageKind {
    let message = form.message;
    if form.tag.is_empty() && message.starts_with(SIGNED_MESSAGE) {
        return MessageKind::LightningSignedMessage;
    }
    if let Some(looks_like) = preimage::resemblance(form) {
        return unknown(looks_like);
    }
    if !form.tag.is_empty() {
        return tagged(form);
    }
    if form.schnorr {
        return unknown("a message of no known kind under a Schnorr signature");
    }
    if let Some(amount_msat) = invoice::amount(message) {
        return if form.double_hash {
            unknown("an invoice hashed twice")
        } else {
            MessageKind::Invoice { amount_msat }
        };
    }
    match gossip::parse(message, locator, key) {
        Some(kind) if form.double_hash => kind,
        Some(_) => unknown("gossip hashed once"),
        None if std::str::from_utf8(message).is_ok() => unknown("text"),
        None => unknown("bytes of no known form"),
    }
}

fn tagged(form: &MessageForm<'_>) -> MessageKind {
    match std::str::from_utf8(form.tag) {
        Ok(tag) if form.schnorr && !form.double_hash => MessageKind::Tagged { tag: tag.to_owned() },
        _ => unknown("a tagged hash that is not Schnorr's, hashed once, with a tag in text"),
    }
}

fn unknown(looks_like: &str) -> MessageKind {
    MessageKind::Unknown { looks_like: looks_like.to_owned() }
}
