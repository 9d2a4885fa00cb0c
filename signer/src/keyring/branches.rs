//! The secrets that are kept: one extended private key for each branch that lnd uses. Every other private key is one
//! hash and one addition away, made when needed and erased after.

use std::sync::{PoisonError, RwLock};

use secp256k1::{All, Secp256k1};
use strongroom_hsm::LockedArena;
use strongroom_policy::{KeyLocator, KeyPath, WalletPath};
use zeroize::Zeroizing;

use super::derivation::{Account, LAST_FAMILY, WALLET_PURPOSES, child_parts};
use super::error::KeyringError;
use super::secret::Secret;

/// Two branches of each wallet account, one of each channel family.
const COUNT: usize = 2 * WALLET_PURPOSES.len() + LAST_FAMILY as usize + 1;

/// Branch keys: secrets in locked memory, public keys beside.
pub(super) struct Branches {
    /// By slot: private key, chain code. `None` once wiped.
    secrets: RwLock<Option<LockedArena>>,
    /// By slot: compressed public key.
    points: Vec<[u8; 33]>,
}

impl Branches {
    /// Room for every branch, none in it yet.
    pub(super) fn empty() -> Result<Self, KeyringError> {
        let secrets = RwLock::new(Some(LockedArena::with_capacity(COUNT)?));
        Ok(Self { secrets, points: Vec::with_capacity(COUNT) })
    }

    /// Adds the branches of the next account, in the order of [`slot`].
    pub(super) fn add(&mut self, secp: &Secp256k1<All>, account: &Account) -> Result<(), KeyringError> {
        let point = account.key.key.public_key(secp);
        let last_branch = if WALLET_PURPOSES.contains(&account.path.purpose) { 1 } else { 0 };
        let arena = self.secrets.get_mut().unwrap_or_else(PoisonError::into_inner);
        let arena = arena.as_mut().ok_or(KeyringError::Sealed)?;
        for branch in 0..=last_branch {
            let branch = account.key.normal(&point, branch)?;
            let mut slot = Zeroizing::new([0u8; LockedArena::SLOT]);
            slot[..32].copy_from_slice(&*Zeroizing::new(branch.key.secret_bytes()));
            slot[32..].copy_from_slice(&*branch.chain_code);
            arena.push(&mut slot)?;
            self.points.push(branch.key.public_key(secp).serialize());
        }
        Ok(())
    }

    /// The private key at `path`.
    pub(super) fn secret(&self, path: &KeyPath) -> Result<Secret, KeyringError> {
        let unknown = || KeyringError::UnknownKey(*path);
        let (slot, index) = slot(path).ok_or_else(unknown)?;
        let point = self.points.get(slot).ok_or_else(unknown)?;
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let branch = secrets.as_ref().ok_or(KeyringError::Sealed)?.slot(slot).ok_or_else(unknown)?;
        let (key, chain_code) = branch.split_at(32);
        let out_of_range = || KeyringError::NoKey("a branch key is out of range");
        let key = key.try_into().ok().and_then(Secret::from_bytes).ok_or_else(out_of_range)?;
        let chain_code = chain_code.try_into().map_err(|_| out_of_range())?;
        child_parts(&key, chain_code, point, index).map(|(key, _)| key)
    }

    /// Erases every secret, for good.
    pub(super) fn wipe(&self) {
        self.secrets.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether the secrets are gone.
    pub(super) fn is_wiped(&self) -> bool {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// Slot of the branch, and index in it.
fn slot(path: &KeyPath) -> Option<(usize, u32)> {
    let (slot, index) = match *path {
        KeyPath::Wallet(WalletPath { purpose, branch, index }) => {
            let account = WALLET_PURPOSES.iter().position(|p| *p == purpose)?;
            let branch = usize::try_from(branch).ok().filter(|branch| *branch <= 1)?;
            (2 * account + branch, index)
        }
        KeyPath::Lightning(KeyLocator { family, index }) => {
            let family = usize::try_from(family).ok().filter(|_| family <= LAST_FAMILY)?;
            (2 * WALLET_PURPOSES.len() + family, index)
        }
    };
    (index < 1 << 31).then_some((slot, index))
}
