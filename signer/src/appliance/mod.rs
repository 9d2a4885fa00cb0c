//! The appliance's state: uninitialised → sealed ⇄ open.
//!
//! Open means: the token answers, seeds are in locked memory, the journal takes records. Sealed means: no secret is
//! in memory, and every request is refused in words.

mod files;
mod heartbeat;
mod macaroons;
mod node;
mod nodes;
mod turned_away;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bitcoin::BlockHash;
use strongroom_audit as audit;
use strongroom_hsm::{
    AuditPublicKey, Capabilities, Initialised, LockedBytes, Pin, SealContext, SealedBlob, Token,
};
use strongroom_policy::{NodeName, Policy};

pub use files::{ApplianceFile, FileError, NodeFile, StateDir};
#[cfg(test)]
pub(crate) use macaroons::PREFIX as MACAROONS;
pub use macaroons::{Known, MacaroonInfo, Macaroons, RegisterError};
pub use node::OpenNode;
pub use nodes::{Added, SeedFrom};
use turned_away::TurnedAway;

use crate::chain::{Following, Poller};
use crate::config::{Config, Limits};
use crate::doors::tls::Identity;
use crate::journal::{Journal, Opening};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::store::{FjallStore, Store, StoreError, StoreKey};

/// Why the operator's command failed.
#[derive(Debug, thiserror::Error)]
pub enum ApplianceError {
    /// The token refused, is gone, or lacks something.
    #[error("token: {0}")]
    Token(#[from] strongroom_hsm::HsmError),
    /// A file of the state folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The macaroons.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The command does not fit the state.
    #[error("{0}")]
    State(String),
    /// The journal.
    #[error("journal: {0}")]
    Journal(String),
    /// A seed or key that cannot be used.
    #[error("seed: {0}")]
    Seed(String),
    /// Locked memory.
    #[error(transparent)]
    Memory(#[from] strongroom_hsm::MemoryError),
}

enum State {
    Uninitialised,
    Sealed { because: String },
    Open(Arc<Open>),
}

/// All that exists only while open; dropped, and so wiped, when sealed.
struct Open {
    token: Token,
    journal: Journal,
    keeper: Mutex<Option<std::thread::JoinHandle<()>>>,
    macaroons: Macaroons,
    turned_away: TurnedAway,
    nodes: RwLock<Vec<Arc<OpenNode>>>,
    /// Follows the chain until it is dropped.
    poller: Mutex<Option<Poller>>,
}

/// The appliance.
pub struct Appliance {
    config: Config,
    dir: StateDir,
    policy: Arc<Policy>,
    policy_text: String,
    policy_digest: [u8; 32],
    identity: Identity,
    metrics: Arc<Metrics>,
    state: RwLock<State>,
    /// Held by whatever changes the state, so that two operators cannot cross.
    change: Mutex<()>,
    started: SystemTime,
    last_heartbeat: Mutex<Option<Instant>>,
}

/// Seconds since the Unix epoch.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Appliance {
    /// Reads the state folder; keys stay sealed.
    pub fn new(
        config: Config,
        policy: Policy,
        policy_text: String,
        policy_digest: [u8; 32],
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, ApplianceError> {
        if config.bitcoind.is_some() && policy.network().address_network().is_none() {
            return Err(ApplianceError::State(format!("[bitcoind]: no bitcoind is on {}", policy.network())));
        }
        let dir = StateDir::open(&config.appliance.state_dir)?;
        let identity = Identity::open(&dir.tls(), &config.lnd.hosts)
            .map_err(|e| ApplianceError::State(e.to_string()))?;
        let state = match dir.appliance()? {
            None => State::Uninitialised,
            Some(file) if file.network != policy.network().to_string() => {
                return Err(ApplianceError::State(format!(
                    "the policy is for {}, but this appliance was initialised for {}",
                    policy.network(),
                    file.network
                )));
            }
            Some(_) => {
                State::Sealed { because: "the daemon has started and was not unsealed yet".to_owned() }
            }
        };
        for tag in policy.observed_rules() {
            metrics.observed_rules.with_label_values(&[tag.0]).set(1);
        }
        Ok(Arc::new(Self {
            config,
            dir,
            policy: Arc::new(policy),
            policy_text,
            policy_digest,
            identity,
            metrics,
            state: RwLock::new(state),
            change: Mutex::new(()),
            started: SystemTime::now(),
            last_heartbeat: Mutex::new(None),
        }))
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Sizes and counts.
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// The policy in force, its text, and the text's SHA256.
    pub fn policy(&self) -> (&Policy, &str, &[u8; 32]) {
        (&self.policy, &self.policy_text, &self.policy_digest)
    }

    /// The LND door's certificate.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// When the daemon started.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// Time since the token last answered.
    pub fn since_heartbeat(&self) -> Option<Duration> {
        self.last_heartbeat.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// `uninitialised`, `sealed` or `open`, and why it is sealed.
    pub fn state(&self) -> (&'static str, String) {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Uninitialised => ("uninitialised", String::new()),
            State::Sealed { because } => ("sealed", because.clone()),
            State::Open(_) => ("open", String::new()),
        }
    }

    fn open_state(&self) -> Result<Arc<Open>, Refusal> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Uninitialised => {
                Err(Refusal::Sealed("the appliance is not initialised (strongroom init)".to_owned()))
            }
            State::Sealed { because } => Err(Refusal::Sealed(because.clone())),
            State::Open(open) => Ok(open.clone()),
        }
    }

    fn opened(&self) -> Result<Arc<Open>, ApplianceError> {
        self.open_state().map_err(|refusal| ApplianceError::State(refusal.to_string()))
    }

    /// The node, while open.
    pub fn node(&self, name: &NodeName) -> Result<Arc<OpenNode>, Refusal> {
        let open = self.open_state()?;
        let nodes = open.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes
            .iter()
            .find(|n| n.name() == name)
            .cloned()
            .ok_or_else(|| Refusal::Sealed(format!("node {name} is not open")))
    }

    /// Whom a macaroon lets in.
    pub fn authenticate(&self, macaroon: &str, peer: Option<IpAddr>) -> Result<Known, Refusal> {
        let open = self.open_state()?;
        let now = i64::try_from(unix_now()).unwrap_or(i64::MAX);
        open.macaroons.authenticate(macaroon, now, peer).map_err(|e| Refusal::Unauthenticated(e.to_string()))
    }

    /// Counts a request that was turned away at the door, and has the count recorded soon. While sealed there is no
    /// journal to record it.
    pub fn turn_away(self: &Arc<Self>, macaroon: &str, peer: Option<IpAddr>, refusal: &Refusal) {
        self.metrics.turned_away.with_label_values(&[refusal.reason()]).inc();
        let Ok(open) = self.open_state() else { return };
        let who = open.macaroons.named_by(macaroon);
        let now = unix_now().saturating_mul(1000);
        if !open.turned_away.count(refusal.to_string(), who, peer, now) {
            return;
        }
        tokio::spawn(async move {
            tokio::time::sleep(turned_away::INTERVAL).await;
            let Some(mut event) = open.turned_away.take().map(Box::new) else { return };
            // A full queue has room again soon; a closed one never.
            while let Err(Some(again)) = open.journal.post(event) {
                event = again;
                tokio::time::sleep(turned_away::INTERVAL).await;
            }
        });
    }

    /// The journal, while open.
    pub fn journal(&self) -> Result<Journal, Refusal> {
        Ok(self.open_state()?.journal.clone())
    }

    /// The register of macaroons, while open.
    pub fn with_macaroons<A>(&self, f: impl FnOnce(&Macaroons) -> A) -> Result<A, ApplianceError> {
        Ok(f(&self.opened()?.macaroons))
    }

    /// Makes the token's keys and the store, once, and opens the appliance.
    pub fn init(&self, pin: &Pin) -> Result<(Capabilities, String), ApplianceError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if self.dir.appliance()?.is_some() {
            return Err(ApplianceError::State("the appliance is initialised already".to_owned()));
        }
        let Initialised { token, capabilities, .. } =
            strongroom_hsm::initialise(&self.config.appliance.token, pin, "strongroom")?;
        let mut id = [0u8; 4];
        getrandom::fill(&mut id).map_err(|e| ApplianceError::State(e.to_string()))?;
        let origin = format!("strongroom/{}", hex::encode(id));
        let mut key = [0u8; 32];
        token.random(&mut key)?;
        let key = LockedBytes::take(&mut key)?;
        let sealed = token.seal(&SealContext::new("store-key", &origin, 1, 1)?, &key)?;
        let file = ApplianceFile {
            version: 1,
            origin,
            network: self.policy.network().to_string(),
            sealed_store_key: hex::encode(sealed.to_bytes()),
            audit_key: audit_key(token.audit_public_key())?.to_string(),
        };
        self.dir.write_appliance(&file)?;
        let event = audit::Event::Initialised {
            token: self.config.appliance.token.to_string(),
            audit_key: file.audit_key.clone(),
        };
        self.open_with(token, &file, key)?;
        self.opened()?.journal.note(event).map_err(ApplianceError::Journal)?;
        Ok((capabilities, file.audit_key))
    }

    /// Opens the token with the PIN, and every node's seed into locked memory. A refused PIN is not tried again.
    pub fn unseal(&self, pin: &Pin) -> Result<Vec<NodeName>, ApplianceError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.dir.appliance()?.ok_or_else(|| {
            ApplianceError::State("the appliance is not initialised (strongroom init)".to_owned())
        })?;
        if let State::Open(_) = &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            return Err(ApplianceError::State("the appliance is open already".to_owned()));
        }
        let token = Token::open(&self.config.appliance.token, pin)?;
        let blob = sealed_blob(&file.sealed_store_key)?;
        let key = token.unseal(&SealContext::new("store-key", &file.origin, 1, 1)?, &blob)?;
        self.open_with(token, &file, key)
    }

    fn open_with(
        &self,
        token: Token,
        file: &ApplianceFile,
        key: LockedBytes,
    ) -> Result<Vec<NodeName>, ApplianceError> {
        let reserve = self.config.limits.min_free_disk_mib << 20;
        let store: Arc<dyn Store> = Arc::new(self.open_store(&StoreKey::new(key), reserve)?);
        let macaroons = Macaroons::open(&store)?;
        let (journal, keeper) = Journal::open(Opening {
            store,
            origin: file
                .origin
                .parse()
                .map_err(|e: audit::OriginError| ApplianceError::Journal(e.to_string()))?,
            policy: self.policy.clone(),
            policy_digest: self.policy_digest,
            max_queue: self.config.limits.max_queue,
            // The rest of the deadline is for the record and the signature.
            patience_ms: self.config.limits.deadline_ms * 5 / 6,
            metrics: self.metrics.clone(),
            following: self.following(),
        })
        .map_err(|e| ApplianceError::Journal(e.to_string()))?;
        let open = Arc::new(Open {
            token,
            journal,
            keeper: Mutex::new(Some(keeper)),
            macaroons,
            turned_away: TurnedAway::default(),
            nodes: RwLock::default(),
            poller: Mutex::default(),
        });
        let mut names = Vec::new();
        for node in self.dir.node_files()? {
            let name = node.name.clone();
            let opened = nodes::open(self, &open, &node)?;
            open.nodes.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(opened));
            names.push(name);
        }
        let event = audit::Event::Unsealed { nodes: names.iter().map(ToString::to_string).collect() };
        open.journal.note(event).map_err(ApplianceError::Journal)?;
        if let Some(following) = self.following() {
            let poller = Poller::start(&following, open.journal.clone())
                .map_err(|e| ApplianceError::State(format!("following the chain: {e}")))?;
            *open.poller.lock().unwrap_or_else(PoisonError::into_inner) = Some(poller);
        }
        *self.last_heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::Open(open);
        self.metrics.unsealed.set(1);
        tracing::info!(nodes = names.len(), "unsealed");
        Ok(names)
    }

    /// The bitcoind to follow, if one is configured.
    fn following(&self) -> Option<Following> {
        let network = self.policy.network().address_network()?;
        self.config.bitcoind.as_ref()?.following(network)
    }

    /// Follows the chain from `block` on, after a contradiction.
    pub fn accept_block(&self, block: BlockHash) -> Result<(), ApplianceError> {
        self.opened()?.journal.accept_block(block).map_err(ApplianceError::Journal)
    }

    /// The store; one that was sealed a moment ago may still be closing.
    fn open_store(&self, key: &StoreKey, reserve: u64) -> Result<FjallStore, StoreError> {
        let patience = Instant::now() + Duration::from_millis(self.config.limits.deadline_ms);
        loop {
            match FjallStore::open(&self.dir.store(), key, reserve) {
                Err(StoreError::Held { .. }) if Instant::now() < patience => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                opened => return opened,
            }
        }
    }

    /// Wipes every secret, at once: nothing that can hang, token or disk, stands before it. Then the end is recorded and
    /// the store closed, for which this waits `limits.deadline_ms` at most.
    pub fn seal(&self, because: &str) {
        let open = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let State::Open(open) = &*state else { return };
            let open = open.clone();
            *state = State::Sealed { because: because.to_owned() };
            open
        };
        for node in open.nodes.read().unwrap_or_else(PoisonError::into_inner).iter() {
            node.wipe();
        }
        // No more questions: whoever asks again after the next unsealing has a journal of its own.
        drop(open.poller.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.metrics.unsealed.set(0);
        tracing::warn!(because, "sealed");
        let because = because.to_owned();
        let (done, closed) = std::sync::mpsc::channel();
        let closing = std::thread::Builder::new().name("closing".into()).spawn(move || {
            if let Some(event) = open.turned_away.take()
                && let Err(e) = open.journal.note(event)
            {
                tracing::error!(error = %e, "requests turned away last are not in the journal");
            }
            // The record of it is best effort: a journal on a full disk must not keep the appliance half open.
            if let Err(e) = open.journal.note(audit::Event::Sealed { reason: because.clone() }) {
                tracing::error!(error = %e, "sealing is not in the journal");
            }
            open.journal.stop(&because);
            let keeper = open.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(keeper) = keeper {
                let _ = keeper.join();
            }
            drop(open);
            let _ = done.send(());
        });
        if let Err(e) = closing {
            tracing::error!(error = %e, "the journal is not closed in good order");
        } else if closed.recv_timeout(Duration::from_millis(self.config.limits.deadline_ms)).is_err() {
            tracing::error!("token or journal do not end; secrets are wiped all the same");
        }
    }

    /// Signs the journal's head with the audit key.
    pub fn sign_head(&self, chain: audit::Chain) -> Result<audit::SignedHead, ApplianceError> {
        let open = self.opened()?;
        let file =
            self.dir.appliance()?.ok_or_else(|| ApplianceError::State("not initialised".to_owned()))?;
        let origin =
            file.origin.parse().map_err(|e: audit::OriginError| ApplianceError::Journal(e.to_string()))?;
        let head = audit::Head::new(origin, chain, unix_now().saturating_mul(1000));
        let signature = open.token.sign_audit(&head.digest())?;
        let key = audit_key(open.token.audit_public_key())?;
        audit::SignedHead::new(head, &key, signature).map_err(|e| ApplianceError::Journal(e.to_string()))
    }

    /// The header of an export that starts at the journal's beginning.
    pub fn export_header(&self) -> Result<audit::Header, ApplianceError> {
        let open = self.opened()?;
        let file =
            self.dir.appliance()?.ok_or_else(|| ApplianceError::State("not initialised".to_owned()))?;
        let origin: audit::Origin =
            file.origin.parse().map_err(|e: audit::OriginError| ApplianceError::Journal(e.to_string()))?;
        let key = audit_key(open.token.audit_public_key())?;
        Ok(audit::Header::new(origin.clone(), audit::Chain::genesis(&origin), &key))
    }
}

fn sealed_blob(text: &str) -> Result<SealedBlob, ApplianceError> {
    let bytes = hex::decode(text).map_err(|e| ApplianceError::State(format!("sealed value: {e}")))?;
    SealedBlob::from_bytes(&bytes).map_err(|e| ApplianceError::State(format!("sealed value: {e}")))
}

fn audit_key(key: &AuditPublicKey) -> Result<audit::AuditKey, ApplianceError> {
    let made = match key.curve() {
        strongroom_hsm::AuditCurve::P256 => audit::AuditKey::p256(key.sec1()),
        strongroom_hsm::AuditCurve::Secp256k1 => audit::AuditKey::secp256k1(key.sec1()),
    };
    made.map_err(|e| ApplianceError::State(e.to_string()))
}
