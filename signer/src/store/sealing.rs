//! Values sealed at rest with AES-256-GCM.
//!
//! Nonces are a counter under a key of their own for each opening of the store, so they never repeat, however
//! many values are written, and not even when an old copy of the store is restored: each opening draws a fresh
//! 32-byte salt, and its key is HMAC-SHA256(store key, label ‖ salt).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use aes_gcm::aead::{Aead, AeadInPlace, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use strongroom_hsm::LockedBytes;
use zeroize::Zeroizing;

const LABEL: &[u8] = b"strongroom store value key v1";
const HEADER: usize = 4 + 8;
/// Bytes of an AES-GCM tag.
const TAG: usize = 16;

/// The key under which a store's values are sealed; itself sealed by the HSM.
pub struct StoreKey(LockedBytes);

/// A sealed value that does not open.
#[derive(Debug, thiserror::Error)]
#[error("value does not open")]
pub struct SealingError;

impl StoreKey {
    /// Takes the 32-byte key that the HSM opened.
    pub fn new(key: LockedBytes) -> Self {
        Self(key)
    }

    fn epoch_cipher(&self, salt: &[u8]) -> Aes256Gcm {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(LABEL);
        mac.update(salt);
        let key = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        Aes256Gcm::new_from_slice(&*key).expect("the key is 32 bytes")
    }
}

/// Seals and opens values: the store key with one salt for each time the store was opened.
pub(super) struct Sealer {
    current: (u32, Aes256Gcm),
    past: HashMap<u32, Aes256Gcm>,
    counter: AtomicU64,
}

impl Sealer {
    /// A sealer that opens values of all `epochs` and seals under the last. `epochs` is not empty.
    pub(super) fn new(key: &StoreKey, epochs: &[(u32, [u8; 32])]) -> Option<Self> {
        let (last, earlier) = epochs.split_last()?;
        Some(Self {
            current: (last.0, key.epoch_cipher(&last.1)),
            past: earlier.iter().map(|(n, salt)| (*n, key.epoch_cipher(salt))).collect(),
            counter: AtomicU64::new(0),
        })
    }

    /// Seals `value`, bound to the store key it stands under.
    pub(super) fn seal(&self, name: &[u8], value: &[u8]) -> Vec<u8> {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut header = [0u8; HEADER];
        header[..4].copy_from_slice(&self.current.0.to_be_bytes());
        header[4..].copy_from_slice(&count.to_be_bytes());
        let mut out = Vec::with_capacity(HEADER + value.len() + TAG);
        out.extend_from_slice(&header);
        out.extend_from_slice(value);
        let cipher = &self.current.1;
        let tag = cipher
            .encrypt_in_place_detached(Nonce::from_slice(&header), name, &mut out[HEADER..])
            .expect("a value is shorter than 64 GiB, the only limit of AES-GCM");
        out.extend_from_slice(&tag);
        out
    }

    /// Opens what `seal` made for the same name.
    pub(super) fn open(&self, name: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealingError> {
        let (header, body) = sealed.split_at_checked(HEADER).ok_or(SealingError)?;
        let epoch = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let cipher = if epoch == self.current.0 {
            &self.current.1
        } else {
            self.past.get(&epoch).ok_or(SealingError)?
        };
        cipher.decrypt(Nonce::from_slice(header), Payload { msg: body, aad: name }).map_err(|_| SealingError)
    }
}
