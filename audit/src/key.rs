//! The public key that heads are verified with.

use std::fmt;
use std::str::FromStr;

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use sha2::{Digest as _, Sha256};

/// Public half of the audit key in the HSM, written `p256:<hex SEC1 point>` or `secp256k1:<hex SEC1 point>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditKey {
    /// NIST P-256, which every HSM has.
    P256(p256::ecdsa::VerifyingKey),
    /// Bitcoin's curve.
    Secp256k1(secp256k1::PublicKey),
}

/// Text that is no audit key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditKeyError {
    /// No or an unknown curve before the colon.
    #[error("audit key {given:?} does not begin with p256: or secp256k1:")]
    Curve {
        /// The text.
        given: String,
    },
    /// Not a point of the curve.
    #[error("audit key {given:?} is not a hex SEC1 point on {curve}")]
    Point {
        /// The text after the colon.
        given: String,
        /// The curve.
        curve: &'static str,
    },
}

impl AuditKey {
    /// A P-256 key from a SEC1 point, compressed or not.
    ///
    /// # Errors
    /// [`AuditKeyError::Point`] if it is no point of the curve.
    pub fn p256(sec1: &[u8]) -> Result<Self, AuditKeyError> {
        let refused = |_| AuditKeyError::Point { given: shown(&hex::encode(sec1)), curve: "p256" };
        p256::ecdsa::VerifyingKey::from_sec1_bytes(sec1).map(Self::P256).map_err(refused)
    }

    /// A secp256k1 key from a SEC1 point, compressed or not.
    ///
    /// # Errors
    /// [`AuditKeyError::Point`] if it is no point of the curve.
    pub fn secp256k1(sec1: &[u8]) -> Result<Self, AuditKeyError> {
        let refused = |_| AuditKeyError::Point { given: shown(&hex::encode(sec1)), curve: "secp256k1" };
        secp256k1::PublicKey::from_slice(sec1).map(Self::Secp256k1).map_err(refused)
    }

    /// The compressed SEC1 point.
    pub fn to_sec1(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => key.to_encoded_point(true).as_bytes().to_vec(),
            Self::Secp256k1(key) => key.serialize().to_vec(),
        }
    }

    /// Name of the curve as in the text form.
    pub fn curve(&self) -> &'static str {
        match self {
            Self::P256(_) => "p256",
            Self::Secp256k1(_) => "secp256k1",
        }
    }

    /// Four bytes that tell keys apart in a signature line: C2SP's construction with a signature type of our own,
    /// `SHA256(name ‖ 0x0a ‖ 0xff ‖ type ‖ key)[..4]`.
    pub(crate) fn id(&self, name: &str) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([0x0a, 0xff])
            .chain_update(format!("strongroom ecdsa-sha256 {}", self.curve()))
            .chain_update(self.to_sec1())
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Whether `signature` (r ‖ s, high or low s) is this key's on `digest`.
    pub(crate) fn verifies(&self, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
        match self {
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
            Self::Secp256k1(key) => {
                let Ok(mut signature) = secp256k1::ecdsa::Signature::from_compact(signature) else {
                    return false;
                };
                // HSMs make high s half of the time; libsecp256k1 takes low s only.
                signature.normalize_s();
                let message = secp256k1::Message::from_digest(*digest);
                secp256k1::SECP256K1.verify_ecdsa(&message, &signature, key).is_ok()
            }
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(160).collect()
}

impl FromStr for AuditKey {
    type Err = AuditKeyError;
    fn from_str(text: &str) -> Result<Self, AuditKeyError> {
        let unknown = || AuditKeyError::Curve { given: shown(text) };
        let (curve, point) = text.split_once(':').ok_or_else(unknown)?;
        let bytes =
            |curve| hex::decode(point).map_err(|_| AuditKeyError::Point { given: shown(point), curve });
        match curve {
            "p256" => Self::p256(&bytes("p256")?),
            "secp256k1" => Self::secp256k1(&bytes("secp256k1")?),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.curve(), hex::encode(self.to_sec1()))
    }
}
