//! Where the journal's state lives: a key-value store behind one narrow trait, values sealed at rest.
//!
//! The trait is narrow on purpose: the second implementation is a replicated database with fencing, for two
//! appliances in active/standby.

mod fjall_store;
mod log;
mod sealing;

use std::time::Duration;

pub use fjall_store::FjallStore;
pub use sealing::{SealingError, StoreKey};

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Writes that become durable together or not at all.
#[derive(Default)]
pub struct Batch {
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Nothing that stands on it is let go before the next `sync`.
    awaits_sync: bool,
}

impl Batch {
    /// Adds or replaces the value under `key`.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.writes.push((key, Some(value)));
    }

    /// Removes the value under `key`.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.writes.push((key, None));
    }

    /// The same, for which nobody is answered before a later `sync`: a killed process may lose it, and that saves a
    /// system call.
    pub fn awaiting_sync(mut self) -> Self {
        self.awaits_sync = true;
        self
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// Why the store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the file system refused.
    #[error("journal store: {0}")]
    Io(String),
    /// Free space fell below the reserve that a clean refusal needs.
    #[error("journal store: {free_mib} MiB free on disk, at least {reserve_mib} MiB needed")]
    DiskFull {
        /// MiB free.
        free_mib: u64,
        /// MiB that must stay free.
        reserve_mib: u64,
    },
    /// A value does not open under the store key: altered, swapped, or of another appliance.
    #[error("journal store: value under {key} does not open: altered or of another store")]
    Integrity {
        /// The store key, hex.
        key: String,
    },
    /// Another process holds the store.
    #[error("journal store: {path} is held by another process")]
    Held {
        /// The folder.
        path: String,
    },
}

/// A durable map with atomic batches.
///
/// Contract: `apply` makes a batch visible to `get` at once, atomically; what was applied is durable only when a
/// later `sync` returned `Ok`. What is not [`Batch::awaiting_sync`] outlives the process as soon as `apply` returns. Batches
/// become durable in the order they were applied: after a crash the store holds a prefix of them. After any `Err` from `apply` or `sync` the store must be dropped and opened again.
pub trait Store: Send + Sync {
    /// The value under `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Makes `batch` visible.
    fn apply(&self, batch: Batch) -> Result<(), StoreError>;
    /// Makes all that was applied before durable against loss of power, and keeps nobody else from applying meanwhile.
    /// Returns the time the disk took.
    fn sync(&self) -> Result<Duration, StoreError>;
    /// The last key that starts with `prefix`, and its value.
    fn last(&self, prefix: &[u8]) -> Result<Option<Pair>, StoreError>;
    /// All pairs whose key starts with `prefix`, in key order, from `from` on (a whole key).
    fn scan<'a>(
        &'a self,
        prefix: &[u8],
        from: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Pair, StoreError>> + 'a>;
}
