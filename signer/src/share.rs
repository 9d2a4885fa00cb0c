//! What one client may have under way at once, so that none can crowd the others out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Bytes from which a request is big: parsed and signed off the threads that serve everybody, and one after another
/// for each client. lnd's commitments stay below it up to some hundred HTLCs.
pub const BIG: usize = 8 << 10;

/// What one client has under way. All of its macaroons for one node draw on the same share.
#[derive(Debug, Default)]
pub struct Share {
    requests: AtomicUsize,
    connections: AtomicUsize,
    big: Arc<tokio::sync::Mutex<()>>,
}

/// One request under way. It counts until its last clone is gone: the one that waits for the answer and the one that
/// waits in the journal's queue, so that giving up early frees nothing.
#[derive(Clone, Debug)]
pub struct Turn(Arc<Held>);

#[derive(Debug)]
struct Held {
    share: Arc<Share>,
    big: Mutex<Option<OwnedMutexGuard<()>>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One open connection of a client; given back when it is dropped.
#[derive(Debug)]
pub struct Line(Arc<Share>);

impl Drop for Line {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Share {
    /// Begins a request; `None` while `limit` are under way.
    pub fn begin(self: &Arc<Self>, limit: usize) -> Option<Turn> {
        count(&self.requests, limit)
            .then(|| Turn(Arc::new(Held { share: self.clone(), big: Mutex::default() })))
    }

    /// Counts a connection; `None` while there are `limit`.
    pub fn connect(self: &Arc<Self>, limit: usize) -> Option<Line> {
        count(&self.connections, limit).then(|| Line(self.clone()))
    }
}

/// Adds one unless there are `limit` already.
fn count(counter: &AtomicUsize, limit: usize) -> bool {
    let admitted = counter.fetch_add(1, Ordering::Relaxed) < limit;
    if !admitted {
        counter.fetch_sub(1, Ordering::Relaxed);
    }
    admitted
}

impl Turn {
    /// Waits until no other big request of this client is being worked on; then this one is.
    pub async fn alone(&self) {
        let guard = self.0.share.big.clone().lock_owned().await;
        *self.0.big.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    }

    /// Lets the next big request of the client begin: this one only waits from here on.
    pub fn no_longer_alone(&self) {
        drop(self.0.big.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_bounded_and_given_back_by_the_last_clone() {
        let share = Arc::new(Share::default());
        let first = share.begin(2).expect("one of two");
        let second = share.begin(2).expect("two of two");
        assert!(share.begin(2).is_none());
        let queued = first.clone();
        drop(first);
        assert!(share.begin(2).is_none(), "the journal still holds it");
        drop(queued);
        let third = share.begin(2).expect("given back");
        assert!(share.begin(2).is_none());
        drop((second, third));
    }

    #[test]
    fn connections_are_bounded_and_given_back() {
        let share = Arc::new(Share::default());
        let first = share.connect(1).expect("one of one");
        assert!(share.connect(1).is_none());
        drop(first);
        assert!(share.connect(1).is_some());
    }

    #[tokio::test]
    async fn big_requests_of_one_client_go_one_after_another() {
        let share = Arc::new(Share::default());
        let (first, second) = (share.begin(2).expect("one"), share.begin(2).expect("two"));
        first.alone().await;
        let waits = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(waits, second.alone()).await.is_err());
        first.no_longer_alone();
        second.alone().await;
        drop(second);
        first.alone().await;
        drop(first);
        let third = share.begin(2).expect("given back");
        third.alone().await;
        let other = Arc::new(Share::default()).begin(1).expect("another client");
        other.alone().await;
    }
}
