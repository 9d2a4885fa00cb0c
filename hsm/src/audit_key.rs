//! The audit signing key's public half: its encodings, and the check every signature passes
//! before it is released.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use serde::Serialize;

use crate::error::HsmError;

/// The curve of the audit key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditCurve {
    /// NIST P-256, taken where the token has it: every tool can verify it.
    P256,
    /// secp256k1, for tokens that have no P-256.
    Secp256k1,
}

impl AuditCurve {
    /// The curve's name as RFC 8812 and JOSE write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::Secp256k1 => "secp256k1",
        }
    }

    /// DER of the curve's object identifier, the value of CKA_EC_PARAMS.
    pub(crate) fn ec_params(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::Secp256k1 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a],
        }
    }

    pub(crate) fn from_ec_params(der: &[u8]) -> Option<Self> {
        [Self::P256, Self::Secp256k1].into_iter().find(|curve| curve.ec_params() == der)
    }
}

/// A point on its curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPublicKey {
    curve: AuditCurve,
    sec1: [u8; 65],
}

impl AuditPublicKey {
    /// The key from a CKA_EC_POINT: a SEC1 point, compressed or not, bare or inside a DER
    /// OCTET STRING (PKCS#11 asks for the latter, modules differ).
    pub(crate) fn from_ec_point(curve: AuditCurve, point: &[u8]) -> Option<Self> {
        let point = match point {
            [0x04, len, inner @ ..] if inner.len() == usize::from(*len) && point.len() != 65 => inner,
            bare => bare,
        };
        let sec1 = match curve {
            AuditCurve::P256 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
                key.to_encoded_point(false).as_bytes().try_into().ok()?
            }
            AuditCurve::Secp256k1 => secp256k1::PublicKey::from_slice(point).ok()?.serialize_uncompressed(),
        };
        Some(Self { curve, sec1 })
    }

    /// The curve.
    pub fn curve(&self) -> AuditCurve {
        self.curve
    }

    /// The uncompressed SEC1 point.
    pub fn sec1(&self) -> &[u8; 65] {
        &self.sec1
    }

    /// The key as SubjectPublicKeyInfo (RFC 5480), DER: what `openssl pkey -pubin` reads.
    pub fn to_spki_der(&self) -> Vec<u8> {
        /// id-ecPublicKey.
        const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        let bits = [&[0x03, 66, 0x00], self.sec1.as_slice()].concat();
        let algorithm = sequence(&[EC_PUBLIC_KEY, self.curve.ec_params()]);
        sequence(&[&algorithm, &bits])
    }

    /// Checks a 64-byte `r ‖ s` signature over a 32-byte digest. A high `s` fails.
    pub fn verify(&self, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
        normalised(self.curve, signature) == Some(*signature) && self.verify_normalised(digest, signature)
    }

    fn verify_normalised(&self, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
        match self.curve {
            AuditCurve::P256 => {
                let Ok(key) = p256::ecdsa::VerifyingKey::from_sec1_bytes(&self.sec1) else {
                    return false;
                };
                let Ok(signature) = p256::ecdsa::Signature::from_slice(signature) else {
                    return false;
                };
                key.verify_prehash(digest, &signature).is_ok()
            }
            AuditCurve::Secp256k1 => {
                let Ok(key) = secp256k1::PublicKey::from_slice(&self.sec1) else {
                    return false;
                };
                let Ok(signature) = secp256k1::ecdsa::Signature::from_compact(signature) else {
                    return false;
                };
                let digest = secp256k1::Message::from_digest(*digest);
                secp256k1::SECP256K1.verify_ecdsa(&digest, &signature, &key).is_ok()
            }
        }
    }

    /// Turns what a token answered into what is released: 64 bytes, low `s`, verified.
    pub(crate) fn accept(&self, digest: &[u8; 32], raw: &[u8]) -> Result<[u8; 64], HsmError> {
        let raw: &[u8; 64] = raw.try_into().map_err(|_| HsmError::BadSignature)?;
        let signature = normalised(self.curve, raw).ok_or(HsmError::BadSignature)?;
        if self.verify_normalised(digest, &signature) { Ok(signature) } else { Err(HsmError::BadSignature) }
    }
}

/// The signature with the lower of its two `s` values; none if it is no signature.
fn normalised(curve: AuditCurve, raw: &[u8; 64]) -> Option<[u8; 64]> {
    match curve {
        AuditCurve::P256 => {
            let signature = p256::ecdsa::Signature::from_slice(raw).ok()?;
            Some(signature.normalize_s().unwrap_or(signature).to_bytes().into())
        }
        AuditCurve::Secp256k1 => {
            let mut signature = secp256k1::ecdsa::Signature::from_compact(raw).ok()?;
            signature.normalize_s();
            Some(signature.serialize_compact())
        }
    }
}

/// DER SEQUENCE of parts that are together shorter than 128 bytes, as these are.
fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[0x30, body.len() as u8], body.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6979, A.2.5: P-256, SHA-256("sample"). Its s is high.
    const POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                         7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    const DIGEST: &str = "af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf";
    const SIGNATURE: &str = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                             f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    fn vector() -> (AuditPublicKey, [u8; 32], Vec<u8>) {
        let key = AuditPublicKey::from_ec_point(AuditCurve::P256, &bytes(POINT)).unwrap();
        (key, bytes(DIGEST).try_into().unwrap(), bytes(SIGNATURE))
    }

    #[test]
    fn a_wrong_signature_is_not_released() {
        let (key, digest, signature) = vector();
        let refused = |digest: &[u8; 32], raw: &[u8]| {
            assert!(matches!(key.accept(digest, raw), Err(HsmError::BadSignature)));
        };
        refused(&[1; 32], &signature);
        refused(&digest, &signature[..63]);
        refused(&digest, &[0; 64]);
        refused(&digest, &[0xff; 64]);
        let mut flipped = signature.clone();
        flipped[40] ^= 1;
        refused(&digest, &flipped);
        refused(&digest, b"");
    }

    #[test]
    fn a_high_s_is_lowered_and_only_the_low_one_verifies() {
        let (key, digest, high) = vector();
        let low = key.accept(&digest, &high).unwrap();
        assert_ne!(low.as_slice(), high);
        assert!(key.verify(&digest, &low));
        assert!(!key.verify(&digest, &high.try_into().unwrap()));
    }

    #[test]
    fn reads_every_form_of_a_point() {
        let (key, ..) = vector();
        let bare = bytes(POINT);
        let wrapped = [&[0x04, 65], bare.as_slice()].concat();
        let compressed = [&[0x03], &bare[1..33]].concat();
        for point in [&wrapped, &compressed] {
            assert_eq!(AuditPublicKey::from_ec_point(AuditCurve::P256, point), Some(key));
        }
        let mut off_curve = bare.clone();
        off_curve[64] ^= 1;
        assert_eq!(AuditPublicKey::from_ec_point(AuditCurve::P256, &off_curve), None);
        assert_eq!(AuditPublicKey::from_ec_point(AuditCurve::Secp256k1, &bare), None);
        assert_eq!(AuditPublicKey::from_ec_point(AuditCurve::P256, &[]), None);
    }

    #[test]
    fn spki_begins_as_openssl_writes_it() {
        let (key, ..) = vector();
        let der = key.to_spki_der();
        assert_eq!(der[..26], bytes("3059301306072a8648ce3d020106082a8648ce3d030107034200"));
        assert_eq!(der.len(), 91);
    }
}
