//! The chain as the journal keeps it: the view, what of it outlives a restart, and what of it becomes a leaf.

mod take_in;
mod tell;

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{BlockHash, OutPoint};
use serde::{Deserialize, Serialize};

use super::keys;
use crate::chain::{Change, Contradiction, Following, Stand, Tip, View, Watch};
use crate::store::{Batch, Store};

/// Outpoints that bitcoind is asked for in one round.
const ASKS_A_ROUND: usize = 100;

/// What is stored beside headers and watches.
#[derive(Default, Serialize, Deserialize)]
struct Held {
    /// What bitcoind contradicted. It stands through restarts: only an operator lifts it.
    contradiction: Option<String>,
    /// The block to start from that an operator named, until it was found.
    accepted: Option<BlockHash>,
}

/// The view, and how things stand with bitcoind.
pub(super) struct Onchain {
    /// `None` without a bitcoind: nothing is known of the chain.
    view: Option<View>,
    silence_ms: u64,
    accepted: Option<BlockHash>,
    best: Option<(u32, BlockHash)>,
    /// When bitcoind last answered, or the journal was opened. Unix milliseconds.
    heard: u64,
    /// Why it does not answer.
    silent: String,
    /// Which of its answers was refused last.
    refused: Option<Contradiction>,
    /// When a refusal of each name last became a leaf.
    refused_leaves: BTreeMap<&'static str, u64>,
    /// A leaf says that the chain is not followed, and none yet that it is again.
    told_lost: bool,
    reorganisations: u64,
    /// Deadlines that were told of.
    told_due: BTreeSet<(OutPoint, u32)>,
}

/// What `strongroom status` shows of the chain.
#[derive(Clone, Debug, Default)]
pub struct ChainReport {
    /// `unknown`, `starting`, `following`, `catching-up`, `behind`, `stale`, `refused` or `contradicting`.
    pub state: &'static str,
    /// Why it is not `following`.
    pub because: String,
    /// The tip.
    pub tip: Option<Tip>,
    /// Milliseconds since bitcoind last said that our tip is its own.
    pub agreed_ms_ago: Option<u64>,
    /// Reorganisations followed since the journal was opened.
    pub reorganisations: u64,
    /// Outpoints watched.
    pub watched: usize,
    /// Of these, still to be looked up in the past.
    pub pending: usize,
}

/// Every state, for metrics.
pub const STATES: [&str; 8] =
    ["unknown", "starting", "following", "catching-up", "behind", "stale", "refused", "contradicting"];

impl Onchain {
    /// Takes up where the last view left off.
    pub(super) fn open(
        store: &dyn Store,
        following: Option<&Following>,
        now_ms: u64,
    ) -> Result<Self, String> {
        let mut this = Self {
            view: None,
            silence_ms: 0,
            accepted: None,
            best: None,
            heard: now_ms,
            silent: String::new(),
            refused: None,
            refused_leaves: BTreeMap::new(),
            told_lost: false,
            reorganisations: 0,
            told_due: BTreeSet::new(),
        };
        let Some(following) = following else { return Ok(this) };
        let unreadable = |what: &str, e: &dyn std::fmt::Display| format!("{what}: {e}");
        let mut headers = BTreeMap::new();
        for entry in store.scan(keys::BLOCK, keys::BLOCK) {
            let (key, value) = entry.map_err(|e| e.to_string())?;
            let height = keys::height_of(&key).ok_or("block header of no height")?;
            headers.insert(height, deserialize(&value).map_err(|e| unreadable("block header", &e))?);
        }
        let mut watches = Vec::new();
        for entry in store.scan(keys::WATCH, keys::WATCH) {
            let (key, value) = entry.map_err(|e| e.to_string())?;
            let outpoint = keys::outpoint_of(&key).ok_or("watch of no outpoint")?;
            let watch: Watch = serde_json::from_slice(&value).map_err(|e| unreadable("watch", &e))?;
            watches.push((outpoint, watch));
        }
        let held: Held = match store.get(keys::CHAIN).map_err(|e| e.to_string())? {
            None => Held::default(),
            Some(value) => serde_json::from_slice(&value).map_err(|e| unreadable("chain", &e))?,
        };
        let view = View::load(following.network, &headers, watches, held.contradiction)
            .map_err(|e| unreadable("stored headers", &e))?;
        this.view = Some(view);
        this.accepted = held.accepted;
        this.silence_ms = u64::try_from(following.silence().as_millis()).unwrap_or(u64::MAX);
        Ok(this)
    }

    /// The view; `None` without a bitcoind. What it says holds only while [`View::is_current`] says so.
    pub(super) fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    fn stand(&self) -> Stand {
        let Some(view) = &self.view else { return Stand::default() };
        let (asks, scan) = view.wanted(ASKS_A_ROUND);
        Stand {
            tip: view.tip(),
            recent: view.headers().map_or_else(Vec::new, |h| h.from_tip().copied().collect()),
            contradicted: view.contradiction().is_some(),
            accepted: self.accepted,
            asks,
            scan,
        }
    }

    fn held(&self, view: &View) -> Result<Vec<u8>, String> {
        let held = Held { contradiction: view.contradiction().map(str::to_owned), accepted: self.accepted };
        serde_json::to_vec(&held).map_err(|e| e.to_string())
    }

    fn state(&self, now_ms: u64) -> (&'static str, String) {
        let Some(view) = &self.view else { return ("unknown", "no bitcoind is configured".to_owned()) };
        if let Some(contradiction) = view.contradiction() {
            return ("contradicting", contradiction.to_owned());
        }
        if let Some(refused) = &self.refused {
            return ("refused", format!("{}: {refused}", refused.name()));
        }
        if now_ms.saturating_sub(self.heard) > self.silence_ms {
            return ("stale", self.silent.clone());
        }
        match (view.tip(), self.best) {
            // What keeps the lookups, if anything does: a pruned bitcoind, say.
            (Some(tip), Some((_, best))) if tip.hash == best && view.watches().1 > 0 => {
                ("following", self.silent.clone())
            }
            (Some(tip), Some((_, best))) if tip.hash == best => ("following", String::new()),
            (Some(tip), Some((height, _))) if height > tip.height => {
                ("catching-up", format!("bitcoind is at height {height}"))
            }
            (Some(_), Some((height, best))) => {
                ("behind", format!("bitcoind is at {best}, height {height}, with no more work than ours"))
            }
            (Some(_), None) | (None, _) => ("starting", self.silent.clone()),
        }
    }

    pub(super) fn report(&self, now_ms: u64) -> ChainReport {
        let (state, because) = self.state(now_ms);
        let Some(view) = &self.view else { return ChainReport { state, because, ..ChainReport::default() } };
        let (watched, pending) = view.watches();
        ChainReport {
            state,
            because,
            tip: view.tip(),
            agreed_ms_ago: view.agreed().map(|at| now_ms.saturating_sub(at)),
            reorganisations: self.reorganisations,
            watched,
            pending,
        }
    }
}

fn put_change(batch: &mut Batch, view: &View, change: &Change) -> Result<(), String> {
    for (height, header) in &change.headers {
        match header {
            Some(header) => batch.put(keys::block(*height), serialize(header)),
            None => batch.remove(keys::block(*height)),
        }
    }
    for outpoint in &change.touched {
        if let Some(watch) = view.watched(outpoint) {
            batch.put(keys::watch(outpoint), serde_json::to_vec(watch).map_err(|e| e.to_string())?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
