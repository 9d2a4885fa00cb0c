//! What becomes of funding outputs on the chain: VLS's listener, without its monitor.
//!
//! VLS's own `ChainMonitor` reads closing transactions with both parties' basepoints and commitment points, which no
//! request shows. Confirmation and spending of a funding output need neither.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::absolute::LockTime;
use bitcoin::block::Header;
use bitcoin::{BlockHash, OutPoint, Transaction, TxIn, TxOut, Txid};
use lightning_signer::SendSync;
use lightning_signer::chain::tracker::ChainListener;
use lightning_signer::policy::validator::ChainState;
use serde::{Deserialize, Serialize};

/// What the chain has shown of one funding output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funding {
    /// Watched since before it could confirm: that it has not been seen to confirm means that it has not.
    pub from_opening: bool,
    /// Height of the block that has its transaction.
    pub confirmed: Option<u32>,
    /// Height of the block that spends it.
    pub spent: Option<u32>,
}

/// The outputs watched, and the height up to which blocks were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) height: u32,
    pub(super) fundings: BTreeMap<OutPoint, Funding>,
    /// Transactions of a block that comes in pieces: their ids and what they spend.
    streamed: Vec<(Txid, Vec<OutPoint>)>,
    /// Inputs of the transaction that is coming in.
    inputs: Vec<OutPoint>,
}

/// The listener: a handle, all of which see the same.
#[derive(Clone, Default)]
pub(super) struct FundingWatch(Arc<Mutex<Watched>>);

impl FundingWatch {
    pub(super) fn of(watched: Watched) -> Self {
        Self(Arc::new(Mutex::new(watched)))
    }

    /// A panic of VLS's while it held the lock is followed by putting the state back.
    pub(super) fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// The state of one funding output, if it is known whether it is confirmed or spent.
    pub(super) fn state(&self, funding: &OutPoint) -> Option<ChainState> {
        let found = self.fundings.get(funding)?;
        let depth = |at: Option<u32>| at.map_or(0, |at| (self.height + 1).saturating_sub(at));
        if !found.from_opening && found.confirmed.is_none() && found.spent.is_none() {
            return None;
        }
        let closing_depth = depth(found.spent);
        Some(ChainState {
            current_height: self.height,
            // What was spent was confirmed, at least as deep.
            funding_depth: depth(found.confirmed).max(closing_depth),
            funding_double_spent_depth: 0,
            closing_depth,
        })
    }

    fn add(&mut self, transactions: Vec<(Txid, Vec<OutPoint>)>) {
        self.height += 1;
        let height = self.height;
        for (txid, spends) in transactions {
            for (_, funding) in self.fundings.range_mut(outputs_of(txid)) {
                funding.confirmed = Some(height);
            }
            for spent in spends {
                if let Some(funding) = self.fundings.get_mut(&spent) {
                    funding.spent = Some(height);
                }
            }
        }
    }

    /// Takes the last block back. What it had confirmed or spent is known by its height.
    pub(super) fn take_back(&mut self) {
        let gone = Some(self.height);
        for funding in self.fundings.values_mut() {
            if funding.confirmed == gone {
                funding.confirmed = None;
                // It was seen to be unconfirmed in the chain as it now is.
                funding.from_opening = true;
            }
            if funding.spent == gone {
                funding.spent = None;
            }
        }
        self.height = self.height.saturating_sub(1);
    }
}

fn outputs_of(txid: Txid) -> std::ops::RangeInclusive<OutPoint> {
    OutPoint { txid, vout: 0 }..=OutPoint { txid, vout: u32::MAX }
}

fn spends(transaction: &Transaction) -> (Txid, Vec<OutPoint>) {
    let inputs = transaction.input.iter().map(|input| input.previous_output);
    (transaction.compute_txid(), inputs.collect())
}

/// Outpoints to begin and to cease watching: every one is watched as long as its channel is known.
type Changes = (Vec<OutPoint>, Vec<OutPoint>);

impl ChainListener for FundingWatch {
    type Key = ();

    fn key(&self) -> &() {
        &()
    }

    fn on_add_block(&self, transactions: &[Transaction], _: &BlockHash) -> Changes {
        self.lock().add(transactions.iter().map(spends).collect());
        Changes::default()
    }

    fn on_add_streamed_block_end(&self, _: &BlockHash) -> Changes {
        let mut watched = self.lock();
        let streamed = take(&mut watched.streamed);
        watched.add(streamed);
        Changes::default()
    }

    fn on_remove_block(&self, _: &[Transaction], _: &BlockHash) -> Changes {
        self.lock().take_back();
        Changes::default()
    }

    fn on_remove_streamed_block_end(&self, _: &BlockHash) -> Changes {
        let mut watched = self.lock();
        watched.streamed.clear();
        watched.take_back();
        Changes::default()
    }

    fn on_push<F: FnOnce(&mut dyn push_decoder::Listener)>(&self, push: F) {
        push(&mut *self.lock());
    }
}

impl SendSync for FundingWatch {}

impl push_decoder::Listener for Watched {
    fn on_block_start(&mut self, _: &Header) {
        self.streamed.clear();
    }

    fn on_transaction_start(&mut self, _: i32) {
        self.inputs.clear();
    }

    fn on_transaction_input(&mut self, input: &TxIn) {
        self.inputs.push(input.previous_output);
    }

    fn on_transaction_output(&mut self, _: &TxOut) {}

    fn on_transaction_end(&mut self, _: LockTime, txid: Txid) {
        let inputs = take(&mut self.inputs);
        let concerns = self.fundings.range(outputs_of(txid)).next().is_some()
            || inputs.iter().any(|input| self.fundings.contains_key(input));
        if concerns {
            self.streamed.push((txid, inputs));
        }
    }

    fn on_block_end(&mut self) {}
}
