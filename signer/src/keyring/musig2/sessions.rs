//! The sessions of one node: bounded in number, ended when idle for too long. lnd never ends its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use strongroom_hsm::LockedArena;
use zeroize::Zeroize as _;

use super::error::SessionError;
use super::nonce::SecretNonce;
use super::request::SessionId;
use super::session::{Session, Slot};
use crate::keyring::error::KeyringError;

/// Bounds of the MuSig2 sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Sessions at once; one more makes the one unused for longest give way.
    pub sessions: usize,
    /// Time without use after which a session ends.
    pub lifetime: Duration,
}

impl Default for SessionLimits {
    /// 1,000 sessions, ten minutes.
    fn default() -> Self {
        Self { sessions: 1_000, lifetime: Duration::from_secs(600) }
    }
}

/// All sessions of a node.
pub(in crate::keyring) struct Sessions {
    limits: SessionLimits,
    table: Mutex<Table>,
}

pub(super) struct Table {
    limits: SessionLimits,
    /// Secret nonces. `None` once wiped.
    nonces: Option<LockedArena>,
    free: Vec<Slot>,
    sessions: HashMap<SessionId, Entry>,
    /// Sessions by the turn of their last use.
    by_use: BTreeMap<u64, SessionId>,
    turn: u64,
}

struct Entry {
    session: Session,
    turn: u64,
    used: Instant,
}

impl Sessions {
    pub(in crate::keyring) fn new(limits: SessionLimits) -> Result<Self, KeyringError> {
        let mut nonces = LockedArena::with_capacity(limits.sessions)?;
        let mut free = Vec::with_capacity(limits.sessions);
        for _ in 0..limits.sessions {
            free.push(Slot(nonces.push(&mut [0; LockedArena::SLOT])?));
        }
        let table = Table {
            limits,
            nonces: Some(nonces),
            free,
            sessions: HashMap::new(),
            by_use: BTreeMap::new(),
            turn: 0,
        };
        Ok(Self { limits, table: Mutex::new(table) })
    }

    /// The table, without what has expired.
    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.expire();
        table
    }

    pub(super) fn unknown(&self, id: SessionId) -> KeyringError {
        SessionError::Unknown { id: id.to_string(), idle: self.limits.lifetime.as_secs() }.into()
    }

    /// Ends every session and erases every nonce, for good.
    pub(in crate::keyring) fn wipe(&self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.nonces = None;
        table.free.clear();
        table.sessions.clear();
        table.by_use.clear();
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Adds a session whose nonce is kept in locked memory until it signs.
    pub(super) fn insert(
        &mut self,
        id: SessionId,
        nonce: &SecretNonce,
        session: impl FnOnce(Slot) -> Session,
    ) -> Result<(), KeyringError> {
        if self.nonces.is_none() {
            return Err(KeyringError::Sealed);
        }
        // Only a nonce that the client brought can come twice (lnd does so after a restart), and whoever knows a
        // secret nonce has the key already: the new session takes the old one's place, as in lnd.
        self.end(id);
        while self.sessions.len() >= self.limits.sessions.max(1) {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.end(oldest);
        }
        let slot = self.free.pop().ok_or(SessionError::Off)?;
        if let Some(memory) = self.nonces.as_mut().and_then(|nonces| nonces.slot_mut(slot.0)) {
            memory.copy_from_slice(&*nonce.to_bytes());
        }
        self.turn += 1;
        self.by_use.insert(self.turn, id);
        self.sessions.insert(id, Entry { session: session(slot), turn: self.turn, used: Instant::now() });
        Ok(())
    }

    /// A session, to be used.
    pub(super) fn get(&mut self, id: SessionId) -> Option<&mut Session> {
        let entry = self.sessions.get_mut(&id)?;
        self.by_use.remove(&entry.turn);
        self.turn += 1;
        entry.turn = self.turn;
        entry.used = Instant::now();
        self.by_use.insert(entry.turn, id);
        Some(&mut entry.session)
    }

    /// Takes a nonce out of memory and erases it there: the slot is used up, whatever comes of it.
    pub(super) fn take_nonce(&mut self, slot: Slot) -> Option<SecretNonce> {
        let memory = self.nonces.as_mut()?.slot_mut(slot.0)?;
        let nonce = SecretNonce::from_bytes(memory);
        memory.zeroize();
        self.free.push(slot);
        nonce
    }

    /// Ends a session. Whether there was one.
    pub(super) fn end(&mut self, id: SessionId) -> bool {
        let Some(entry) = self.sessions.remove(&id) else { return false };
        self.by_use.remove(&entry.turn);
        if let Some(slot) = entry.session.into_slot() {
            drop(self.take_nonce(slot));
        }
        true
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some((_, id)) = self.by_use.first_key_value() {
            let id = *id;
            let idle = self.sessions.get(&id).map(|entry| now.saturating_duration_since(entry.used));
            if idle.is_some_and(|idle| idle < self.limits.lifetime) {
                return;
            }
            self.by_use.pop_first();
            self.end(id);
        }
    }
}
