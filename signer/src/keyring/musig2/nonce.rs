//! Nonces: ours, which are secret and used once, and everybody's.

use secp256k1::{All, PublicKey, Secp256k1};
use zeroize::Zeroizing;

use super::arithmetic::Point;
use super::error::SessionError;
use crate::keyring::error::KeyringError;
use crate::keyring::requests::tagged_hash;
use crate::keyring::secret::Secret;

/// Bytes of a public nonce: two compressed points.
pub(super) const PUBLIC: usize = 66;

/// A signer's public nonce, or the sum of all.
#[derive(Clone, Copy)]
pub(super) struct PublicNonce(pub(super) [Point; 2]);

impl PublicNonce {
    /// One signer's: neither point is infinity.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SessionError> {
        if bytes.len() != PUBLIC {
            return Err(SessionError::NonceLength { given: bytes.len(), expected: PUBLIC });
        }
        let point =
            |bytes| PublicKey::from_slice(bytes).map(|p| Point(Some(p))).map_err(|_| SessionError::Nonce);
        Ok(Self([point(&bytes[..33])?, point(&bytes[33..])?]))
    }

    pub(super) fn add(self, other: Self) -> Self {
        Self([self.0[0].add(other.0[0]), self.0[1].add(other.0[1])])
    }

    pub(super) fn serialize(&self) -> [u8; PUBLIC] {
        let mut bytes = [0; PUBLIC];
        bytes[..33].copy_from_slice(&self.0[0].serialize());
        bytes[33..].copy_from_slice(&self.0[1].serialize());
        bytes
    }
}

/// Our secret nonce: two private keys. Not `Clone`, and signing takes it by value: it serves one signature.
pub(super) struct SecretNonce(pub(super) [Secret; 2]);

impl SecretNonce {
    /// BIP327's `NonceGen` with our key, the combined key, and no message: `fresh` are 32 new random bytes.
    pub(super) fn generate(
        fresh: &Zeroizing<[u8; 32]>,
        key: &Secret,
        public_key: &PublicKey,
        combined_x: &[u8; 32],
    ) -> Result<Self, KeyringError> {
        let mut seed = Zeroizing::new(tagged_hash(b"MuSig/aux", &[&**fresh]));
        let key = Zeroizing::new(key.secret_bytes());
        seed.iter_mut().zip(key.iter()).for_each(|(byte, key)| *byte ^= key);
        let half = |index: u8| {
            let parts: [&[u8]; 8] = [
                &*seed,
                &[33],
                &public_key.serialize(),
                &[32],
                combined_x,
                &[0],
                &0u32.to_be_bytes(),
                &[index],
            ];
            let hash = Zeroizing::new(tagged_hash(b"MuSig/nonce", &parts));
            // Reduced modulo the order in the BIP; refused here, which happens once in 2^127.
            Secret::from_bytes(&hash).ok_or(KeyringError::NoKey("a nonce is out of range"))
        };
        Ok(Self([half(0)?, half(1)?]))
    }

    /// From 64 bytes.
    pub(super) fn from_bytes(bytes: &[u8; 64]) -> Option<Self> {
        let (first, second) = bytes.split_at(32);
        let half = |half: &[u8]| half.try_into().ok().and_then(Secret::from_bytes);
        Some(Self([half(first)?, half(second)?]))
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<[u8; 64]> {
        let mut bytes = Zeroizing::new([0; 64]);
        for (half, to) in self.0.iter().zip(bytes.chunks_exact_mut(32)) {
            to.copy_from_slice(&*Zeroizing::new(half.secret_bytes()));
        }
        bytes
    }

    pub(super) fn public(&self, secp: &Secp256k1<All>) -> PublicNonce {
        PublicNonce([0, 1].map(|half: usize| Point(Some(self.0[half].public_key(secp)))))
    }
}
