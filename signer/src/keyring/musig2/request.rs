//! MuSig2 calls that need an approval, as parsed.

use std::fmt;

use secp256k1::{PublicKey, XOnlyPublicKey};
use strongroom_policy::KeyLocator;
use strongroom_policy::case::{Musig2Ask, Musig2Step};
use zeroize::Zeroizing;

use super::error::SessionError;
use super::nonce::PublicNonce;
use crate::keyring::requests::Digest;

/// Most signers in a session.
pub(super) const MAX_SIGNERS: usize = 256;
/// Most tweaks of a combined key.
const MAX_TWEAKS: usize = 32;
/// Bytes of lnd's secret nonce: two private keys and the public key they are for.
const SECRET_NONCE: usize = 97;

/// A version of MuSig2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Musig2Version {
    /// BIP draft 0.4.0: signers' keys are X only.
    V040,
    /// BIP327, 1.0.0rc2: signers' keys are compressed.
    V100Rc2,
}

impl Musig2Version {
    /// By number in `signrpc.MuSig2Version`.
    pub fn from_rpc(number: i32) -> Result<Self, SessionError> {
        match number {
            1 => Ok(Self::V040),
            2 => Ok(Self::V100Rc2),
            _ => Err(SessionError::Version(number)),
        }
    }

    /// A signer's key as it is sorted and hashed.
    pub(super) fn encode(self, key: &PublicKey) -> Vec<u8> {
        match self {
            Self::V040 => key.x_only_public_key().0.serialize().to_vec(),
            Self::V100Rc2 => key.serialize().to_vec(),
        }
    }

    fn parse(self, bytes: &[u8], index: usize) -> Result<PublicKey, SessionError> {
        let (expected, key) = match self {
            Self::V040 => {
                (32, XOnlyPublicKey::from_slice(bytes).map(|key| key.public_key(secp256k1::Parity::Even)))
            }
            Self::V100Rc2 => (33, PublicKey::from_slice(bytes)),
        };
        let wrong = SessionError::SignerKey { index, expected };
        if bytes.len() != expected {
            return Err(wrong);
        }
        key.map_err(|_| wrong)
    }
}

/// What is added to the combined key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Musig2Tweaks {
    /// Tweaks in order, each with whether it is X only; may be none.
    Generic(Vec<([u8; 32], bool)>),
    /// BIP341's tweak, with a merkle root or without (BIP86).
    Taproot(Option<[u8; 32]>),
}

/// Names a session: SHA256(combined key, compressed ‖ our public nonce).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(pub(super) [u8; 32]);

impl SessionId {
    /// From the field `session_id`.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SessionError> {
        let wrong = |_| SessionError::Length { what: "session id", given: bytes.len() };
        bytes.try_into().map(Self).map_err(wrong)
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The fields of `signrpc.MuSig2SessionRequest`, before they are read. No `Debug`: it may hold a secret nonce.
pub struct SessionFields<'a> {
    /// Number of the version.
    pub version: i32,
    /// Our key.
    pub key: KeyLocator,
    /// Every signer's key, ours among them.
    pub all_signer_pubkeys: Vec<&'a [u8]>,
    /// Nonces already known.
    pub other_signer_public_nonces: Vec<&'a [u8]>,
    /// Tweaks, each with `is_x_only`.
    pub tweaks: Vec<(&'a [u8], bool)>,
    /// `script_root` and `key_spend_only` of `taproot_tweak`, if it is set.
    pub taproot_tweak: Option<(&'a [u8], bool)>,
    /// The client's own secret nonce; empty for none.
    pub pregenerated_local_nonce: &'a [u8],
}

/// A session to be made. No `Debug`, no `Clone`: it may hold a secret nonce.
pub struct CreateSession {
    pub(super) version: Musig2Version,
    pub(super) key: KeyLocator,
    pub(super) signers: Vec<PublicKey>,
    pub(super) other_nonces: Vec<PublicNonce>,
    pub(super) tweaks: Musig2Tweaks,
    pub(super) pregenerated: Option<Zeroizing<[u8; SECRET_NONCE]>>,
}

impl CreateSession {
    /// By the rules of lnd's `MuSig2CreateSession`, with lengths that lnd pads or cuts silently refused.
    pub fn parse(fields: &SessionFields<'_>) -> Result<Self, SessionError> {
        let version = Musig2Version::from_rpc(fields.version)?;
        let given = fields.all_signer_pubkeys.len();
        if !(2..=MAX_SIGNERS).contains(&given) {
            return Err(SessionError::Signers { given, limit: MAX_SIGNERS });
        }
        let keys = fields.all_signer_pubkeys.iter().enumerate();
        let signers = keys.map(|(index, key)| version.parse(key, index)).collect::<Result<Vec<_>, _>>()?;
        let nonces = &fields.other_signer_public_nonces;
        if nonces.len() >= given {
            return Err(SessionError::TooManyNonces { given: nonces.len(), missing: given - 1 });
        }
        let other_nonces = nonces.iter().map(|nonce| PublicNonce::parse(nonce)).collect::<Result<_, _>>()?;
        let pregenerated = match (fields.pregenerated_local_nonce, version) {
            ([], _) => None,
            (_, Musig2Version::V040) => return Err(SessionError::PregeneratedNonceVersion),
            (nonce, Musig2Version::V100Rc2) => {
                let wrong = SessionError::NonceLength { given: nonce.len(), expected: SECRET_NONCE };
                let mut bytes = Zeroizing::new([0; SECRET_NONCE]);
                if nonce.len() != SECRET_NONCE {
                    return Err(wrong);
                }
                bytes.copy_from_slice(nonce);
                Some(bytes)
            }
        };
        let tweaks = tweaks(&fields.tweaks, fields.taproot_tweak)?;
        Ok(Self { version, key: fields.key, signers, other_nonces, tweaks, pregenerated })
    }
}

fn tweaks(generic: &[(&[u8], bool)], taproot: Option<(&[u8], bool)>) -> Result<Musig2Tweaks, SessionError> {
    let whole = |what, bytes: &[u8]| -> Result<[u8; 32], SessionError> {
        bytes.try_into().map_err(|_| SessionError::TweakLength { what, given: bytes.len() })
    };
    match taproot {
        Some(_) if !generic.is_empty() => Err(SessionError::TweakKinds),
        Some((_, true)) => Ok(Musig2Tweaks::Taproot(None)),
        Some((root, false)) => Ok(Musig2Tweaks::Taproot(Some(whole("merkle root", root)?))),
        None if generic.len() > MAX_TWEAKS => {
            Err(SessionError::Tweaks { given: generic.len(), limit: MAX_TWEAKS })
        }
        None => {
            let tweaks = generic.iter().map(|(tweak, x_only)| Ok((whole("tweak", tweak)?, *x_only)));
            tweaks.collect::<Result<_, _>>().map(Musig2Tweaks::Generic)
        }
    }
}

/// A MuSig2 call that yields a nonce or a signature. Made by [`crate::keyring::Keyring::musig2_create_request`] and
/// [`crate::keyring::Keyring::musig2_sign_request`]. No `Debug`, no `Clone`: it may hold a secret nonce.
pub struct Musig2Request {
    pub(super) key: KeyLocator,
    pub(super) pregenerated: bool,
    pub(super) open_sessions: usize,
    pub(super) step: Step,
}

pub(super) enum Step {
    Create(Box<CreateSession>),
    Sign { session: SessionId, message: [u8; 32], cleanup: bool },
}

impl Musig2Request {
    /// Our key.
    pub fn key(&self) -> KeyLocator {
        self.key
    }

    /// Sessions that were open when the request was made.
    pub fn open_sessions(&self) -> usize {
        self.open_sessions
    }

    /// What policy sees.
    pub fn ask(&self) -> Musig2Ask {
        let step = match self.step {
            Step::Create(_) => Musig2Step::Create,
            Step::Sign { .. } => Musig2Step::Sign,
        };
        Musig2Ask { key: self.key, pregenerated_nonce: self.pregenerated, step }
    }

    /// Digest of the request.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Digest::new(b"strongroom/musig2/1");
        digest.key(self.key);
        match &self.step {
            Step::Create(create) => {
                digest.part(b"create").part(&[create.version as u8]);
                for key in &create.signers {
                    digest.part(&key.serialize());
                }
                for nonce in &create.other_nonces {
                    digest.part(&nonce.serialize());
                }
                match &create.tweaks {
                    Musig2Tweaks::Generic(tweaks) => {
                        for (tweak, x_only) in tweaks {
                            digest.part(tweak).part(&[u8::from(*x_only)]);
                        }
                    }
                    Musig2Tweaks::Taproot(None) => {
                        digest.part(b"bip86");
                    }
                    Musig2Tweaks::Taproot(Some(root)) => {
                        digest.part(b"taproot").part(root);
                    }
                }
                digest.part(&[u8::from(create.pregenerated.is_some())]);
            }
            Step::Sign { session, message, cleanup } => {
                digest.part(b"sign").part(&session.0).part(message).part(&[u8::from(*cleanup)]);
            }
        }
        digest.finish()
    }
}
