//! Private keys that do not outlive their use.

use std::ops::Deref;

use secp256k1::{Keypair, SecretKey};

/// A private key, erased when it goes out of scope. `SecretKey` itself is `Copy` and is never erased.
///
/// No `Debug`, no `Clone`.
pub(super) struct Secret(SecretKey);

impl Secret {
    pub(super) fn new(mut key: SecretKey) -> Self {
        let secret = Self(key);
        key.non_secure_erase();
        secret
    }

    /// `None` unless 0 < key < n.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        SecretKey::from_slice(bytes).ok().map(Self::new)
    }
}

impl Deref for Secret {
    type Target = SecretKey;

    fn deref(&self) -> &SecretKey {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

/// A key pair, erased when it goes out of scope.
pub(super) struct SecretPair(Keypair);

impl SecretPair {
    pub(super) fn new(mut pair: Keypair) -> Self {
        let secret = Self(pair);
        pair.non_secure_erase();
        secret
    }
}

impl Deref for SecretPair {
    type Target = Keypair;

    fn deref(&self) -> &Keypair {
        &self.0
    }
}

impl Drop for SecretPair {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

/// Overwrites the part of the stack below the caller, where deep calls (hashes, ciphers) left copies of secrets that
/// no destructor reaches. Best effort.
#[inline(never)]
pub(super) fn scrub_stack() {
    let mut below = [0u8; 16 << 10];
    std::hint::black_box(&mut below);
}
