//! Partial signatures and their sum.

use secp256k1::{All, PublicKey, Scalar, Secp256k1, SecretKey, schnorr};

use super::arithmetic::{Point, Residue, is_odd, x_of};
use super::key_aggregation::CombinedKey;
use super::nonce::{PublicNonce, SecretNonce};
use crate::keyring::error::KeyringError;
use crate::keyring::requests::tagged_hash;
use crate::keyring::secret::Secret;

/// What all signers of one message share: BIP327's session values.
#[derive(Clone, Copy)]
pub(super) struct Signing {
    message: [u8; 32],
    /// The nonce point R.
    nonce: PublicKey,
    /// The nonce coefficient b.
    coefficient: Residue,
    /// The challenge e.
    challenge: Residue,
}

impl Signing {
    /// `None` cannot be: the generator stands in for infinity.
    pub(super) fn new(
        secp: &Secp256k1<All>,
        key: &CombinedKey,
        aggregate: &PublicNonce,
        message: [u8; 32],
    ) -> Option<Self> {
        let x = key.x();
        let coefficient =
            Residue::reduce(tagged_hash(b"MuSig/noncecoef", &[&aggregate.serialize(), &x, &message]));
        let [first, second] = aggregate.0;
        // Nonces that cancel out: the BIP goes on with the generator, and the signature fails at the end.
        let nonce = first.add(second.multiply(secp, coefficient)).0;
        let nonce = nonce.or_else(|| Point::generated(secp, Residue::one()).0)?;
        let challenge = Residue::reduce(tagged_hash(b"BIP0340/challenge", &[&x_of(&nonce), &x, &message]));
        Some(Self { message, nonce, coefficient, challenge })
    }

    /// Our partial signature, verified. Uses the nonce up.
    pub(super) fn sign(
        &self,
        secp: &Secp256k1<All>,
        key: &CombinedKey,
        secret: &Secret,
        nonce: SecretNonce,
    ) -> Result<Residue, KeyringError> {
        const NONE: KeyringError = KeyringError::NoKey("a partial signature is zero");
        let public_nonce = nonce.public(secp);
        let SecretNonce([first, second]) = nonce;
        // k1 + b·k2, negated if R is odd.
        let second =
            second.mul_tweak(&self.coefficient.factor().ok_or(NONE)?).map(Secret::new).map_err(|_| NONE)?;
        let nonce = add(&first, &second).ok_or(NONE)?;
        let nonce = if is_odd(&self.nonce) { Secret::new(nonce.negate()) } else { nonce };
        // e·a·(±d)
        let factor = self.key_factor(key).factor().ok_or(NONE)?;
        let weighed = secret.mul_tweak(&factor).map(Secret::new).map_err(|_| NONE)?;
        let signature = Residue::reduce(add(&nonce, &weighed).ok_or(NONE)?.secret_bytes());
        if !self.verifies(secp, key, &secret.public_key(secp), &public_nonce, signature) {
            return Err(KeyringError::DoesNotVerify("a MuSig2 session".to_owned()));
        }
        Ok(signature)
    }

    /// e·a·g, by which our private key counts.
    fn key_factor(&self, key: &CombinedKey) -> Residue {
        self.challenge.multiply(key.coefficient).negate_if(key.negates_own())
    }

    /// Whether s·G = ±(R1 + b·R2) + e·a·g·P.
    pub(super) fn verifies(
        &self,
        secp: &Secp256k1<All>,
        key: &CombinedKey,
        public_key: &PublicKey,
        nonce: &PublicNonce,
        signature: Residue,
    ) -> bool {
        let [first, second] = nonce.0;
        let nonce = first.add(second.multiply(secp, self.coefficient)).negate_if(secp, is_odd(&self.nonce));
        let weighed = Point(Some(*public_key)).multiply(secp, self.key_factor(key));
        Point::generated(secp, signature) == nonce.add(weighed)
    }

    /// The signature of which `sum` is the sum of all partial ones, if it verifies under the combined key.
    pub(super) fn combine(&self, secp: &Secp256k1<All>, key: &CombinedKey, sum: Residue) -> Option<[u8; 64]> {
        let tweak = self.challenge.multiply(key.tweak).negate_if(is_odd(&key.key));
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&x_of(&self.nonce));
        bytes[32..].copy_from_slice(&sum.add(tweak).to_bytes());
        let signature = schnorr::Signature::from_slice(&bytes).ok()?;
        let message = secp256k1::Message::from_digest(self.message);
        secp.verify_schnorr(&signature, &message, &key.key.x_only_public_key().0).ok()?;
        Some(bytes)
    }
}

fn add(a: &Secret, b: &SecretKey) -> Option<Secret> {
    let mut addend = Scalar::from(*b);
    let sum = a.add_tweak(&addend).map(Secret::new);
    addend.non_secure_erase();
    sum.ok()
}
