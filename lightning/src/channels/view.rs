//! Channels as an operator reads them.

use bitcoin::{Amount, OutPoint};
use strongroom_policy::{Frozen, NodeId};

use super::{Channels, PendingHtlc};

/// One channel by the signer's own books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelView {
    /// Funding outpoint.
    pub channel: OutPoint,
    /// The peer that its announcement named.
    pub peer: Option<NodeId>,
    /// Its capacity.
    pub capacity: Amount,
    /// Our output on the peer's latest commitment.
    pub balance: Amount,
    /// The least that any commitment of the peer's ever paid us.
    pub guaranteed: Amount,
    /// HTLCs on the peer's latest commitment.
    pub htlcs: Vec<HtlcView>,
    /// Number of the peer's latest commitment.
    pub their_number: Option<u64>,
    /// Number of our own latest commitment that was signed.
    pub our_number: Option<u64>,
    /// What ended its updates.
    pub frozen: Option<Frozen>,
    /// A closing transaction was signed.
    pub closing: bool,
    /// Forwards for its HTLCs that are not proven settled.
    pub provisional: Amount,
    /// Its incoming HTLCs that were paid on and should have been claimed by now.
    pub claims_overdue: Amount,
}

/// An incoming HTLC that was paid on and should have been claimed by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverdueClaim {
    /// Of the forward, unique within the node.
    pub id: u64,
    /// The channel it came by.
    pub channel: OutPoint,
    /// RIPEMD160 of the payment hash.
    pub payment_hash160: [u8; 20],
    /// What it holds.
    pub amount: Amount,
    /// Block height of its timeout.
    pub cltv_expiry: u32,
}

/// An HTLC on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HtlcView {
    /// We pay it.
    pub offered_by_us: bool,
    /// What it holds.
    pub amount: Amount,
    /// RIPEMD160 of the payment hash.
    pub payment_hash160: [u8; 20],
    /// Block height of its timeout.
    pub cltv_expiry: u32,
}

impl From<&PendingHtlc> for HtlcView {
    fn from(htlc: &PendingHtlc) -> Self {
        let PendingHtlc { offered_by_us, payment_hash160, amount, cltv_expiry, .. } = *htlc;
        Self { offered_by_us, amount, payment_hash160, cltv_expiry }
    }
}

impl ChannelView {
    /// All that is ours in it, the HTLCs that we offer among it.
    pub fn exposure(&self) -> Amount {
        let offered = self.htlcs.iter().filter(|htlc| htlc.offered_by_us);
        offered.fold(self.balance, |sum, htlc| sum.checked_add(htlc.amount).unwrap_or(Amount::MAX_MONEY))
    }
}

impl Channels {
    /// Claims overdue by `seconds` on channels for which no close was signed; `window` is the policy's in seconds and `now` in
    /// Unix seconds.
    pub fn overdue_claims(&self, now: u64, window: u64, seconds: u64) -> Vec<OverdueClaim> {
        let open = |channel: &OutPoint| self.channels.get(channel).is_some_and(|c| !c.record.closing);
        let overdue = self.books.overdue(now, window, seconds).filter(|(_, forward)| open(&forward.incoming));
        overdue
            .map(|(id, forward)| OverdueClaim {
                id,
                channel: forward.incoming,
                payment_hash160: forward.payment_hash160,
                amount: forward.in_amount,
                cltv_expiry: forward.in_cltv,
            })
            .collect()
    }

    /// Every channel that was seen, by outpoint; the rest as above.
    pub fn views(&self, now: u64, window: u64, seconds: u64) -> Vec<ChannelView> {
        let overdue = self.overdue_claims(now, window, seconds);
        let mut views: Vec<ChannelView> = self
            .channels
            .values()
            .map(|channel| {
                let record = &channel.record;
                let theirs = record.counterparty.as_ref();
                let claims = overdue.iter().filter(|claim| claim.channel == record.funding);
                ChannelView {
                    channel: record.funding,
                    peer: self.peer(&record.funding),
                    capacity: record.capacity,
                    balance: theirs.map_or(Amount::ZERO, |state| state.to_remote),
                    guaranteed: record.guaranteed.unwrap_or(Amount::ZERO),
                    htlcs: theirs
                        .map_or_else(Vec::new, |state| state.htlcs.iter().map(HtlcView::from).collect()),
                    their_number: theirs.map(|state| state.number),
                    our_number: record.holder.as_ref().map(|state| state.number),
                    frozen: record.frozen,
                    closing: record.closing,
                    provisional: self.books.provisional(Some(&record.funding), now, window),
                    claims_overdue: claims.fold(Amount::ZERO, |sum, claim| {
                        sum.checked_add(claim.amount).unwrap_or(Amount::MAX_MONEY)
                    }),
                }
            })
            .collect();
        views.sort_unstable_by_key(|view| view.channel);
        views
    }
}
