//! Reads leaves for those who follow the journal.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::keys;
use crate::store::Store;

/// How often a follower looks for new leaves.
const POLL: Duration = Duration::from_millis(200);
/// Leaves read in one go, so that the store is let go of in between.
const CHUNK: usize = 512;

/// Sends leaves from `next` on, until there are no more (or, following, until the reader or the journal is gone).
pub(super) fn run(store: &Weak<dyn Store>, mut next: u64, follow: bool, to: &Sender<(u64, Vec<u8>)>) {
    loop {
        let Some(store) = store.upgrade() else { return };
        let mut chunk = Vec::new();
        for entry in store.scan(keys::LEAF, &keys::leaf(next)).take(CHUNK) {
            match entry {
                Ok((_, leaf)) => chunk.push(leaf),
                Err(e) => {
                    tracing::error!(leaf = next, error = %e, "a leaf cannot be read");
                    return;
                }
            }
        }
        drop(store);
        let caught_up = chunk.len() < CHUNK;
        for leaf in chunk {
            if to.blocking_send((next, leaf)).is_err() {
                return;
            }
            next += 1;
        }
        if caught_up {
            if !follow || to.is_closed() {
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}
