//! Recognition of the keys of one branch, as far as the lookahead reaches.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};

use bitcoin::bip32::Xpub;
use bitcoin::hashes::Hash as _;
use bitcoin::{Script, WPubkeyHash};
use secp256k1::PublicKey;

use super::child;
use crate::script;

/// Keys derived per call at most, so that a request naming a far index costs milliseconds, not minutes.
pub(super) const STEP: u32 = 256;
/// Keys of one branch recognised at most: 32 MB.
pub(super) const CEILING: u32 = 400_000;
/// How many windows beyond the last key used are searched for an output that the window does not explain: 20,000 keys,
/// of which each is derived once, ever. So a flood of addresses that nobody pays keeps none of our own from being
/// recognised, and a flood of strangers' scripts costs no more than the first of them.
const WINDOWS_SEARCHED: u32 = 20;

/// What a key is recognised by: a tag and up to 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Print([u8; 33]);

impl Print {
    fn of(tag: u8, bytes: &[u8]) -> Self {
        let mut print = [0; 33];
        print[0] = tag;
        print[1..=bytes.len()].copy_from_slice(bytes);
        Self(print)
    }

    /// A compressed public key is its own print: its tag is 2 or 3.
    pub(super) fn key(key: &[u8; 33]) -> Self {
        Self(*key)
    }

    pub(super) fn p2wpkh(script: &Script) -> Option<Self> {
        script.is_p2wpkh().then(|| Self::of(0x10, &script.as_bytes()[2..]))
    }

    pub(super) fn p2wsh(script: &Script) -> Option<Self> {
        script.is_p2wsh().then(|| Self::of(0x11, &script.as_bytes()[2..]))
    }

    pub(super) fn p2sh(script: &Script) -> Option<Self> {
        script.is_p2sh().then(|| Self::of(0x12, &script.as_bytes()[2..22]))
    }

    pub(super) fn p2tr(script: &Script) -> Option<Self> {
        script.is_p2tr().then(|| Self::of(0x13, &script.as_bytes()[2..]))
    }
}

/// How a key is looked for: one or two prints.
pub(super) type PrintsOf = fn(&PublicKey) -> [Option<Print>; 2];

/// By itself.
pub(super) fn of_key(key: &PublicKey) -> [Option<Print>; 2] {
    [Some(Print(key.serialize())), None]
}

/// By both forms of `to_remote`.
pub(super) fn of_to_remote(key: &PublicKey) -> [Option<Print>; 2] {
    let bytes = key.serialize();
    let plain = Print::of(0x10, WPubkeyHash::hash(&bytes).as_byte_array());
    [Some(plain), Print::p2wsh(&script::to_remote_script(&bytes).to_p2wsh())]
}

struct Table {
    indexes: HashMap<Print, u32>,
    /// Indexes below this are in the table.
    filled: u32,
    highest_used: Option<u32>,
}

/// Keys 0 to the highest one used + lookahead of one branch.
pub(super) struct Lookahead {
    branch: Xpub,
    ahead: u32,
    prints_of: PrintsOf,
    table: RwLock<Table>,
    /// Held while deriving, so that two threads do not derive the same keys; no lookup waits for it.
    growing: Mutex<()>,
}

impl Lookahead {
    pub(super) fn new(branch: Xpub, ahead: u32, prints_of: PrintsOf) -> Self {
        let table = Table { indexes: HashMap::new(), filled: 0, highest_used: None };
        Self { branch, ahead, prints_of, table: RwLock::new(table), growing: Mutex::new(()) }
    }

    /// Derives the first keys, once.
    pub(super) fn fill(&self) {
        if self.read().filled < self.ahead {
            let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
            self.grow(self.ahead, u32::MAX);
        }
    }

    pub(super) fn find(&self, print: &Print) -> Option<u32> {
        let index = self.peek(print)?;
        self.note_used(index);
        Some(index)
    }

    /// The same, and the window stays where it is.
    pub(super) fn peek(&self, print: &Print) -> Option<u32> {
        self.read().indexes.get(print).copied()
    }

    /// Moves the window past `index`, by [`STEP`] keys at most; not at all while another thread moves it, for the
    /// next use will.
    pub(super) fn note_used(&self, index: u32) {
        let target = {
            let table = self.read();
            if table.highest_used.is_some_and(|highest| highest >= index) {
                return;
            }
            self.target(index)
        };
        let Ok(_growing) = self.growing.try_lock() else { return };
        let filled = self.grow(target, STEP);
        self.believe(index, filled);
    }

    /// Derives `step` more keys beyond the window at most. Returns whether there are yet more to be searched.
    pub(super) fn search_on(&self, step: u32) -> bool {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.search_end();
        self.grow(end, step) < end
    }

    /// Whether keys are left that a search would derive.
    pub(super) fn may_be_searched(&self) -> bool {
        self.read().filled < self.search_end()
    }

    fn search_end(&self) -> u32 {
        let next = self.highest_used().map_or(0, |highest| highest.saturating_add(1));
        next.saturating_add(self.ahead.saturating_mul(WINDOWS_SEARCHED)).min(CEILING)
    }

    /// Moves the window past `index` at once.
    pub(super) fn restore(&self, index: u32) {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = self.grow(self.target(index), u32::MAX);
        self.believe(index, filled);
    }

    /// An index far ahead of the window counts as used only once the window has reached it.
    fn believe(&self, index: u32, filled: u32) {
        if index < filled {
            let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
            table.highest_used = table.highest_used.max(Some(index));
        }
    }

    pub(super) fn highest_used(&self) -> Option<u32> {
        self.read().highest_used
    }

    fn target(&self, index: u32) -> u32 {
        index.saturating_add(1).saturating_add(self.ahead).min(CEILING)
    }

    /// Derives keys up to `target`, at most `step`; answers how far the table reaches now. The caller holds `growing`.
    fn grow(&self, target: u32, step: u32) -> u32 {
        let filled = self.read().filled;
        let target = target.min(filled.saturating_add(step));
        if filled >= target {
            return filled;
        }
        let derived: Vec<(Print, u32)> = (filled..target)
            .flat_map(|index| {
                let key = child(&self.branch, index).public_key;
                (self.prints_of)(&key).into_iter().flatten().map(move |print| (print, index))
            })
            .collect();
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.indexes.extend(derived);
        table.filled = target;
        target
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}
