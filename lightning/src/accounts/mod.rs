//! The public side of one LND seed.

mod key_cache;
mod lookahead;
mod path;
mod wallet_scripts;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bitcoin::Script;
use bitcoin::bip32::{ChildNumber, Xpub};
use secp256k1::{PublicKey, SECP256K1, Scalar};
use strongroom_policy::{KeyLocator, KeyPath, WalletPath};

use crate::script::ToRemote;
use key_cache::KeyCache;
use lookahead::{Lookahead, Print};
use wallet_scripts::WalletScripts;

pub use path::AccountPath;

/// Keys beyond the highest one seen that we recognise as our own, per branch.
///
/// lnd hands out addresses one after another, and a restored wallet looks 250 ahead by default; a payment to an
/// address further ahead than this would be lost to lnd, so it is not "ours" either.
pub const LOOKAHEAD: u32 = 1_000;

/// Keys derived at a time by [`Accounts::search_ahead`].
const AT_LEISURE: u32 = 64;

/// The highest index of the wallet that an operator can move the lookahead past.
pub const FURTHEST: u32 = lookahead::CEILING - LOOKAHEAD - 1;

/// Channel key families that LND uses (`keychain/derivation.go`), 0 to 9.
const NAMED_FAMILIES: std::ops::RangeInclusive<u32> = 0..=9;

/// Public keys and scripts of one LND seed, by derivation from its account-level extended public keys.
///
/// Shared between threads; lookups are hash table reads. What PSBT fields say about fingerprints is ignored.
pub struct Accounts {
    coin: u32,
    branches: HashMap<(u32, u32, u32), Xpub>,
    keys: KeyCache,
    wallet: WalletScripts,
    families: HashMap<u32, Lookahead>,
    to_remote: Lookahead,
}

/// Why a set of accounts is no LND seed's public side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountsError {
    /// A wallet account or a channel family that LND needs is absent.
    #[error(
        "account {0} is missing; lnd needs m/49'/0'/0', m/84'/0'/0', m/86'/0'/0' and m/1017'/coin'/0' to 9'"
    )]
    Missing(AccountPath),
    /// Accounts under 1017' with different coin types.
    #[error("account {found} is of another coin than {expected}'")]
    MixedCoins {
        /// Coin type seen first.
        expected: u32,
        /// The account that differs.
        found: AccountPath,
    },
    /// An account that LND does not use.
    #[error("account {0} is none of lnd's")]
    Foreign(AccountPath),
    /// The same account twice.
    #[error("account {0} is given twice")]
    Duplicate(AccountPath),
}

/// A key that the accounts do not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no account of this node holds the key {0}")]
pub struct UnknownKey(pub KeyPath);

/// An index beyond what is ever recognised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("index {0}; allowed: at most {FURTHEST}, since every key before it is kept in memory")]
pub struct TooFar(pub u32);

/// Highest index known used on a branch of the wallet or of a channel family, to be kept over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// Any key of the branch, at the highest index seen.
    pub path: KeyPath,
}

/// A derived key with its compressed form, which is what scripts and PSBT fields are compared with.
#[derive(Debug)]
pub struct DerivedKey {
    /// The key.
    pub key: PublicKey,
    /// Its compressed form.
    pub bytes: [u8; 33],
    /// The last tweak added to it, and the sum.
    tweaked: Mutex<Option<([u8; 32], PublicKey)>>,
}

impl DerivedKey {
    pub(crate) fn new(key: PublicKey) -> Self {
        Self { key, bytes: key.serialize(), tweaked: Mutex::default() }
    }

    /// The key plus `tweak` times the generator: a channel's key under one per-commitment point. All HTLCs of a commitment
    /// ask for the same, so the last is kept. `None` if there is no such key.
    pub fn plus(&self, tweak: &[u8; 32]) -> Option<PublicKey> {
        let kept = || self.tweaked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, sum)) = *kept()
            && of == *tweak
        {
            return Some(sum);
        }
        let scalar = Scalar::from_be_bytes(*tweak).ok()?;
        let sum = self.key.add_exp_tweak(SECP256K1, &scalar).ok()?;
        *kept() = Some((*tweak, sum));
        Some(sum)
    }
}

impl Accounts {
    /// Accounts from extended public keys at account level, with the first [`LOOKAHEAD`] keys of each branch
    /// derived (some 7,000 point multiplications, spread over threads).
    pub fn new(accounts: Vec<(AccountPath, Xpub)>) -> Result<Self, AccountsError> {
        Self::with_lookahead(accounts, LOOKAHEAD)
    }

    /// The same with another lookahead.
    pub fn with_lookahead(accounts: Vec<(AccountPath, Xpub)>, ahead: u32) -> Result<Self, AccountsError> {
        let mut coin = None;
        let mut branches = HashMap::new();
        for (path, xpub) in accounts {
            if !path.is_lnd() {
                return Err(AccountsError::Foreign(path));
            }
            if path.purpose == AccountPath::LIGHTNING {
                let expected = *coin.get_or_insert(path.coin);
                if expected != path.coin {
                    return Err(AccountsError::MixedCoins { expected, found: path });
                }
            }
            let last_branch = if path.purpose == AccountPath::LIGHTNING { 0 } else { 1 };
            for branch in 0..=last_branch {
                let derived = child(&xpub, branch);
                if branches.insert((path.purpose, path.account, branch), derived).is_some() {
                    return Err(AccountsError::Duplicate(path));
                }
            }
        }
        let coin = coin.unwrap_or(0);
        let branch = |purpose, account, branch| {
            let path = AccountPath {
                purpose,
                coin: if purpose == AccountPath::LIGHTNING { coin } else { 0 },
                account,
            };
            branches.get(&(purpose, account, branch)).copied().ok_or(AccountsError::Missing(path))
        };
        let families = NAMED_FAMILIES
            .map(|f| Ok((f, Lookahead::new(branch(1017, f, 0)?, ahead, lookahead::of_key))))
            .collect::<Result<HashMap<_, _>, AccountsError>>()?;
        let to_remote =
            Lookahead::new(branch(1017, KeyLocator::PAYMENT_BASE, 0)?, ahead, lookahead::of_to_remote);
        let wallet = WalletScripts::new(branch, ahead)?;
        // The tables that classification reads are complete before the first request; the other families are
        // searched by public key alone, rarely, and are filled when first asked for.
        let multisig = &families[&KeyLocator::MULTISIG];
        std::thread::scope(|scope| {
            for table in wallet.tables().chain([multisig, &to_remote]) {
                scope.spawn(|| table.fill());
            }
        });
        Ok(Self { coin, branches, keys: KeyCache::default(), wallet, families, to_remote })
    }

    /// Coin type of the channel families: 0 on mainnet, 1 elsewhere.
    pub fn coin_type(&self) -> u32 {
        self.coin
    }

    /// The key at `path`.
    pub fn public_key(&self, path: &KeyPath) -> Result<PublicKey, UnknownKey> {
        self.derive(path).map(|derived| derived.key)
    }

    /// The key at `path` with its compressed form; cached.
    pub fn derive(&self, path: &KeyPath) -> Result<Arc<DerivedKey>, UnknownKey> {
        if let Some(cached) = self.keys.get(path) {
            return Ok(cached);
        }
        let (purpose, account, branch, index) = match *path {
            KeyPath::Wallet(w) => (w.purpose, 0, w.branch, w.index),
            KeyPath::Lightning(l) => (AccountPath::LIGHTNING, l.family, 0, l.index),
        };
        let xpub = self.branches.get(&(purpose, account, branch)).ok_or(UnknownKey(*path))?;
        if index >= 1 << 31 {
            return Err(UnknownKey(*path));
        }
        let key = child(xpub, index).public_key;
        let derived = Arc::new(DerivedKey::new(key));
        self.keys.insert(*path, derived.clone());
        Ok(derived)
    }

    /// Our key at a BIP32 path of five elements as LND writes it, if the path is one of ours.
    pub fn key_path(&self, path: &[u32]) -> Option<KeyPath> {
        let found = path::parse(path, self.coin)?;
        let account = match found {
            KeyPath::Wallet(w) => (w.purpose, 0, w.branch),
            KeyPath::Lightning(l) => (AccountPath::LIGHTNING, l.family, 0),
        };
        self.branches.contains_key(&account).then_some(found)
    }

    /// Whose wallet address a script is, within the lookahead: 49', 84' or 86', never a channel family.
    pub fn find_script(&self, script: &Script) -> Option<WalletPath> {
        self.wallet.find(script)
    }

    /// The same of a script that was only asked about: it is not in use, and the lookahead does not move.
    pub(crate) fn peek_script(&self, script: &Script) -> Option<WalletPath> {
        self.wallet.peek(script)
    }

    /// Whether one of these scripts may be our wallet's at an index that no lookup reaches yet.
    pub fn may_be_far<'a>(&self, mut scripts: impl Iterator<Item = &'a Script>) -> bool {
        scripts.any(|script| self.wallet.may_be_far(script))
    }

    /// Searches for these scripts beyond the lookahead while `goes_on` says so. LND's own addresses are there when
    /// many before them were handed out and never paid. Each key is derived once, ever: what strangers' scripts cost is
    /// bounded, however many there are.
    pub fn search<'a>(&self, scripts: impl Iterator<Item = &'a Script>, goes_on: impl Fn() -> bool) {
        for script in scripts {
            self.wallet.search(script, &goes_on);
        }
    }

    /// Derives a few of the keys that a [`search`](Self::search) would, so that in the end none has to wait for it: some
    /// milliseconds. Returns whether there are yet more.
    pub fn search_ahead(&self) -> bool {
        self.wallet.search_ahead(AT_LEISURE)
    }

    /// Moves the lookahead of one branch of the wallet past `path`, as an operator says that LND has.
    pub fn reach(&self, path: &WalletPath) -> Result<(), TooFar> {
        if path.index > FURTHEST {
            return Err(TooFar(path.index));
        }
        self.wallet.restore(path);
        Ok(())
    }

    /// Our multisig key `{0/i}` with this compressed form.
    pub fn find_multisig(&self, key: &[u8; 33]) -> Option<KeyLocator> {
        self.find_in_family(KeyLocator::MULTISIG, key)
    }

    /// Our key in `family` with this compressed form, within the lookahead of 1,000 keys. `None` for families
    /// above 9, which LND does not use.
    pub fn find_in_family(&self, family: u32, key: &[u8; 33]) -> Option<KeyLocator> {
        let table = self.families.get(&family)?;
        table.fill();
        table.find(&Print::key(key)).map(|index| KeyLocator { family, index })
    }

    /// The same in any of the families 0 to 9: at most ten tables, each filled once.
    pub fn find_any(&self, key: &[u8; 33]) -> Option<KeyLocator> {
        NAMED_FAMILIES.into_iter().find_map(|family| self.find_in_family(family, key))
    }

    /// Which `{3/i}` a script pays as `to_remote` (static remotekey P2WPKH or anchors P2WSH).
    pub fn find_to_remote(&self, script: &Script) -> Option<(KeyLocator, ToRemote)> {
        let (print, kind) = if script.is_p2wpkh() {
            (Print::p2wpkh(script)?, ToRemote::StaticKey)
        } else {
            (Print::p2wsh(script)?, ToRemote::Anchors)
        };
        let index = self.to_remote.find(&print)?;
        Some((KeyLocator { family: KeyLocator::PAYMENT_BASE, index }, kind))
    }

    /// Notes that a key is in use, so that the lookahead moves past it. Called by the parser for keys it has
    /// proven; moves the window a bounded step per call.
    pub(crate) fn note_used(&self, path: &KeyPath) {
        match *path {
            KeyPath::Wallet(w) => self.wallet.note_used(&w),
            KeyPath::Lightning(l) if l.family == KeyLocator::MULTISIG => {
                self.families[&KeyLocator::MULTISIG].note_used(l.index);
                self.to_remote.note_used(l.index);
            }
            KeyPath::Lightning(l) if l.family == KeyLocator::PAYMENT_BASE => {
                self.to_remote.note_used(l.index);
            }
            KeyPath::Lightning(_) => {}
        }
    }

    /// Highest index seen on each branch, for the journal to keep.
    pub fn marks(&self) -> Vec<Mark> {
        let family = |family, table: &Lookahead| {
            let index = table.highest_used()?;
            Some(Mark { path: KeyPath::Lightning(KeyLocator { family, index }) })
        };
        self.wallet
            .marks()
            .map(|path| Mark { path: KeyPath::Wallet(path) })
            .chain(family(KeyLocator::MULTISIG, &self.families[&KeyLocator::MULTISIG]))
            .chain(family(KeyLocator::PAYMENT_BASE, &self.to_remote))
            .collect()
    }

    /// Moves the lookahead to where it was when `marks` were taken.
    pub fn restore(&self, marks: &[Mark]) {
        let one = |mark: &Mark| match mark.path {
            KeyPath::Wallet(w) => self.wallet.restore(&w),
            KeyPath::Lightning(l) if l.family == KeyLocator::MULTISIG => {
                self.families[&KeyLocator::MULTISIG].restore(l.index);
            }
            KeyPath::Lightning(l) if l.family == KeyLocator::PAYMENT_BASE => {
                self.to_remote.restore(l.index);
            }
            KeyPath::Lightning(_) => {}
        };
        // Far ones take seconds.
        std::thread::scope(|scope| {
            for mark in marks {
                scope.spawn(move || one(mark));
            }
        });
    }
}

/// Unhardened child; `index` is below 2^31.
fn child(xpub: &Xpub, index: u32) -> Xpub {
    let number = ChildNumber::from_normal_idx(index).expect("indexes are below 2^31 here");
    xpub.ckd_pub(SECP256K1, number)
        .expect("an unhardened child of a public key fails with probability 2^-127")
}

#[cfg(test)]
mod tests;
