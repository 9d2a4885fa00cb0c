//! What is kept of one channel.

use bitcoin::hex::DisplayHex as _;
use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut, Txid};
use serde::{Deserialize, Serialize};
use strongroom_policy::{Frozen, KeyLocator};

use crate::books::Forward;
use crate::script::{Funding, ToRemote, anchor_script};

/// A stored record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel record {} is of no form that this version knows", key.as_hex())]
pub struct BadRecord {
    /// Its key.
    pub key: Vec<u8>,
}

/// One channel as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChannelRecord {
    /// Funding outpoint.
    pub(crate) funding: OutPoint,
    pub(crate) capacity: Amount,
    /// Our key of the 2-of-2.
    pub(crate) multisig: KeyLocator,
    /// The 2-of-2.
    pub(crate) funding_script: ScriptBuf,
    /// sequence and locktime bits of the first commitment seen, which is taken to be number 0: the obfuscator.
    pub(crate) obfuscator: u64,
    /// Our payment basepoint `{3/i}` and the form of `to_remote`, once a commitment paid it.
    pub(crate) to_remote: Option<(u32, ToRemote)>,
    /// Our `to_remote` on the first commitment of the peer's.
    pub(crate) first_to_remote: Option<Amount>,
    /// Scripts beside the anchors on our own first commitment, once it was signed: number 0, or a later one where the channel
    /// was used before its funding confirmed. Our `to_local` and HTLCs are never seen again, the peer's `to_remote` is on all
    /// of ours.
    pub(crate) holder_zero: Option<Vec<ScriptBuf>>,
    /// Index of our HTLC basepoint `{2/i}`, once an HTLC was matched to a commitment of this channel.
    pub(crate) htlc_base: Option<u32>,
    /// The peer's latest commitment that we signed.
    pub(crate) counterparty: Option<CounterpartyState>,
    /// Our own latest commitment that we signed.
    pub(crate) holder: Option<HolderState>,
    /// A closing transaction was signed after the latest commitment of the peer's.
    pub(crate) closing: bool,
    /// What ended its updates.
    pub(crate) frozen: Option<Frozen>,
    /// The least `to_remote` of all commitments of the peer's that we signed. None of them is known to be revoked, so
    /// this is what the channel guarantees us.
    pub(crate) guaranteed: Option<Amount>,
    /// Its reservation was seen, so that the first commitment is sure to have been number 0.
    pub(crate) reserved: bool,
}

/// The peer's latest commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CounterpartyState {
    pub(crate) number: u64,
    pub(crate) txid: Txid,
    /// Our `to_remote`; zero if absent.
    pub(crate) to_remote: Amount,
    /// Outputs that are neither ours nor anchors, by index: the peer's `to_local` and the HTLCs.
    pub(crate) others: Vec<(u32, TxOut)>,
    /// HTLCs whose transactions were asked for, by index.
    pub(crate) htlcs: Vec<PendingHtlc>,
    /// What of the capacity no output holds: the fee, HTLCs too small for an output, fractions of satoshis.
    pub(crate) gap: Amount,
    /// What it is held against; `None` for the first that was seen.
    pub(crate) before: Option<Box<Before>>,
}

/// What a commitment is held against: the last that was signed of the number before it.
///
/// lnd signs a number again, with other contents, if it stopped before it sent the first version. Then either may be the
/// one that counts, and what is concluded from the second must not rest on the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    /// A peer that has not revoked it yet may still publish it, and we bump it then.
    pub(crate) txid: Txid,
    pub(crate) to_remote: Amount,
    /// The peer's own balance.
    pub(crate) peers: Amount,
    pub(crate) gap: Amount,
    pub(crate) htlcs: Vec<PendingHtlc>,
    /// Forwards that the latest number changed or closed, as they were before it was first signed.
    pub(crate) forwards: Vec<(u64, Forward)>,
}

impl Before {
    /// The latest commitment, when one of the next number comes.
    pub(crate) fn of(latest: &CounterpartyState) -> Self {
        Self {
            txid: latest.txid,
            to_remote: latest.to_remote,
            peers: latest.peers(),
            gap: latest.gap,
            htlcs: latest.htlcs.clone(),
            forwards: Vec::new(),
        }
    }
}

impl CounterpartyState {
    /// Outputs that are neither ours, nor anchors, nor HTLCs asked for.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &TxOut> {
        let is_htlc = |vout| self.htlcs.binary_search_by_key(vout, |htlc| htlc.vout).is_ok();
        self.others.iter().filter(move |(vout, _)| !is_htlc(vout)).map(|(_, output)| output)
    }

    /// The peer's own balance: what is left when every HTLC is known.
    pub(crate) fn peers(&self) -> Amount {
        self.rest()
            .fold(Amount::ZERO, |sum, output| sum.checked_add(output.value).unwrap_or(Amount::MAX_MONEY))
    }

    /// Our balance, with the HTLCs that we offer.
    pub(crate) fn ours(&self) -> Amount {
        let offered = self.htlcs.iter().filter(|htlc| htlc.offered_by_us);
        offered.fold(self.to_remote, |sum, htlc| sum.checked_add(htlc.amount).unwrap_or(Amount::MAX_MONEY))
    }
}

/// An HTLC on a commitment of the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingHtlc {
    /// Its output.
    pub(crate) vout: u32,
    /// We pay it; else the peer does.
    pub(crate) offered_by_us: bool,
    /// RIPEMD160 of the payment hash.
    pub(crate) payment_hash160: [u8; 20],
    pub(crate) amount: Amount,
    /// Block height of its timeout.
    pub(crate) cltv_expiry: u32,
}

impl PendingHtlc {
    /// What makes it the same HTLC on another commitment.
    pub(crate) fn terms(&self) -> ([u8; 20], Amount, u32) {
        (self.payment_hash160, self.amount, self.cltv_expiry)
    }

    /// Whether it is `other`, or cannot be told from it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.offered_by_us == other.offered_by_us && self.terms() == other.terms()
    }
}

/// Our own latest commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HolderState {
    pub(crate) number: u64,
    pub(crate) txid: Txid,
    /// Outputs that are not anchors: our `to_local`, the peer's `to_remote` and the HTLCs.
    pub(crate) others: Vec<(u32, TxOut)>,
}

impl ChannelRecord {
    /// The same, with the forwards that another version of its latest commitment has to begin from.
    pub(crate) fn undone_by(&self, forwards: Vec<(u64, Forward)>) -> Self {
        let mut record = self.clone();
        if let Some(before) = record.counterparty.as_mut().and_then(|latest| latest.before.as_mut()) {
            before.forwards = forwards;
        }
        record
    }

    /// Whether lnd, asking for this number of the peer's, has gone on without us. Where the opening was not seen, the first
    /// number met counts as 0, and none tells.
    pub(crate) fn lags_behind(&self, number: u64) -> bool {
        let latest = self.counterparty.as_ref().filter(|_| self.reserved);
        latest.is_some_and(|latest| number > latest.number + 1)
    }

    /// What stands against a commitment of the peer's of this number.
    pub(crate) fn frozen_at(&self, number: u64) -> Option<Frozen> {
        let unseen = (!self.reserved && self.counterparty.is_none()).then_some(Frozen::Unseen);
        let signed = self.counterparty.as_ref().map_or(0, |latest| latest.number);
        let behind = self.lags_behind(number).then_some(Frozen::Behind { signed, asked: number });
        self.frozen.or(unseen).or(behind)
    }

    /// The latest commitments signed, the peer's and ours.
    pub(super) fn commitments(&self) -> impl Iterator<Item = Txid> {
        let theirs = self.counterparty.iter().map(|latest| latest.txid);
        theirs.chain(self.holder.iter().map(|latest| latest.txid))
    }

    /// What counts towards the total of open channels.
    pub(super) fn counted_capacity(&self) -> Amount {
        if self.closing { Amount::ZERO } else { self.capacity }
    }
}

/// A channel in memory: the record and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Channel {
    pub(crate) record: ChannelRecord,
    /// Script pubkeys of the two anchors.
    pub(crate) anchors: [ScriptBuf; 2],
    pub(crate) funding_script_pubkey: ScriptBuf,
}

impl From<ChannelRecord> for Channel {
    fn from(record: ChannelRecord) -> Self {
        // A record is only ever made from a parsed funding script; an unreadable one matches no anchor.
        let anchors = Funding::parse(record.funding_script.as_bytes())
            .map(|funding| funding.keys.map(|key| anchor_script(&key).to_p2wsh()))
            .unwrap_or_default();
        let funding_script_pubkey = record.funding_script.to_p2wsh();
        Self { record, anchors, funding_script_pubkey }
    }
}
