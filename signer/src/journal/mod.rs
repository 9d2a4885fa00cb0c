//! Decides and records. One thread owns all state: policy counters, channels, the ledger of outpoints, the chain of
//! leaves. A check and its record are one step, so nothing needs a lock.

mod approved;
mod books;
mod checks;
mod claims;
mod decide;
mod effects;
mod facts;
mod flows;
mod flusher;
mod gossip;
mod inquiry;
mod job;
mod keys;
mod leaves;
mod ledger;
mod onchain;
mod preflight;
mod reader;
mod record;
mod refused;
mod reopen;
mod spend;
mod thread;
mod vls_chain;
mod withheld;

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use bitcoin::BlockHash;
use strongroom_audit as audit;
use strongroom_lightning::Accounts;
use strongroom_policy::{NodeName, Operation, Policy};
use tokio::sync::oneshot;

pub use approved::Approved;
pub use books::BooksReport;
pub use inquiry::{AllowedClose, Inquiry, KnownChannel, KnownPayment};
pub use job::{Asked, Job, Reply, Subject};
pub use onchain::{ChainReport, STATES as CHAIN_STATES};
pub use preflight::{Forecast, Question};
pub use record::{Decided, Durability};
pub use refused::RefusedClaim;

use crate::chain::{Following, NotHanded, NotTaken, Stand, Update};
use crate::line::Client;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::store::Store;

/// What a journal is opened with.
pub struct Opening {
    /// Where it keeps its records.
    pub store: Arc<dyn Store>,
    /// Name of the journal, in every signed head.
    pub origin: audit::Origin,
    /// The policy in force.
    pub policy: Arc<Policy>,
    /// SHA256 of the policy's text.
    pub policy_digest: [u8; 32],
    /// Longest queue.
    pub max_queue: usize,
    /// How long a commitment's signature may be withheld until its HTLC transactions are asked for, in milliseconds.
    pub patience_ms: u64,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// The bitcoind whose chain is followed; the poller is started by whoever opens the journal.
    pub following: Option<Following>,
}

/// What the journal knows of itself.
#[derive(Clone, Debug)]
pub struct Report {
    /// Size and head of the chain.
    pub chain: audit::Chain,
    /// Why nothing can be recorded now.
    pub fault: Option<String>,
    /// Each open node's books.
    pub books: Vec<BooksReport>,
    /// How things stand with the chain.
    pub onchain: ChainReport,
}

/// A journal that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("journal: {0}")]
pub struct OpenError(pub String);

/// The door to the journal's thread.
#[derive(Clone)]
pub struct Journal {
    queue: SyncSender<Job>,
    /// Weak, so that readers do not keep a sealed store open.
    store: Weak<dyn Store>,
    max_queue: usize,
    metrics: Arc<Metrics>,
}

impl Journal {
    /// Reads the chain's end and starts the thread.
    pub fn open(opening: Opening) -> Result<(Self, JoinHandle<()>), OpenError> {
        let (queue, jobs) = sync_channel(opening.max_queue);
        let (max_queue, metrics) = (opening.max_queue, opening.metrics.clone());
        let store = Arc::downgrade(&opening.store);
        let keeper = thread::Keeper::open(opening)?;
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || keeper.run(&jobs))
            .map_err(|e| OpenError(e.to_string()))?;
        Ok((Self { queue, store, max_queue, metrics }, thread))
    }

    /// Hands a request in; the decision comes by its `reply`.
    pub fn decide<T: Subject>(&self, asked: Asked<T>) -> Result<(), Refusal> {
        self.hand_in(T::into_job(asked))
    }

    fn hand_in(&self, job: Job) -> Result<(), Refusal> {
        self.queue.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => Refusal::Busy { limit: self.max_queue },
            TrySendError::Disconnected(_) => Refusal::Sealed("the journal is closing".to_owned()),
        })
    }

    /// Records that a client's request could not be read. A full queue only counts it.
    pub fn turned_away(&self, client: &Client, operation: Operation, refusal: &Refusal) {
        self.metrics.turned_away.with_label_values(&[refusal.reason()]).inc();
        let _ = self.queue.try_send(Job::Malformed {
            node: client.node.clone(),
            client: client.name.clone(),
            operation,
            why: refusal.to_string(),
            turn: client.turn.clone(),
        });
    }

    /// Records what happened to the appliance; returns when it is durable.
    pub fn note(&self, event: audit::Event) -> Result<(), String> {
        let (done, outcome) = std::sync::mpsc::sync_channel(1);
        let wake = Box::new(move |result| {
            let _ = done.send(result);
        });
        self.queue
            .send(Job::Note(Box::new(event), Some(wake)))
            .map_err(|_| "the journal is closed".to_owned())?;
        outcome.recv().map_err(|_| "the journal is closed".to_owned())?
    }

    /// Hands in what was learned from bitcoind, and waits for where the journal then stands.
    pub fn chain(&self, update: Update) -> Result<Result<Stand, NotTaken>, NotHanded> {
        let (done, outcome) = sync_channel(1);
        match self.queue.try_send(Job::Chain { update: Box::new(update), done }) {
            Ok(()) => outcome.recv().map_err(|_| NotHanded::Closed),
            Err(TrySendError::Full(Job::Chain { update, .. })) => Err(NotHanded::Busy(update)),
            Err(_) => Err(NotHanded::Closed),
        }
    }

    /// Follows the chain from `block` on, after a contradiction; returns when that is durable.
    pub fn accept_block(&self, block: BlockHash) -> Result<(), String> {
        let (done, outcome) = sync_channel(1);
        let wake = Box::new(move |result| {
            let _ = done.send(result);
        });
        self.queue.send(Job::AcceptBlock(block, wake)).map_err(|_| "the journal is closed".to_owned())?;
        outcome.recv().map_err(|_| "the journal is closed".to_owned())?
    }

    /// Records what happened, some time soon. The event comes back if the queue is full, `None` if the journal is closed.
    pub fn post(&self, event: Box<audit::Event>) -> Result<(), Option<Box<audit::Event>>> {
        self.queue.try_send(Job::Note(event, None)).map_err(|e| match e {
            TrySendError::Full(Job::Note(event, _)) => Some(event),
            _ => None,
        })
    }

    /// Reads a node's books, so that its requests can be decided.
    pub fn open_node(&self, node: NodeName, accounts: Arc<Accounts>) -> Result<(), String> {
        let (done, outcome) = sync_channel(1);
        self.queue
            .send(Job::OpenNode { node, accounts, done })
            .map_err(|_| "the journal is closed".to_owned())?;
        outcome.recv().map_err(|_| "the journal is closed".to_owned())?
    }

    /// Waits until all that is recorded by now is durable.
    pub async fn flushed(&self) -> Result<(), Refusal> {
        let (record, wake) = Durability::flush();
        self.hand_in(Job::Flushed(wake))?;
        record.wait().await
    }

    /// What the journal knows of itself.
    pub async fn report(&self) -> Option<Report> {
        let (reply, report) = oneshot::channel();
        self.queue.try_send(Job::Report(reply)).ok()?;
        report.await.ok()
    }

    /// Asks about channels or payments, or authorises one.
    pub fn ask(&self, inquiry: Inquiry) -> Result<(), Refusal> {
        self.hand_in(Job::Ask(inquiry))
    }

    /// The same, on a thread that may block. `None` while the queue is full; `Err` when the thread is gone.
    pub fn report_blocking(&self) -> Result<Option<Report>, String> {
        let gone = || "the journal's thread is gone".to_owned();
        let (reply, report) = oneshot::channel();
        match self.queue.try_send(Job::Report(reply)) {
            Ok(()) => report.blocking_recv().map(Some).map_err(|_| gone()),
            Err(TrySendError::Full(_)) => Ok(None),
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }

    /// Sends leaves from index `from` on; new ones too while `follow` is set and the receiver lives.
    ///
    /// Reads the store on a thread of its own: whoever reads slowly keeps nobody waiting.
    pub fn read(
        &self,
        from: u64,
        follow: bool,
        to: tokio::sync::mpsc::Sender<(u64, Vec<u8>)>,
    ) -> Result<(), Refusal> {
        let store = self.store.clone();
        std::thread::Builder::new()
            .name("journal-read".into())
            .spawn(move || reader::run(&store, from, follow, &to))
            .map(drop)
            .map_err(|e| Refusal::Internal(e.to_string()))
    }

    /// Lets go, undecided, of what waits for requests to come; nothing waits any more.
    pub fn let_go(&self, because: &str) {
        let _ = self.queue.try_send(Job::LetGo(because.to_owned()));
    }

    /// Flushes and ends the thread; requests queued behind are refused.
    pub fn stop(&self, reason: &str) {
        let _ = self.queue.send(Job::Stop(reason.to_owned()));
    }
}
