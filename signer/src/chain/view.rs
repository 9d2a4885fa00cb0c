//! The chain as followed: headers, and what its blocks did to the outpoints watched. Pure: no clock, no network, no disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::{BlockHash, Network, OutPoint, TxOut, Txid, Work};

use super::block::CheckedBlock;
use super::contradiction::Contradiction;
use super::headers::{Headers, MAX_REORG, Tip, no_work};
use super::watch::{Funding, Lookup, Watch};

/// What a block showed of a watched outpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was made.
    Confirmed {
        /// Which.
        outpoint: OutPoint,
        /// The block's height.
        height: u32,
        /// The output is not the one that was signed for: script or amount differ.
        differs: bool,
        /// The output.
        txout: TxOut,
    },
    /// It was spent.
    Spent {
        /// Which.
        outpoint: OutPoint,
        /// By what.
        by: Txid,
        /// The block's height.
        height: u32,
    },
}

/// What changed in a view, for whoever stores it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What was seen, in the chain's order.
    pub seen: Vec<Seen>,
    /// Watches that are not what they were.
    pub touched: BTreeSet<OutPoint>,
    /// Headers by height; `None` for those no longer remembered.
    pub headers: BTreeMap<u32, Option<Header>>,
    /// Outpoints that were confirmed and, by a reorganisation, are not any more.
    pub unconfirmed: BTreeSet<OutPoint>,
}

/// How old what is known may be. Whoever asks says; nothing has a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Milliseconds since bitcoind last said that our tip is its own.
    pub agreed_ms: u64,
    /// Seconds since the time that the tip's miner wrote into it.
    pub tip_seconds: u64,
}

/// Why the view is not to be relied on now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCurrent {
    /// Nothing was taken in yet.
    #[error("no block is known")]
    NoTip,
    /// bitcoind contradicts it, and no operator has decided.
    #[error("bitcoind contradicts the chain followed: {0}")]
    Contradicted(String),
    /// bitcoind was not heard to agree lately, or ever.
    #[error("bitcoind last agreed on the tip {}; allowed: {limit_ms} ms ago", ago(*.agreed_ms_ago))]
    Silent {
        /// Milliseconds ago.
        agreed_ms_ago: Option<u64>,
        /// Allowed.
        limit_ms: u64,
    },
    /// No block came for too long.
    #[error("the tip is {age_seconds} s old; allowed: {limit_seconds} s")]
    OldTip {
        /// Its age.
        age_seconds: u64,
        /// Allowed.
        limit_seconds: u64,
    },
}

fn ago(ms: Option<u64>) -> String {
    ms.map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms ago"))
}

/// The chain as followed.
#[derive(Clone, Debug)]
pub struct View {
    network: Network,
    headers: Option<Headers>,
    watches: HashMap<OutPoint, Watch>,
    /// Output indices watched, by the transaction that makes them.
    by_txid: HashMap<Txid, Vec<u32>>,
    contradiction: Option<String>,
    /// When bitcoind last said that our tip is its own, Unix milliseconds.
    agreed: Option<u64>,
}

impl View {
    /// Knows nothing yet.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            headers: None,
            watches: HashMap::new(),
            by_txid: HashMap::new(),
            contradiction: None,
            agreed: None,
        }
    }

    /// Takes up where an earlier view left off. Headers are checked again; `contradiction` still stands.
    pub fn load(
        network: Network,
        headers: &BTreeMap<u32, Header>,
        watches: impl IntoIterator<Item = (OutPoint, Watch)>,
        contradiction: Option<String>,
    ) -> Result<Self, Contradiction> {
        let first = headers.keys().next().copied().unwrap_or(0);
        let chain: Vec<Header> = headers.values().copied().collect();
        let mut view = Self::new(network);
        view.headers = Headers::anchor(network, first, &chain).transpose()?;
        view.contradiction = contradiction;
        for (outpoint, watch) in watches {
            view.put(outpoint, watch);
        }
        Ok(view)
    }

    fn put(&mut self, outpoint: OutPoint, watch: Watch) {
        if self.watches.insert(outpoint, watch).is_none() {
            self.by_txid.entry(outpoint.txid).or_default().push(outpoint.vout);
        }
    }

    /// The tip, once there is one.
    pub fn tip(&self) -> Option<Tip> {
        self.headers.as_ref().map(Headers::tip)
    }

    /// The headers remembered.
    pub fn headers(&self) -> Option<&Headers> {
        self.headers.as_ref()
    }

    /// What the chain says of `outpoint`.
    pub fn funding(&self, outpoint: &OutPoint) -> Funding {
        match (self.watches.get(outpoint), self.tip()) {
            (Some(watch), Some(tip)) => watch.funding(tip.height),
            _ => Funding::Unknown,
        }
    }

    /// The watch on `outpoint`.
    pub fn watched(&self, outpoint: &OutPoint) -> Option<&Watch> {
        self.watches.get(outpoint)
    }

    /// Number of outpoints watched, and how many of them are still to be looked up in the past.
    pub fn watches(&self) -> (usize, usize) {
        let pending = |w: &&Watch| matches!(w.lookup, Lookup::Ask | Lookup::Scan { .. });
        (self.watches.len(), self.watches.values().filter(pending).count())
    }

    /// Begins to watch `outpoint`, which was signed for as `signed_for`; `new` if it was first heard of now, so that no
    /// old block can hold it. Nothing changes if it is watched already.
    pub fn watch(&mut self, outpoint: OutPoint, signed_for: TxOut, new: bool) -> Change {
        let mut change = Change::default();
        if !self.watches.contains_key(&outpoint) {
            let born = self.tip().filter(|_| new).map(|tip| tip.height);
            self.put(outpoint, Watch::new(signed_for, born));
            change.touched.insert(outpoint);
        }
        change
    }

    /// Whether the view may be relied on at `now_ms`; `Err` says why not, with value and limit.
    pub fn is_current(&self, now_ms: u64, limits: &Limits) -> Result<(), NotCurrent> {
        if let Some(contradiction) = &self.contradiction {
            return Err(NotCurrent::Contradicted(contradiction.clone()));
        }
        let tip = self.tip().ok_or(NotCurrent::NoTip)?;
        let agreed_ms_ago = self.agreed.map(|at| now_ms.saturating_sub(at));
        if agreed_ms_ago.is_none_or(|ago| ago > limits.agreed_ms) {
            return Err(NotCurrent::Silent { agreed_ms_ago, limit_ms: limits.agreed_ms });
        }
        let age_seconds = (now_ms / 1_000).saturating_sub(u64::from(tip.time));
        if age_seconds > limits.tip_seconds {
            return Err(NotCurrent::OldTip { age_seconds, limit_seconds: limits.tip_seconds });
        }
        Ok(())
    }

    /// bitcoind's best block was `best` at `now_ms`. Returns whether that is our tip.
    pub fn compare(&mut self, best: BlockHash, now_ms: u64) -> bool {
        let agrees = self.contradiction.is_none() && self.tip().is_some_and(|tip| tip.hash == best);
        if agrees {
            self.agreed = Some(now_ms);
        }
        agrees
    }

    /// When bitcoind last said that our tip is its own, Unix milliseconds.
    pub fn agreed(&self) -> Option<u64> {
        self.agreed
    }

    /// What bitcoind contradicts, until an operator decides.
    pub fn contradiction(&self) -> Option<&str> {
        self.contradiction.as_deref()
    }

    /// bitcoind left the chain followed further back than is followed: nothing more is taken from it.
    pub fn contradict(&mut self, by: &Contradiction) {
        self.contradiction = Some(by.to_string());
    }

    /// An operator decided: another chain is followed from its next anchor on, and all is looked up anew.
    pub fn restart(&mut self) -> Change {
        let mut change = Change::default();
        for header in self.headers.take().iter().flat_map(Headers::heights) {
            change.headers.insert(header, None);
        }
        for (outpoint, watch) in &mut self.watches {
            watch.restart();
            change.touched.insert(*outpoint);
        }
        (self.contradiction, self.agreed) = (None, None);
        change
    }

    /// Takes `headers`, the first at height `first`, for the chain to follow, if none is followed yet.
    pub fn anchor(&mut self, first: u32, headers: &[Header]) -> Result<Change, Contradiction> {
        let mut change = Change::default();
        if self.headers.is_some() {
            return Ok(change);
        }
        let Some(anchored) = Headers::anchor(self.network, first, headers) else { return Ok(change) };
        let anchored = anchored?;
        change.headers.extend(anchored.heights().zip(headers.iter().copied().map(Some)));
        self.headers = Some(anchored);
        Ok(change)
    }

    /// Takes in the block after the tip. On `Err` nothing has changed.
    pub fn connect(&mut self, block: &CheckedBlock) -> Result<Change, Contradiction> {
        let mut change = Change::default();
        let Some(headers) = &mut self.headers else { return Ok(change) };
        if let Some(dropped) = headers.push(block.header())? {
            change.headers.insert(dropped, None);
        }
        let height = headers.tip().height;
        change.headers.insert(height, Some(*block.header()));
        self.observe(block, height, |_| true, &mut change);
        Ok(change)
    }

    /// Undoes the tip. `None` if it is the last block remembered.
    pub fn disconnect(&mut self) -> Option<Change> {
        let undone = self.headers.as_mut()?.pop()?;
        let mut change = Change::default();
        change.headers.insert(undone.height, None);
        for (outpoint, watch) in &mut self.watches {
            let confirmed = watch.confirmed.is_some();
            if watch.undo(undone.height) {
                change.touched.insert(*outpoint);
                if confirmed && watch.confirmed.is_none() {
                    change.unconfirmed.insert(*outpoint);
                }
            }
        }
        Some(change)
    }

    /// Follows a branch from height `fork` instead: more work than the blocks undone, at most [`MAX_REORG`] of them. On
    /// `Err` nothing has changed.
    pub fn reorganise(&mut self, fork: u32, blocks: &[Arc<CheckedBlock>]) -> Result<Change, Contradiction> {
        let Some(headers) = &self.headers else { return Ok(Change::default()) };
        let tip = headers.tip().height;
        let depth = tip.saturating_sub(fork);
        if depth > MAX_REORG || headers.hash_at(fork).is_none() {
            return Err(Contradiction::DeepReorganisation { depth: Some(depth), tip });
        }
        let branch: Work = blocks.iter().fold(no_work(), |sum, block| sum + block.header().work());
        if branch <= headers.work_above(fork) {
            return Err(Contradiction::LessWork { fork });
        }
        let mut view = self.clone();
        let mut change = Change::default();
        for _ in 0..depth {
            let Some(undone) = view.disconnect() else {
                return Err(Contradiction::DeepReorganisation { depth: Some(depth), tip });
            };
            change.join(undone);
        }
        for block in blocks {
            change.join(view.connect(block)?);
        }
        *self = view;
        Ok(change)
    }

    /// Outpoints that bitcoind should be asked for, at most `limit`, and the next block of the past to look through.
    pub fn wanted(&self, limit: usize) -> (Vec<OutPoint>, Option<u32>) {
        let asks = self.watches.iter().filter(|(_, w)| w.lookup == Lookup::Ask).map(|(o, _)| *o);
        let scans = self.watches.values().filter_map(|w| match w.lookup {
            Lookup::Scan { next, .. } => Some(next),
            _ => None,
        });
        (asks.take(limit).collect(), scans.min())
    }

    /// bitcoind has `outpoint` unspent, made in `block`.
    pub fn unspent(&mut self, outpoint: OutPoint, block: &CheckedBlock) -> Result<Change, Contradiction> {
        let mut change = Change::default();
        let height = block.height();
        let asked = self.watches.get(&outpoint).is_some_and(|w| w.lookup == Lookup::Ask);
        if !asked || !self.may_hold(block) {
            return Ok(change);
        }
        let makes = |(txid, _): &(Txid, &bitcoin::Transaction)| *txid == outpoint.txid;
        let made = block.transactions().find(makes).and_then(|(_, tx)| tx.tx_out(vout(&outpoint)).ok());
        if made.is_none() {
            return Err(Contradiction::NotInBlock { outpoint, hash: block.hash(), height });
        }
        self.observe_of(block, height, &outpoint, &mut change);
        if let Some(watch) = self.watches.get_mut(&outpoint) {
            watch.lookup = Lookup::Done;
            change.touched.insert(outpoint);
        }
        Ok(change)
    }

    /// bitcoind does not have `outpoint` unspent.
    pub fn not_unspent(&mut self, outpoint: OutPoint) -> Change {
        let mut change = Change::default();
        if let (Some(tip), Some(watch)) = (self.tip(), self.watches.get_mut(&outpoint)) {
            watch.begin_scan(tip.height);
            change.touched.insert(outpoint);
        }
        change
    }

    /// Looks through a block of the past for the watches that want it.
    pub fn scan(&mut self, block: &CheckedBlock) -> Change {
        let mut change = Change::default();
        let height = block.height();
        if !self.may_hold(block) {
            return change;
        }
        let wants = |w: &Watch| matches!(w.lookup, Lookup::Scan { next, .. } if next == height);
        self.observe(block, height, wants, &mut change);
        for (outpoint, watch) in self.watches.iter_mut().filter(|(_, w)| wants(w)) {
            watch.scanned(height);
            change.touched.insert(*outpoint);
        }
        change
    }

    /// A block of the past is the one followed, as far as headers are remembered; below them its work and its
    /// transactions were checked, and that it is the chain's is bitcoind's word.
    fn may_hold(&self, block: &CheckedBlock) -> bool {
        let Some(headers) = &self.headers else { return false };
        block.height() <= headers.tip().height
            && headers.hash_at(block.height()).is_none_or(|hash| hash == block.hash())
    }

    fn observe_of(&mut self, block: &CheckedBlock, height: u32, outpoint: &OutPoint, change: &mut Change) {
        for (txid, transaction) in block.transactions().filter(|(txid, _)| *txid == outpoint.txid) {
            if let Some(watch) = self.watches.get_mut(outpoint) {
                made(watch, *outpoint, txid, transaction, height, change);
            }
        }
    }

    fn observe(
        &mut self,
        block: &CheckedBlock,
        height: u32,
        only: impl Fn(&Watch) -> bool,
        change: &mut Change,
    ) {
        if self.watches.is_empty() {
            return;
        }
        for (txid, transaction) in block.transactions() {
            for input in &transaction.input {
                let outpoint = input.previous_output;
                let Some(watch) = self.watches.get_mut(&outpoint) else { continue };
                if only(watch) && watch.spent.is_none() {
                    watch.spent = Some((height, txid));
                    change.touched.insert(outpoint);
                    change.seen.push(Seen::Spent { outpoint, by: txid, height });
                }
            }
            for vout in self.by_txid.get(&txid).into_iter().flatten() {
                let outpoint = OutPoint { txid, vout: *vout };
                if let Some(watch) = self.watches.get_mut(&outpoint).filter(|w| only(w)) {
                    made(watch, outpoint, txid, transaction, height, change);
                }
            }
        }
    }
}

fn vout(outpoint: &OutPoint) -> usize {
    usize::try_from(outpoint.vout).unwrap_or(usize::MAX)
}

fn made(
    watch: &mut Watch,
    outpoint: OutPoint,
    txid: Txid,
    transaction: &bitcoin::Transaction,
    height: u32,
    change: &mut Change,
) {
    let Ok(txout) = transaction.tx_out(vout(&outpoint)) else { return };
    if watch.confirmed.is_some() || txid != outpoint.txid {
        return;
    }
    watch.confirmed = Some((height, txout.clone()));
    change.touched.insert(outpoint);
    let differs = txout != watch.signed_for();
    change.seen.push(Seen::Confirmed { outpoint, height, differs, txout: txout.clone() });
}

impl Change {
    /// Adds what changed after it.
    pub fn join(&mut self, later: Change) {
        self.seen.extend(later.seen);
        self.touched.extend(later.touched);
        self.headers.extend(later.headers);
        self.unconfirmed.extend(later.unconfirmed);
        for seen in &self.seen {
            if let Seen::Confirmed { outpoint, .. } = seen {
                self.unconfirmed.remove(outpoint);
            }
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests;
