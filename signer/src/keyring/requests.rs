//! What is asked of the keyring beside transactions: shared secrets and signatures on messages, as parsed.

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use secp256k1::PublicKey;
use strongroom_lightning::Accounts;
use strongroom_policy::KeyLocator;
use strongroom_policy::case::{MessageAsk, MessageKind};

/// A request that contradicts itself or names no key of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A public key that is none.
    #[error("{field} is not a compressed public key ({bytes} bytes given, 33 expected)")]
    PublicKey {
        /// The field of the request.
        field: &'static str,
        /// How long what was given is.
        bytes: usize,
    },
    /// Both ways of naming the key at once.
    #[error("use either raw_key_bytes or key_index, not both (index {0} was given)")]
    KeyTwice(u32),
    /// Our key by its public key, and we do not have it.
    #[error("raw_key_bytes is no key of family {family} within the lookahead")]
    NotOurs {
        /// The family that was searched.
        family: u32,
    },
    /// A combination of options that makes no sense.
    #[error("{0}")]
    Options(&'static str),
    /// A value of the wrong length.
    #[error("{field} has {given} bytes, and {expected} are expected")]
    Length {
        /// The field of the request.
        field: &'static str,
        /// Bytes given.
        given: usize,
        /// Bytes expected.
        expected: &'static str,
    },
}

/// ECDH: SHA256 of the compressed point key·point (`keychain.ECDH`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcdhRequest {
    key: KeyLocator,
    point: PublicKey,
}

impl EcdhRequest {
    /// The secret shared by our `key` and the owner of `point`.
    pub fn new(key: KeyLocator, point: PublicKey) -> Self {
        Self { key, point }
    }

    /// As `signrpc.Signer/DeriveSharedKey` reads its fields: no locator means the node key, `raw_key` names our key by
    /// its public key and goes with index 0 only. lnd then searches 100,000 keys; we search our lookahead.
    pub fn resolve(
        accounts: &Accounts,
        locator: Option<KeyLocator>,
        raw_key: &[u8],
        ephemeral: &[u8],
    ) -> Result<Self, RequestError> {
        let point = compressed("ephemeral_pubkey", ephemeral)?;
        let locator = locator.unwrap_or(KeyLocator { family: KeyLocator::NODE, index: 0 });
        if raw_key.is_empty() {
            return Ok(Self::new(locator, point));
        }
        if locator.index != 0 {
            return Err(RequestError::KeyTwice(locator.index));
        }
        let ours = compressed("raw_key_bytes", raw_key)?;
        let key = accounts
            .find_in_family(locator.family, &ours.serialize())
            .ok_or(RequestError::NotOurs { family: locator.family })?;
        Ok(Self::new(key, point))
    }

    /// Our key.
    pub fn key(&self) -> KeyLocator {
        self.key
    }

    /// The other's point.
    pub fn point(&self) -> &PublicKey {
        &self.point
    }

    /// Digest of the request.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Digest::new(b"strongroom/ecdh/1");
        digest.key(self.key).part(&self.point.serialize());
        digest.finish()
    }
}

pub(super) fn compressed(field: &'static str, bytes: &[u8]) -> Result<PublicKey, RequestError> {
    let wrong = || RequestError::PublicKey { field, bytes: bytes.len() };
    if bytes.len() != 33 {
        return Err(wrong());
    }
    PublicKey::from_slice(bytes).map_err(|_| wrong())
}

/// How a message is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageHash {
    /// SHA256.
    Single,
    /// SHA256 twice.
    Double,
    /// BIP340's tagged hash; Schnorr only.
    Tagged(Vec<u8>),
}

/// What kind of signature is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageScheme {
    /// ECDSA, as DER.
    Ecdsa,
    /// ECDSA, 65 bytes from which the public key can be recovered.
    EcdsaCompact,
    /// BIP340, under the key tweaked by BIP341 with `root` if there is one.
    Schnorr {
        /// The merkle root.
        root: Option<[u8; 32]>,
    },
}

/// A message to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRequest {
    key: KeyLocator,
    message: Vec<u8>,
    hash: MessageHash,
    scheme: MessageScheme,
    kind: Option<MessageKind>,
}

/// The fields of `signrpc.SignMessageReq`, before they are checked against each other.
#[derive(Clone, Debug, Default)]
pub struct MessageFields {
    /// The bytes to sign.
    pub msg: Vec<u8>,
    /// SHA256 twice instead of once.
    pub double_hash: bool,
    /// ECDSA with recovery.
    pub compact_sig: bool,
    /// BIP340.
    pub schnorr_sig: bool,
    /// Merkle root for BIP341's tweak, Schnorr only; empty for none.
    pub schnorr_sig_tap_tweak: Vec<u8>,
    /// Tag for BIP340's tagged hash, Schnorr only; empty for none.
    pub tag: Vec<u8>,
}

impl MessageRequest {
    /// By the rules of lnd's `SignMessage`, and two of our own: a taproot tweak goes with Schnorr only (lnd ignores it
    /// else) and has 32 bytes.
    pub fn new(key: KeyLocator, fields: MessageFields) -> Result<Self, RequestError> {
        let MessageFields { msg, double_hash, compact_sig, schnorr_sig, schnorr_sig_tap_tweak, tag } = fields;
        let refuse = |why| Err(RequestError::Options(why));
        let root = match <[u8; 32]>::try_from(&schnorr_sig_tap_tweak[..]) {
            Ok(root) => Some(root),
            Err(_) if schnorr_sig_tap_tweak.is_empty() => None,
            Err(_) => {
                let given = schnorr_sig_tap_tweak.len();
                return Err(RequestError::Length {
                    field: "schnorr_sig_tap_tweak",
                    given,
                    expected: "0 or 32",
                });
            }
        };
        let scheme = match (schnorr_sig, compact_sig, root) {
            (true, true, _) => return refuse("compact_sig and schnorr_sig cannot both be set"),
            (true, false, root) => MessageScheme::Schnorr { root },
            (false, _, Some(_)) => return refuse("schnorr_sig_tap_tweak needs schnorr_sig"),
            (false, true, None) => MessageScheme::EcdsaCompact,
            (false, false, None) => MessageScheme::Ecdsa,
        };
        let hash = match (tag.is_empty(), double_hash) {
            (true, false) => MessageHash::Single,
            (true, true) => MessageHash::Double,
            (false, _) if !schnorr_sig => return refuse("tag needs schnorr_sig"),
            (false, true) => return refuse("double_hash and tag cannot both be set"),
            (false, false) if tag.starts_with(b"BIP0340") => return refuse("tag begins with BIP0340"),
            (false, false) if tag.starts_with(b"TapSighash") => return refuse("tag begins with TapSighash"),
            (false, false) => MessageHash::Tagged(tag),
        };
        Ok(Self { key, message: msg, hash, scheme, kind: None })
    }

    /// With what the message was recognised as.
    pub fn recognised_as(self, kind: MessageKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Our key.
    pub fn key(&self) -> KeyLocator {
        self.key
    }

    /// The bytes to sign.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// How they are hashed.
    pub fn hash(&self) -> &MessageHash {
        &self.hash
    }

    /// What kind of signature is wanted.
    pub fn scheme(&self) -> MessageScheme {
        self.scheme
    }

    /// What policy sees; `None` before [`MessageRequest::recognised_as`].
    pub fn ask(&self) -> Option<MessageAsk> {
        Some(MessageAsk {
            key: self.key,
            kind: self.kind.clone()?,
            schnorr: matches!(self.scheme, MessageScheme::Schnorr { .. }),
            tap_tweak: matches!(self.scheme, MessageScheme::Schnorr { root: Some(_) }),
        })
    }

    /// The 32 bytes that are signed.
    pub fn signed_hash(&self) -> [u8; 32] {
        let single = |bytes: &[u8]| sha256::Hash::hash(bytes).to_byte_array();
        match &self.hash {
            MessageHash::Single => single(&self.message),
            MessageHash::Double => single(&single(&self.message)),
            MessageHash::Tagged(tag) => tagged_hash(tag, &[&self.message]),
        }
    }

    /// Digest of the request.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Digest::new(b"strongroom/sign-message/1");
        let (scheme, root): (u8, &[u8]) = match &self.scheme {
            MessageScheme::Ecdsa => (0, &[]),
            MessageScheme::EcdsaCompact => (1, &[]),
            MessageScheme::Schnorr { root: None } => (2, &[]),
            MessageScheme::Schnorr { root: Some(root) } => (3, root),
        };
        let (hash, tag): (u8, &[u8]) = match &self.hash {
            MessageHash::Single => (0, &[]),
            MessageHash::Double => (1, &[]),
            MessageHash::Tagged(tag) => (2, tag),
        };
        digest.key(self.key).part(&[scheme, hash]).part(root).part(tag).part(&self.message);
        digest.finish()
    }
}

/// BIP340's tagged hash of the parts' concatenation.
pub(super) fn tagged_hash(tag: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let tag = sha256::Hash::hash(tag);
    let mut engine = sha256::Hash::engine();
    engine.input(tag.as_byte_array());
    engine.input(tag.as_byte_array());
    for part in parts {
        engine.input(part);
    }
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// Digest of a request: parts with their lengths, so that no two requests share one.
pub(super) struct Digest(sha256::HashEngine);

impl Digest {
    pub(super) fn new(domain: &[u8]) -> Self {
        let mut digest = Self(sha256::Hash::engine());
        digest.part(domain);
        digest
    }

    pub(super) fn part(&mut self, part: &[u8]) -> &mut Self {
        self.0.input(&(part.len() as u64).to_be_bytes());
        self.0.input(part);
        self
    }

    pub(super) fn key(&mut self, key: KeyLocator) -> &mut Self {
        self.part(&key.family.to_be_bytes()).part(&key.index.to_be_bytes())
    }

    pub(super) fn finish(self) -> [u8; 32] {
        sha256::Hash::from_engine(self.0).to_byte_array()
    }
}
