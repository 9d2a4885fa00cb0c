//! Group commit: one flush for all who wait, while the journal goes on deciding.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::metrics::Metrics;
use crate::store::Store;

/// Called once the batch is durable, or with the reason why it may not be.
pub(super) type Wake = Box<dyn FnOnce(Result<(), String>) + Send>;

/// A thread that flushes the store. Whoever hands in a [`Wake`] after `apply` is woken after a flush that began later.
pub(super) struct Syncer {
    queue: Option<Sender<Vec<Wake>>>,
    thread: Option<JoinHandle<()>>,
    fault: Arc<Mutex<Option<String>>>,
}

impl Syncer {
    /// Starts flushing `store`.
    pub(super) fn start(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (queue, waiting) = channel();
        let fault = Arc::new(Mutex::new(None));
        let seen = fault.clone();
        let thread = std::thread::Builder::new()
            .name("journal-sync".into())
            .spawn(move || run(store.as_ref(), &waiting, &seen, &metrics))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), fault })
    }

    /// Wakes these after the next flush. They must have been applied already.
    pub(super) fn after_flush(&self, wakes: Vec<Wake>) {
        let Some(queue) = &self.queue else { return };
        if let Err(refused) = queue.send(wakes) {
            for wake in refused.0 {
                wake(Err("journal: the flushing thread is gone".to_owned()));
            }
        }
    }

    /// Why the store can no longer be trusted to be durable, if a flush failed.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Syncer {
    /// Flushes what is queued and ends the thread.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(store: &dyn Store, waiting: &Receiver<Vec<Wake>>, fault: &Mutex<Option<String>>, metrics: &Metrics) {
    while let Ok(mut wakes) = waiting.recv() {
        while let Ok(more) = waiting.try_recv() {
            wakes.extend(more);
        }
        // After a failed flush the kernel may have dropped the dirty pages: a later "success" would prove nothing.
        let failed = fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let outcome = match failed {
            Some(because) => Err(because),
            None => store.sync().map_err(|e| e.to_string()),
        };
        let outcome = outcome.map(|took| {
            metrics.flush_seconds.observe(took.as_secs_f64());
            metrics.flush_group.observe(wakes.len() as f64);
        });
        if let Err(because) = &outcome {
            *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(because.clone());
        }
        for wake in wakes {
            wake(outcome.clone());
        }
    }
}
