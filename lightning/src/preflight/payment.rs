//! A payment over channels: the commitment that offers its HTLCs.

use bitcoin::hashes::{Hash as _, ripemd160};
use bitcoin::{Amount, Weight};
use strongroom_policy::ChannelUpdate;
use strongroom_policy::case::{Destination, Spend};

use super::{Foreseen, Foresight, Payment, output};
use crate::books::{DUST, Terms};
use crate::channels::{Channel, Channels, PendingHtlc};

/// HTLCs of one payment looked at: more than lnd ever makes (`MaxPartsUpperLimit` in `lnrpc/routerrpc`).
const MOST_PARTS: u64 = 1_000;

impl Channels {
    /// lnd tries the whole amount first and splits it only where no channel or route holds it, so the largest part is the
    /// whole, the user's own limit for a part, or the largest balance, whichever is least.
    pub(super) fn foresee_payment(&self, payment: &Payment, terms: Terms) -> Foresight {
        let mut foresight = Foresight::default();
        let Some(channel) = self.usable().max_by_key(|channel| balance(channel)) else {
            foresight.unchecked.push("the payment: no channel in the books can carry it".to_owned());
            return foresight;
        };
        let limit =
            payment.max_part_msat.unwrap_or(u64::MAX).min(balance(channel).to_sat().saturating_mul(1_000));
        foresight.certain.push(self.foresee_htlcs(channel, payment, payment.amount_msat, limit, terms));
        if payment.max_fee_msat > 0 {
            let with_fee = payment.amount_msat.saturating_add(payment.max_fee_msat);
            let when =
                format!("with a routing fee of {} sat, all that is allowed", payment.max_fee_msat / 1_000);
            foresight.possible.push((when, self.foresee_htlcs(channel, payment, with_fee, limit, terms)));
        }
        foresight.unchecked.push("which channels it takes, and its routing fee".to_owned());
        foresight
    }

    /// Channels that can carry another HTLC.
    pub(super) fn usable(&self) -> impl Iterator<Item = &Channel> {
        self.channels.values().filter(|channel| {
            channel.record.frozen.is_none()
                && !channel.record.closing
                && channel.record.counterparty.is_some()
        })
    }

    /// The step of a channel that offers `msat` in HTLCs of `limit` msat at most.
    fn foresee_htlcs(
        &self,
        channel: &Channel,
        payment: &Payment,
        msat: u64,
        limit: u64,
        terms: Terms,
    ) -> Foreseen {
        let part = msat.min(limit).max(1);
        // Commitments show whole satoshis.
        let (whole, rest) = ((msat / part).min(MOST_PARTS), msat % part);
        let parts = (0..whole).map(|_| part).chain((rest > 0).then_some(rest)).map(|p| p / 1_000);
        let (htlcs, dust): (Vec<u64>, Vec<u64>) = parts.partition(|sat| *sat >= DUST);
        let payment_hash160 =
            payment.hash.map_or([0; 20], |hash| ripemd160::Hash::hash(&hash).to_byte_array());
        let offered: Vec<PendingHtlc> = (0u32..)
            .zip(htlcs)
            .map(|(vout, sat)| PendingHtlc {
                vout,
                offered_by_us: true,
                payment_hash160,
                amount: Amount::from_sat(sat),
                cltv_expiry: 0,
            })
            .collect();
        let funding = channel.record.funding;
        let shown = channel.record.counterparty.as_ref().map_or(&[][..], |latest| &latest.htlcs);
        let offered: Vec<_> = offered.iter().collect();
        let mut offered = self.cover(&self.books, &funding, shown, &offered, &mut Vec::new(), terms);
        if payment.hash.is_none() {
            offered.iter_mut().for_each(|htlc| htlc.payment_hash160 = "of a hash not made yet".to_owned());
        }
        let update = ChannelUpdate {
            unexplained_outflow: Amount::from_sat(dust.iter().sum()),
            offered,
            ..ChannelUpdate::default()
        };
        next_step(channel, update)
    }
}

/// The peer's next commitment of a channel, which changes this.
pub(super) fn next_step(channel: &Channel, update: ChannelUpdate) -> Foreseen {
    let funding = channel.record.funding;
    let state = channel.record.counterparty.as_ref();
    let spend = Spend::CounterpartyCommitment {
        channel: funding,
        number: state.map_or(0, |state| state.number).saturating_add(1),
        to_remote: balance(channel),
    };
    let capacity = channel.record.capacity;
    let outputs = vec![output(capacity, channel.funding_script_pubkey.clone(), Destination::OwnChannel)];
    Foreseen { update: Some(update), ..Foreseen::new(spend, funding, capacity, outputs, Weight::ZERO) }
}

/// What an HTLC of ours can be paid from.
pub(super) fn balance(channel: &Channel) -> Amount {
    channel.record.counterparty.as_ref().map_or(Amount::ZERO, |state| state.to_remote)
}
