//! The chain's head as a signed statement.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use crate::chain::{Chain, Origin};
use crate::digest::ChainHash;
use crate::key::AuditKey;

/// First line. It keeps a chain's head from ever being read as a tree's root.
const TITLE: &str = "strongroom journal head v1";

/// "At this time, this journal had this many leaves and this head."
///
/// Its text is modelled on C2SP's checkpoint, five lines:
/// ```text
/// strongroom journal head v1
/// strongroom/7c1f0e2a
/// 1289
/// 5e0f…            (64 hex digits)
/// 1767225600000    (unix ms)
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The journal.
    pub origin: Origin,
    /// Number of leaves.
    pub size: u64,
    /// Chain hash after the last of them.
    pub hash: ChainHash,
    /// When it was signed, unix ms.
    pub time: u64,
}

/// A head that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not the text of a signed head.
    #[error("not a signed head: {expected} expected on line {line}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// Signed by another key than the one given.
    #[error("head is signed by key {found}, not by {expected}")]
    OtherKey {
        /// Id of the signing key, hex.
        found: String,
        /// Id of the key given, hex.
        expected: String,
    },
    /// The signature does not fit the text.
    #[error("signature on the head does not verify")]
    BadSignature,
}

impl Head {
    /// The statement about `chain` at `time` (unix ms).
    pub fn new(origin: Origin, chain: Chain, time: u64) -> Self {
        Self { origin, size: chain.size, hash: chain.head, time }
    }

    /// What it says about the chain.
    pub fn chain(&self) -> Chain {
        Chain { size: self.size, head: self.hash }
    }

    /// The text that is signed, with its last newline.
    pub fn text(&self) -> String {
        format!("{TITLE}\n{}\n{}\n{}\n{}\n", self.origin, self.size, self.hash, self.time)
    }

    /// SHA256 of the text: the 32 bytes for CKM_ECDSA.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.text()).into()
    }
}

/// A head with a signature on it, not yet verified.
///
/// Text form: the head's text, an empty line, and `— <origin> <base64(key id ‖ r ‖ s)>` (C2SP signed note).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    head: Head,
    key_id: [u8; 4],
    signature: [u8; 64],
}

impl SignedHead {
    /// Puts the HSM's signature (r ‖ s over [`Head::digest`]) to the head.
    ///
    /// # Errors
    /// [`HeadError::BadSignature`] if it is not `key`'s: a wrong signature is found when made, not when needed.
    pub fn new(head: Head, key: &AuditKey, signature: [u8; 64]) -> Result<Self, HeadError> {
        let signed = Self { key_id: key.id(head.origin.as_str()), head, signature };
        signed.verify(key)?;
        Ok(signed)
    }

    /// Verifies, and gives the head that may then be believed.
    ///
    /// # Errors
    /// [`HeadError::OtherKey`], [`HeadError::BadSignature`].
    pub fn verify(&self, key: &AuditKey) -> Result<&Head, HeadError> {
        let expected = key.id(self.head.origin.as_str());
        if self.key_id != expected {
            return Err(HeadError::OtherKey {
                found: hex::encode(self.key_id),
                expected: hex::encode(expected),
            });
        }
        if !key.verifies(&self.head.digest(), &self.signature) {
            return Err(HeadError::BadSignature);
        }
        Ok(&self.head)
    }

    /// The head, unproven.
    pub fn claimed(&self) -> &Head {
        &self.head
    }

    /// The text form.
    pub fn to_text(&self) -> String {
        let mut blob = self.key_id.to_vec();
        blob.extend_from_slice(&self.signature);
        format!("{}\n— {} {}\n", self.head.text(), self.head.origin, BASE64.encode(blob))
    }

    /// Reads the text form; nothing else than what [`SignedHead::to_text`] writes.
    ///
    /// # Errors
    /// [`HeadError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, HeadError> {
        let mut lines = text.split('\n');
        let mut next = |line, expected| lines.next().ok_or(HeadError::Syntax { line, expected });
        let refuse = |line, expected| HeadError::Syntax { line, expected };
        if next(1, TITLE)? != TITLE {
            return Err(refuse(1, TITLE));
        }
        let origin: Origin = next(2, "an origin")?.parse().map_err(|_| refuse(2, "an origin"))?;
        let size = number(next(3, "a size")?).ok_or(refuse(3, "a size"))?;
        let hash = next(4, "64 hex digits")?.parse().map_err(|_| refuse(4, "64 hex digits"))?;
        let time = number(next(5, "unix milliseconds")?).ok_or(refuse(5, "unix milliseconds"))?;
        if !next(6, "an empty line")?.is_empty() {
            return Err(refuse(6, "an empty line"));
        }
        const SIGNATURE: &str = "'— origin base64'";
        let signature = next(7, SIGNATURE)?;
        let (key_id, signature) = signature_line(signature, &origin).ok_or(refuse(7, SIGNATURE))?;
        if !next(8, "a last newline")?.is_empty() || lines.next().is_some() {
            return Err(refuse(8, "the end"));
        }
        Ok(Self { head: Head { origin, size, hash, time }, key_id, signature })
    }
}

/// A decimal number in its one spelling.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|n: &u64| n.to_string() == text)
}

fn signature_line(line: &str, origin: &Origin) -> Option<([u8; 4], [u8; 64])> {
    let blob = line.strip_prefix("— ")?.strip_prefix(origin.as_str())?.strip_prefix(' ')?;
    let blob = BASE64.decode(blob).ok()?;
    let (key_id, signature) = blob.split_first_chunk::<4>()?;
    Some((*key_id, signature.try_into().ok()?))
}
