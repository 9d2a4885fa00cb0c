//! Makes records durable, on a thread of its own: the next decisions are made while the disk works.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use super::record::Wake;
use crate::metrics::Metrics;
use crate::store::Store;

/// The thread, and the way to it.
pub(super) struct Flusher {
    /// `None` once it is to end.
    groups: Option<Sender<Vec<Wake>>>,
    thread: Option<JoinHandle<()>>,
    fault: Arc<OnceLock<String>>,
}

impl Flusher {
    /// Starts the thread.
    pub(super) fn start(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (groups, waiting) = channel();
        let fault = Arc::new(OnceLock::new());
        let told = fault.clone();
        let thread = std::thread::Builder::new()
            .name("flush".into())
            .spawn(move || run(store.as_ref(), &waiting, &told, &metrics))?;
        Ok(Self { groups: Some(groups), thread: Some(thread), fault })
    }

    /// Lets these go once all that is written by now is durable.
    pub(super) fn flush(&self, waiting: Vec<Wake>) {
        if let Some(groups) = &self.groups
            && let Err(unsent) = groups.send(waiting)
        {
            for wake in unsent.0 {
                wake(Err("the thread that flushes is gone".to_owned()));
            }
        }
    }

    /// Why nothing is durable any more.
    pub(super) fn fault(&self) -> Option<&String> {
        self.fault.get()
    }
}

impl Drop for Flusher {
    /// Waits until all that was handed in is flushed.
    fn drop(&mut self) {
        self.groups.take();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that flushes panicked");
        }
    }
}

fn run(store: &dyn Store, groups: &Receiver<Vec<Wake>>, fault: &OnceLock<String>, metrics: &Metrics) {
    while let Ok(mut waiting) = groups.recv() {
        // Whoever came meanwhile shares the flush.
        while let Ok(more) = groups.try_recv() {
            waiting.extend(more);
        }
        let outcome = match fault.get() {
            Some(because) => Err(because.clone()),
            None => store.sync().map_err(|e| e.to_string()),
        };
        match &outcome {
            Ok(took) => {
                metrics.flush_seconds.observe(took.as_secs_f64());
                metrics.flush_group.observe(waiting.len() as f64);
            }
            // After a failed flush the kernel may have dropped what it could not write: a later success proves nothing.
            Err(because) => {
                let _ = fault.set(because.clone());
            }
        }
        for wake in waiting {
            wake(outcome.clone().map(drop));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::store::{Batch, Pair, StoreError};

    /// Flushes as often as it is told, then no more.
    struct Disk(AtomicU32);

    impl Store for Disk {
        fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(None)
        }
        fn apply(&self, _: Batch) -> Result<(), StoreError> {
            Ok(())
        }
        fn sync(&self) -> Result<Duration, StoreError> {
            let left = self.0.fetch_sub(1, Ordering::SeqCst);
            if left == 1 { Err(StoreError::Io("gone".to_owned())) } else { Ok(Duration::ZERO) }
        }
        fn last(&self, _: &[u8]) -> Result<Option<Pair>, StoreError> {
            Ok(None)
        }
        fn scan<'a>(&'a self, _: &[u8], _: &[u8]) -> Box<dyn Iterator<Item = Result<Pair, StoreError>> + 'a> {
            Box::new(std::iter::empty())
        }
    }

    #[test]
    fn after_a_failed_flush_none_succeeds_and_nobody_is_left_waiting() {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let flusher = Flusher::start(Arc::new(Disk(AtomicU32::new(2))), metrics).expect("a thread");
        let (told, outcomes) = channel();
        for n in 0..4 {
            let told = told.clone();
            let wake: Wake = Box::new(move |outcome| told.send((n, outcome)).expect("somebody listens"));
            flusher.flush(vec![wake]);
            let (of, outcome) = outcomes.recv().expect("an outcome");
            assert_eq!((of, outcome.is_ok()), (n, n == 0));
        }
        assert_eq!(flusher.fault().map(String::as_str), Some("journal store: gone"));
        // What was handed in before the end is not dropped.
        let last: Wake = Box::new(move |outcome| told.send((9, outcome)).expect("somebody listens"));
        flusher.flush(vec![last]);
        drop(flusher);
        assert_eq!(outcomes.try_recv().map(|(n, outcome)| (n, outcome.is_ok())), Ok((9, false)));
    }
}
