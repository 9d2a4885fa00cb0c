//! An HTLC that came in and goes on: the commitment that offers it further.

use bitcoin::Amount;
use bitcoin::hashes::{Hash as _, ripemd160};
use strongroom_policy::{ChannelUpdate, Cover};

use super::payment::{balance, next_step};
use super::{Foresight, Forwarding, OutgoingHtlc};
use crate::books::{DUST, Terms};
use crate::channels::{Channels, PendingHtlc};

impl OutgoingHtlc {
    /// As the books have it.
    fn pending(&self) -> PendingHtlc {
        PendingHtlc {
            vout: 0,
            offered_by_us: true,
            payment_hash160: ripemd160::Hash::hash(&self.hash).to_byte_array(),
            // Commitments show whole satoshis.
            amount: Amount::from_sat(self.amount_msat / 1_000),
            cltv_expiry: self.expiry,
        }
    }
}

impl Channels {
    /// What it is paid from is looked up as at the signature. It is certain only where an unused HTLC pays for it and none like
    /// it went out: lnd asks about a forward again when the incoming channel comes back, and to fail one that is out would
    /// give its amount away.
    pub(super) fn foresee_forward(&self, forwarding: &Forwarding, terms: Terms) -> Foresight {
        let unchecked =
            |why: &str| Foresight { unchecked: vec![format!("the forward: {why}")], ..Foresight::default() };
        let htlc = forwarding.htlc.pending();
        if htlc.amount.to_sat() < DUST {
            return unchecked("it is too small for an output, so whether it is out cannot be seen");
        }
        if self.may_be_out(&htlc) {
            return unchecked("one like it is out, or was");
        }
        let brings =
            |other: &PendingHtlc| !other.offered_by_us && other.payment_hash160 == htlc.payment_hash160;
        let others = self.usable().filter(|channel| {
            let state = channel.record.counterparty.as_ref();
            !state.is_some_and(|state| state.htlcs.iter().any(brings))
        });
        let Some(channel) = others.max_by_key(|channel| balance(channel)) else {
            return unchecked("no channel in the books can carry it");
        };
        let beside = forwarding.beside.iter().map(OutgoingHtlc::pending);
        let beside: Vec<_> =
            beside.filter(|other| other.amount.to_sat() >= DUST && !self.may_be_out(other)).collect();
        let all: Vec<_> = beside.iter().chain([&htlc]).collect();
        let shown = channel.record.counterparty.as_ref().map_or(&[][..], |latest| &latest.htlcs);
        let funding = channel.record.funding;
        let mut offered = self.cover(&self.books, &funding, shown, &all, &mut Vec::new(), terms);
        let is_new = |cover: &Cover| matches!(cover, Cover::Forward { again: false, .. });
        if !offered.last().is_some_and(|htlc| is_new(&htlc.cover)) {
            return unchecked("no HTLC in the books pays for it");
        }
        // Of the others only what counts with it.
        offered.retain(|other| is_new(&other.cover));
        let update = ChannelUpdate { offered, ..ChannelUpdate::default() };
        let unchecked = vec!["which channel it takes".to_owned()];
        Foresight { certain: vec![next_step(channel, update)], unchecked, ..Foresight::default() }
    }

    /// Whether an HTLC of this hash, amount and timeout goes out, or was forwarded and is not over, by the latest commitments
    /// or those that they followed.
    fn may_be_out(&self, htlc: &PendingHtlc) -> bool {
        let states = || self.channels.values().filter_map(|channel| channel.record.counterparty.as_ref());
        let before = || states().filter_map(|state| state.before.as_deref());
        let shown = states().flat_map(|state| &state.htlcs).chain(before().flat_map(|before| &before.htlcs));
        let forwards = before().flat_map(|before| &before.forwards).map(|(_, forward)| forward);
        let mut forwards = self.books.forwards.values().chain(forwards);
        let is_it = |hash, amount, expiry| {
            (hash, amount, expiry) == (htlc.payment_hash160, htlc.amount, htlc.cltv_expiry)
        };
        shown
            .filter(|other| other.offered_by_us)
            .any(|other| is_it(other.payment_hash160, other.amount, other.cltv_expiry))
            || forwards.any(|forward| is_it(forward.payment_hash160, forward.out_amount, forward.out_cltv))
    }
}
