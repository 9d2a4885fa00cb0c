//! One outpoint watched: what it was signed for, and what the chain has shown of it.

use bitcoin::{TxOut, Txid};
use serde::{Deserialize, Serialize};

/// Blocks before a watch began that are looked through all the same: the first commitment of a channel is signed before
/// its funding can be published, so an older block can hold neither it nor its spend.
pub(super) const SLACK: u32 = 6;

/// Blocks that are looked through at most for a watch whose beginning lies further back, or is not known: two weeks. An
/// output still unspent is found at any depth, by asking bitcoind for it; only the spend of an older one is not.
pub(super) const MAX_SCAN: u32 = 2_016;

/// What the chain says of a watched outpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Funding {
    /// Not watched, not looked up yet, or in no block that was looked through.
    Unknown,
    /// Unspent in no block, and in none since shortly before it was first heard of. What was spent long before that, as
    /// no new funding can be, is not told from what never was: neither earns credit.
    Unconfirmed,
    /// In a block, and unspent.
    Confirmed {
        /// Its block's height.
        height: u32,
        /// Blocks from there to the tip, both counted.
        depth: u32,
        /// The output as it is: compare it with what was signed for.
        txout: TxOut,
    },
    /// Spent in a block.
    Spent {
        /// The transaction that spends it.
        by: Txid,
        /// That transaction's block's height.
        height: u32,
        /// Blocks from there to the tip, both counted.
        depth: u32,
    },
}

/// How far the past was looked through for a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Lookup {
    /// bitcoind has to be asked whether it is unspent.
    Ask,
    /// It is not unspent: blocks from `next` to `to` are still to be looked through. `whole` if no older one can matter.
    Scan { next: u32, to: u32, whole: bool },
    /// All that can matter was looked through.
    Done,
    /// What was looked through is not all that can matter.
    Lost,
}

/// An outpoint watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The output as it was signed for.
    signed_for: TxOut,
    /// Height of the tip when the watch began, if that was when the output was first heard of.
    born: Option<u32>,
    pub(super) lookup: Lookup,
    pub(super) confirmed: Option<(u32, TxOut)>,
    pub(super) spent: Option<(u32, Txid)>,
}

impl Watch {
    /// Begins; `born` is the tip's height if the output is new.
    pub(super) fn new(signed_for: TxOut, born: Option<u32>) -> Self {
        Self { signed_for, born, lookup: Lookup::Ask, confirmed: None, spent: None }
    }

    /// The output as it was signed for.
    pub fn signed_for(&self) -> &TxOut {
        &self.signed_for
    }

    /// What is known of it with the tip at height `tip`.
    pub(super) fn funding(&self, tip: u32) -> Funding {
        let depth = |height: u32| tip.saturating_sub(height).saturating_add(1);
        match (&self.spent, &self.confirmed, self.lookup) {
            (Some((height, by)), _, _) => Funding::Spent { by: *by, height: *height, depth: depth(*height) },
            (None, Some((height, txout)), _) => {
                Funding::Confirmed { height: *height, depth: depth(*height), txout: txout.clone() }
            }
            (None, None, Lookup::Done) => Funding::Unconfirmed,
            (None, None, Lookup::Ask | Lookup::Scan { .. } | Lookup::Lost) => Funding::Unknown,
        }
    }

    /// bitcoind does not have it unspent: which blocks up to `tip` are looked through.
    pub(super) fn begin_scan(&mut self, tip: u32) {
        if self.lookup != Lookup::Ask {
            return;
        }
        let oldest = tip.saturating_add(1).saturating_sub(MAX_SCAN);
        let wanted = self.born.map_or(0, |born| born.saturating_sub(SLACK));
        let next = wanted.max(oldest).min(tip);
        self.lookup = Lookup::Scan { next, to: tip, whole: wanted >= oldest };
    }

    /// The block at `height` was looked through.
    pub(super) fn scanned(&mut self, height: u32) {
        let Lookup::Scan { next, to, whole } = self.lookup else { return };
        if next != height {
            return;
        }
        self.lookup = match height.checked_add(1).filter(|next| *next <= to) {
            Some(next) => Lookup::Scan { next, to, whole },
            None if whole => Lookup::Done,
            None => Lookup::Lost,
        };
    }

    /// The block at `height`, the tip, is undone. Returns whether the watch changed. A scan goes on over the blocks that
    /// take its place: to see them twice changes nothing.
    pub(super) fn undo(&mut self, height: u32) -> bool {
        let confirmed = self.confirmed.take_if(|(at, _)| *at == height).is_some();
        let spent = self.spent.take_if(|(at, _)| *at == height).is_some();
        confirmed || spent
    }

    /// Forgets what the chain has shown: another chain is followed from here.
    pub(super) fn restart(&mut self) {
        (self.lookup, self.confirmed, self.spent) = (Lookup::Ask, None, None);
    }
}
