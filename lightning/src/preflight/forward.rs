//! An HTLC that came in and goes on: the commitment that offers it further.

use bitcoin::Amount;
use bitcoin::hashes::{Hash as _, ripemd160};
use strongroom_policy::{ChannelUpdate, Cover};

use super::payment::{balance, next_step};
use super::{Foresight, Forwarding};
use crate::books::{DUST, Hash160, Terms};
use crate::channels::{Channels, PendingHtlc};

impl Channels {
    /// What it is paid from is looked up as at the signature. It is certain only where an unused HTLC pays for it and nothing
    /// of its hash went out: lnd asks about a forward again when the incoming channel comes back, and to fail one that is out
    /// would give its amount away.
    pub(super) fn foresee_forward(&self, forwarding: &Forwarding, terms: Terms) -> Foresight {
        let unchecked =
            |why: &str| Foresight { unchecked: vec![format!("the forward: {why}")], ..Foresight::default() };
        // Commitments show whole satoshis.
        let amount = Amount::from_sat(forwarding.amount_msat / 1_000);
        let hash = ripemd160::Hash::hash(&forwarding.hash).to_byte_array();
        if amount.to_sat() < DUST {
            return unchecked("it is too small for an output, so whether it is out cannot be seen");
        }
        if self.may_be_out(&hash) {
            return unchecked("an HTLC of its hash is out, or was");
        }
        let brings = |htlc: &PendingHtlc| !htlc.offered_by_us && htlc.payment_hash160 == hash;
        let others = self.usable().filter(|channel| {
            let state = channel.record.counterparty.as_ref();
            !state.is_some_and(|state| state.htlcs.iter().any(brings))
        });
        let Some(channel) = others.max_by_key(|channel| balance(channel)) else {
            return unchecked("no channel in the books can carry it");
        };
        let htlc = PendingHtlc {
            vout: 0,
            offered_by_us: true,
            payment_hash160: hash,
            amount,
            cltv_expiry: forwarding.expiry,
        };
        let shown = channel.record.counterparty.as_ref().map_or(&[][..], |latest| &latest.htlcs);
        let funding = channel.record.funding;
        let offered = self.cover(&self.books, &funding, shown, &[&htlc], &mut Vec::new(), terms);
        if !offered.iter().all(|htlc| matches!(htlc.cover, Cover::Forward { again: false, .. })) {
            return unchecked("no HTLC in the books pays for it");
        }
        let update = ChannelUpdate { offered, ..ChannelUpdate::default() };
        let unchecked = vec!["which channel it takes".to_owned()];
        Foresight { certain: vec![next_step(channel, update)], unchecked, ..Foresight::default() }
    }

    /// Whether an HTLC of the hash goes out, or was forwarded and is not over, by the latest commitments or those that they
    /// followed.
    fn may_be_out(&self, hash: &Hash160) -> bool {
        let states = || self.channels.values().filter_map(|channel| channel.record.counterparty.as_ref());
        let before = || states().filter_map(|state| state.before.as_deref());
        let shown = states().flat_map(|state| &state.htlcs).chain(before().flat_map(|before| &before.htlcs));
        let forwards = self.books.forwards.values();
        let forwards =
            forwards.chain(before().flat_map(|before| &before.forwards).map(|(_, forward)| forward));
        shown.filter(|htlc| htlc.offered_by_us).any(|htlc| htlc.payment_hash160 == *hash)
            || forwards.into_iter().any(|forward| forward.payment_hash160 == *hash)
    }
}
