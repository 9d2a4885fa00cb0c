//! The journal's thread: takes what waits in its queue, decides each against its state and writes its record, then has
//! all of them flushed at once (group commit), which lets their answers go.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use strongroom_audit as audit;
use strongroom_lightning::Accounts;
use strongroom_policy::{NodeName, Policy};

use super::books::Books;
use super::claims::Told;
use super::flusher::Flusher;
use super::gossip::Tallies;
use super::job::Job;
use super::onchain::Onchain;
use super::record::Wake;
use super::withheld::Withheld;
use super::{OpenError, Opening, Report, checks, keys};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::store::{Batch, Store};

/// All that the journal owns.
pub(super) struct Keeper {
    pub(super) store: Arc<dyn Store>,
    flusher: Flusher,
    pub(super) chain: audit::Chain,
    pub(super) policy: Arc<Policy>,
    pub(super) policy_digest: [u8; 32],
    /// Index of the leaf that says what decisions stand on.
    pub(super) checks: u64,
    pub(super) books: HashMap<NodeName, Books>,
    pub(super) tallies: Tallies,
    pub(super) withheld: Withheld,
    pub(super) metrics: Arc<Metrics>,
    /// What is known of the chain.
    pub(super) onchain: Onchain,
    /// Unix milliseconds; never runs back while the journal is open.
    now: u64,
    /// A write failed: memory and disk may differ, so nothing is decided until the store is opened again.
    torn: Option<String>,
    /// The disk is almost full: what is only counted is refused too, since its count could not be kept.
    starved: Option<String>,
    /// Counts that the disk did not take.
    unwritten: Vec<audit::Gossip>,
    /// When `now` was last set.
    ticked: Instant,
    /// Who waits for the next flush.
    pub(super) waiting: Vec<Wake>,
    /// When the lookahead's marks are looked at next, Unix milliseconds.
    marks_due: u64,
    /// Overdue claims that were logged.
    pub(super) told_claims: Told,
}

/// Requests that share one flush at most.
const GROUP: usize = 256;

/// The lookahead reaches far beyond the keys in use, so its marks may lag behind by so much.
const MARKS_EVERY_MS: u64 = 5_000;

impl Keeper {
    /// Reads the end of the chain and records the start.
    pub(super) fn open(opening: Opening) -> Result<Self, OpenError> {
        let Opening { store, origin, policy, policy_digest, metrics, patience_ms, following, .. } = opening;
        let mut chain = audit::Chain::genesis(&origin);
        if let Some((_, bytes)) = store.last(keys::LEAF).map_err(|e| OpenError(e.to_string()))? {
            let leaf = audit::Leaf::parse(&bytes).map_err(|e| OpenError(format!("last leaf: {e}")))?;
            chain = audit::Chain { size: leaf.index, head: leaf.prev };
            chain.append(&bytes);
        }
        let onchain = Onchain::open(store.as_ref(), following.as_ref(), clock_ms()).map_err(OpenError)?;
        let flusher = Flusher::start(store.clone(), metrics.clone()).map_err(|e| OpenError(e.to_string()))?;
        let mut keeper = Self {
            store,
            flusher,
            chain,
            policy,
            policy_digest,
            checks: 0,
            books: HashMap::new(),
            tallies: Tallies::default(),
            withheld: Withheld::new(patience_ms),
            metrics,
            onchain,
            now: 0,
            torn: None,
            starved: None,
            unwritten: Vec::new(),
            ticked: Instant::now(),
            waiting: Vec::new(),
            marks_due: 0,
            told_claims: Told::new(),
        };
        keeper.tick();
        let started = audit::Event::Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: keeper.policy.network().to_string(),
            policy: audit::Digest(policy_digest),
        };
        let loaded = audit::Event::PolicyLoaded {
            policy: audit::Digest(policy_digest),
            profile: keeper.policy.profile().to_owned(),
            observed_rules: keeper.policy.observed_rules().iter().map(|t| t.0.to_owned()).collect(),
        };
        let followed = keeper.onchain.view().is_some();
        let in_force = checks::in_force(&keeper.policy, policy_digest, followed);
        for event in [started, loaded, in_force] {
            keeper.checks = keeper.record(event, Batch::default()).map_err(|e| OpenError(e.to_string()))?;
        }
        keeper.store.sync().map_err(|e| OpenError(e.to_string()))?;
        Ok(keeper)
    }

    /// Works until told to stop or until nobody can ask any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut next: Option<Job> = None;
        loop {
            self.tick();
            let due = self.tallies.due().or_else(|| (!self.unwritten.is_empty()).then_some(self.now + 1_000));
            let due = due.into_iter().chain(self.withheld.due()).min();
            let wait = due
                .map_or(Duration::from_secs(60), |due| Duration::from_millis(due.saturating_sub(self.now)));
            let job = next.take().map_or_else(|| jobs.recv_timeout(wait), Ok);
            match job {
                Ok(Job::Stop(reason)) => {
                    self.write_tallies();
                    self.write_marks();
                    let stopped = audit::Event::Stopped { reason };
                    if let Err(e) = self.record(stopped, Batch::default()) {
                        tracing::error!(error = %e, "the end is not in the journal");
                    }
                    if let Err(e) = self.store.sync() {
                        tracing::error!(error = %e, "the journal's last flush failed");
                    }
                    return;
                }
                Ok(job) => {
                    self.tick();
                    self.guarded(job);
                    // Whoever came meanwhile shares the flush.
                    for _ in 1..GROUP {
                        match jobs.try_recv() {
                            Ok(job @ Job::Stop(_)) => {
                                next = Some(job);
                                break;
                            }
                            Ok(job) => self.guarded(job),
                            Err(_) => break,
                        }
                    }
                    self.flush();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.withheld.due().is_some_and(|due| due <= self.now) {
                self.guarded(Job::GiveUp);
                self.flush();
            }
            if self.tallies.due().is_some_and(|due| due <= self.now) || !self.unwritten.is_empty() {
                self.write_tallies();
            }
            if self.marks_due <= self.now {
                self.marks_due = self.now + MARKS_EVERY_MS;
                self.write_marks();
                self.tell_claims();
            }
        }
    }

    /// A panic leaves state that may be half changed; the store is the truth, so it is read again.
    fn guarded(&mut self, job: Job) {
        if std::panic::catch_unwind(AssertUnwindSafe(|| self.handle(job))).is_err() {
            tracing::error!("a decision panicked; its request is refused and the books are read again");
            self.reload();
        }
    }

    /// Has all that was written made durable, and then those let go who wait for it.
    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        match self.fault() {
            Some(because) => waiting.into_iter().for_each(|wake| wake(Err(because.clone()))),
            None => self.flusher.flush(waiting),
        }
    }

    fn tick(&mut self) {
        let clock = clock_ms();
        // A clock set back must not stop time: it then goes on at its own pace until the clock has caught up.
        let passed = u64::try_from(self.ticked.elapsed().as_millis()).unwrap_or(0);
        if passed > 0 || clock > self.now {
            self.ticked = Instant::now();
        }
        self.now = clock.max(self.now.saturating_add(passed));
    }

    /// Unix milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.now
    }

    /// Unix seconds.
    pub(super) fn now(&self) -> u64 {
        self.now / 1000
    }

    fn handle(&mut self, job: Job) {
        match job {
            Job::Spend(asked) => self.spend(*asked),
            Job::GiveUp => self.give_up_withheld(),
            Job::LetGo(because) => self.let_go(&because),
            Job::Message(asked) => self.message(*asked),
            Job::Ecdh(asked) => self.ecdh(*asked),
            Job::Musig2(asked) => self.musig2(*asked),
            Job::Malformed { node, client, operation, why, turn: _turn } => {
                let class = format!("{} malformed", operation.as_str());
                if !self.tallies.lists_refusal(&node, &client, &class, &[0; 32], self.now) {
                    return;
                }
                let decision = audit::Decision {
                    node: node.into(),
                    client: client.into(),
                    operation: operation.as_str().to_owned(),
                    request: audit::Digest([0; 32]),
                    what: audit::Ask::Malformed { why },
                    verdict: audit::Verdict::Refused { enforced: Vec::new() },
                    observed: Vec::new(),
                    policy: audit::Digest(self.policy_digest),
                    durability: audit::Durability::Deferred,
                    tier: Some(checks::TIER.as_str().to_owned()),
                    checks: None,
                };
                if let Err(e) = self.record(audit::Event::Decision(decision), Batch::default()) {
                    tracing::error!(error = %e, "a refusal is not in the journal");
                }
            }
            Job::Note(event, wake) => {
                let moved = matches!(*event, audit::Event::LookaheadMoved { .. });
                let outcome = self.record(*event, Batch::default());
                if moved {
                    // Durable with its leaf: whoever asked for it waits for both.
                    self.write_marks();
                }
                match (outcome, wake) {
                    (Ok(_), Some(wake)) => self.waiting.push(wake),
                    (Err(e), Some(wake)) => wake(Err(e.to_string())),
                    (Ok(_), None) => {}
                    (Err(e), None) => tracing::error!(error = %e, "an event is not in the journal"),
                }
            }
            Job::Flushed(wake) => self.waiting.push(wake),
            Job::OpenNode { node, accounts, done } => {
                let _ = done.send(self.open_node(node, accounts));
            }
            Job::Chain { update, done } => {
                let _ = done.send(self.chain_update(*update));
                self.retry_after_block();
                self.tell_htlc_deadlines();
            }
            Job::AcceptBlock(block, done) => self.accept_block(block, done),
            Job::Report(reply) => {
                self.tell_silence();
                self.tell_claims();
                let now = self.now();
                let report = Report {
                    chain: self.chain,
                    fault: self.fault(),
                    books: self.books.iter().map(|(node, b)| b.report(node, &self.policy, now)).collect(),
                    onchain: self.onchain.report(self.now_ms()),
                };
                self.metrics.set_chain(&report.onchain, now);
                self.metrics.set_books(&report.books);
                let _ = reply.send(report);
            }
            Job::Ask(inquiry) => self.answer(inquiry),
            Job::Stop(_) => {}
        }
    }

    /// Why nothing can be recorded until the store is opened again.
    pub(super) fn fault(&self) -> Option<String> {
        self.torn.clone().or_else(|| self.flusher.fault().cloned())
    }

    /// Why nothing may be merely counted now.
    pub(super) fn cannot_count(&self) -> Option<String> {
        self.fault().or_else(|| self.starved.clone())
    }

    /// Writes one leaf and what belongs to it. On `Err` nothing was written and nothing in memory changed.
    pub(super) fn record(&mut self, event: audit::Event, batch: Batch) -> Result<u64, Refusal> {
        self.record_all([event], batch)
    }

    /// The same with any number of leaves, or none. Returns the index of the first.
    pub(super) fn record_all(
        &mut self,
        events: impl IntoIterator<Item = audit::Event>,
        mut batch: Batch,
    ) -> Result<u64, Refusal> {
        if let Some(fault) = self.fault() {
            return Err(Refusal::NotRecorded(fault));
        }
        let mut chain = self.chain;
        let index = chain.size;
        for event in events {
            let at = chain.size;
            let recorded = chain.record(self.now, event);
            batch.put(keys::leaf(at), recorded.bytes);
        }
        if batch.is_empty() {
            return Ok(index);
        }
        match self.store.apply(batch) {
            Ok(()) => {
                self.starved = None;
                self.chain = chain;
                self.metrics.journal_size.set(i64::try_from(chain.size).unwrap_or(i64::MAX));
                Ok(index)
            }
            Err(e @ crate::store::StoreError::DiskFull { .. }) => {
                self.starved = Some(e.to_string());
                Err(Refusal::NotRecorded(e.to_string()))
            }
            Err(e) => {
                // Whether half of it was kept cannot be known from here.
                self.torn = Some(e.to_string());
                Err(Refusal::NotRecorded(e.to_string()))
            }
        }
    }

    fn write_tallies(&mut self) {
        let mut counted = std::mem::take(&mut self.unwritten);
        counted.extend(self.tallies.take(audit::Digest(self.policy_digest), self.checks));
        for gossip in counted {
            if let Err(e) = self.record(audit::Event::Gossip(gossip.clone()), Batch::default()) {
                tracing::error!(error = %e, "counted requests are not in the journal yet");
                self.unwritten.push(gossip);
            }
        }
    }

    /// Keeps how far each branch of keys has been used, so that the lookahead starts there next time.
    fn write_marks(&mut self) {
        let (mut batch, mut changed) = (Batch::default(), Vec::new());
        for (node, books) in &self.books {
            let marks = books.accounts.marks();
            if marks != books.marks
                && let Ok(value) = serde_json::to_vec(&marks)
            {
                batch.put(keys::marks(node), value);
                changed.push((node.clone(), marks));
            }
        }
        if batch.is_empty() || self.fault().is_some() {
            return;
        }
        match self.store.apply(batch) {
            Ok(()) => {
                for (node, marks) in changed {
                    if let Some(books) = self.books.get_mut(&node) {
                        books.marks = marks;
                    }
                }
            }
            Err(e) => {
                tracing::warn!(error = %e, "the lookahead's marks are not kept");
                if !matches!(e, crate::store::StoreError::DiskFull { .. }) {
                    self.torn = Some(e.to_string());
                }
            }
        }
    }

    pub(super) fn open_node(&mut self, node: NodeName, accounts: Arc<Accounts>) -> Result<(), String> {
        let books = self.read_books(&node, accounts)?;
        self.books.insert(node.clone(), books);
        self.tell_refused_claims(&node);
        self.watch_channels(&node);
        Ok(())
    }

    fn reload(&mut self) {
        let open: Vec<_> = self.books.iter().map(|(n, b)| (n.clone(), b.accounts.clone())).collect();
        for (node, accounts) in open {
            if let Err(e) = self.open_node(node.clone(), accounts) {
                tracing::error!(%node, error = e, "books cannot be read again; the node is refused");
                self.books.remove(&node);
            }
        }
    }
}

/// Unix milliseconds by the system's clock.
fn clock_ms() -> u64 {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(clock.as_millis()).unwrap_or(u64::MAX)
}
