//! HTLC signatures given for commitments of the peers'.

use std::collections::{BTreeMap, HashMap};

use bitcoin::{Amount, ScriptBuf, TxOut, Txid};
use serde::{Deserialize, Serialize};

use super::{Change, PendingHtlc};

/// A signature given on the peer's HTLC transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HtlcAnswer {
    /// Index of the HTLC basepoint `{2/i}` it was given with.
    pub(crate) htlc_base: u32,
    /// The HTLC output spent, as claimed.
    pub(crate) amount: Amount,
    /// Its script.
    pub(crate) script_pubkey: ScriptBuf,
    /// What the HTLC transaction pays.
    pub(crate) paid: Amount,
    /// Where to: the same delayed script for all HTLCs of a commitment.
    pub(crate) paid_to: ScriptBuf,
    /// Locktime and sequence of the HTLC transaction.
    pub(crate) lock_time: u32,
    pub(crate) sequence: u32,
    /// RIPEMD160 of the payment hash, as the script has it.
    pub(crate) payment_hash160: [u8; 20],
    /// Block height of the timeout: in the script where the peer receives, else the transaction's locktime.
    pub(crate) cltv_expiry: u32,
}

impl HtlcAnswer {
    /// Whether `output` is the HTLC that the signature spends.
    pub(crate) fn spends(&self, output: &TxOut) -> bool {
        output.value == self.amount && output.script_pubkey == self.script_pubkey
    }

    /// The HTLC, as the books know it.
    pub(crate) fn pending(&self, vout: u32) -> PendingHtlc {
        PendingHtlc {
            vout,
            // The peer's HTLC-success transaction has no locktime: what it receives, we offer.
            offered_by_us: self.lock_time == 0,
            payment_hash160: self.payment_hash160,
            amount: self.amount,
            cltv_expiry: self.cltv_expiry,
        }
    }
}

/// Those of one commitment, by output index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HtlcAnswers {
    answers: BTreeMap<u32, HtlcAnswer>,
    /// Which came first: higher for commitments answered for later.
    order: u64,
    /// The commitment is its channel's latest.
    latest: bool,
}

impl HtlcAnswers {
    pub(crate) fn get(&self, vout: u32) -> Option<&HtlcAnswer> {
        self.answers.get(&vout)
    }

    pub(crate) fn any(&self) -> Option<&HtlcAnswer> {
        self.answers.values().next()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &HtlcAnswer)> {
        self.answers.iter().map(|(vout, answer)| (*vout, answer))
    }
}

/// Commitments not asked for whose answers are kept at a time. lnd asks for nearly all of them a moment later; those of
/// a commitment that it lost in a crash stay.
const MOST_COMMITMENTS: usize = if cfg!(test) { 16 } else { 4_096 };

/// Answers kept for them, all together: of 271 commitments with 483 HTLCs each, some 40 MB.
const MOST_ANSWERS: usize = if cfg!(test) { 24 } else { 131_072 };

/// The answers of all commitments: of each channel's latest, and of those not asked for yet.
///
/// A signature on an HTLC transaction of a commitment that nobody has asked for is worth money as soon as that
/// commitment is signed with other outputs than it claims. So an answer is never just forgotten: where room is short,
/// the commitment that has waited longest is folded into a tombstone, and is then never signed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AnsweredCommitments {
    by_txid: HashMap<Txid, HtlcAnswers>,
    by_order: BTreeMap<u64, Txid>,
    /// Commitments that are not their channel's latest.
    waiting: usize,
    /// Answers for them.
    waiting_answers: usize,
}

impl AnsweredCommitments {
    pub(crate) fn get(&self, commitment: &Txid) -> Option<&HtlcAnswers> {
        self.by_txid.get(commitment)
    }

    /// The order of a commitment's answers, or that of the next commitment.
    pub(crate) fn order(&self, commitment: &Txid) -> u64 {
        let next = self.by_order.last_key_value().map_or(0, |(order, _)| order + 1);
        self.get(commitment).map_or(next, |answers| answers.order)
    }

    /// Makes room for one more answer on `commitment`: what is folded, the longest waiting first.
    pub(crate) fn room_for(&self, commitment: &Txid) -> Vec<Change> {
        let new = usize::from(self.get(commitment).is_none_or(|answers| answers.latest));
        let (mut commitments, mut answers) = (self.waiting + new, self.waiting_answers + 1);
        let mut changes = Vec::new();
        for txid in self.by_order.values() {
            if commitments <= MOST_COMMITMENTS && answers <= MOST_ANSWERS {
                break;
            }
            let Some(set) = self.get(txid).filter(|set| !set.latest && txid != commitment) else { continue };
            let forgotten = set.iter().map(|(vout, _)| Change::HtlcForgotten { commitment: *txid, vout });
            changes.extend(forgotten);
            changes.push(Change::Tombstoned { commitment: *txid });
            commitments -= 1;
            answers -= set.answers.len();
        }
        changes
    }

    pub(super) fn insert(
        &mut self,
        commitment: Txid,
        vout: u32,
        order: u64,
        answer: HtlcAnswer,
        latest: bool,
    ) {
        let set = self.by_txid.entry(commitment).or_insert_with(|| {
            self.by_order.insert(order, commitment);
            self.waiting += usize::from(!latest);
            HtlcAnswers { answers: BTreeMap::new(), order, latest }
        });
        let new = set.answers.insert(vout, answer).is_none();
        self.waiting_answers += usize::from(new && !set.latest);
    }

    pub(super) fn remove(&mut self, commitment: &Txid, vout: u32) {
        let Some(set) = self.by_txid.get_mut(commitment) else { return };
        let (waiting, found) = (!set.latest, set.answers.remove(&vout).is_some());
        self.waiting_answers -= usize::from(waiting && found);
        if set.answers.is_empty() {
            self.waiting -= usize::from(waiting);
            self.by_order.remove(&set.order);
            self.by_txid.remove(commitment);
        }
    }

    /// The commitment became its channel's latest, or no longer is.
    pub(super) fn set_latest(&mut self, commitment: &Txid, latest: bool) {
        let Some(set) = self.by_txid.get_mut(commitment).filter(|set| set.latest != latest) else { return };
        set.latest = latest;
        let answers = set.answers.len();
        if latest {
            (self.waiting, self.waiting_answers) = (self.waiting - 1, self.waiting_answers - answers);
        } else {
            (self.waiting, self.waiting_answers) = (self.waiting + 1, self.waiting_answers + answers);
        }
    }

    /// Commitments with answers.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_txid.len()
    }
}
