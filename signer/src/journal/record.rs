//! The wait for the disk. A decision is handed out as soon as its record is written, so that the signature can be
//! made while the disk works; the signature is withheld until the record is durable.

use tokio::sync::oneshot;

use super::approved::Approved;
use crate::refusal::Refusal;

/// Called once the record is durable, or with the reason why it may not be.
pub(super) type Wake = Box<dyn FnOnce(Result<(), String>) + Send>;

/// An approval, and the wait that its signature must sit out before it leaves.
#[must_use]
pub struct Decided<T> {
    /// What was approved.
    pub approved: Approved<T>,
    /// The wait for the record.
    pub record: Durability,
}

/// The wait for a record to be durable.
#[must_use = "a signature must not leave before its record is durable"]
pub struct Durability(Option<oneshot::Receiver<Result<(), String>>>);

impl Durability {
    /// Nothing to wait for: gossip, written but not flushed.
    pub(super) fn written() -> Self {
        Self(None)
    }

    /// A wait, and what ends it.
    pub(super) fn flush() -> (Self, Wake) {
        let (done, wait) = oneshot::channel();
        let wake: Wake = Box::new(move |outcome| {
            // Who asked may have given up; the record stands.
            let _ = done.send(outcome);
        });
        (Self(Some(wait)), wake)
    }

    /// Waits until the record is durable.
    pub async fn wait(self) -> Result<(), Refusal> {
        match self.0 {
            None => Ok(()),
            Some(wait) => match wait.await {
                Ok(outcome) => outcome.map_err(Refusal::NotRecorded),
                Err(_) => Err(Refusal::NotRecorded("the journal is closed".to_owned())),
            },
        }
    }
}
