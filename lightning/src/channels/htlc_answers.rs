//! HTLC signatures given for one commitment of a peer's.

use std::collections::BTreeMap;

use bitcoin::{Amount, ScriptBuf, TxOut};
use serde::{Deserialize, Serialize};

use super::PendingHtlc;

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

/// All of them, by output index of the commitment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HtlcAnswers(BTreeMap<u32, HtlcAnswer>);

impl HtlcAnswers {
    pub(super) fn insert(&mut self, vout: u32, answer: HtlcAnswer) {
        self.0.insert(vout, answer);
    }

    pub(super) fn remove(&mut self, vout: u32) {
        self.0.remove(&vout);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, vout: u32) -> Option<&HtlcAnswer> {
        self.0.get(&vout)
    }

    pub(crate) fn any(&self) -> Option<&HtlcAnswer> {
        self.0.values().next()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &HtlcAnswer)> {
        self.0.iter().map(|(vout, answer)| (*vout, answer))
    }
}
