//! What the books report of channels.

use bitcoin::{Amount, OutPoint};

use super::Channels;

impl Channels {
    /// Capacity of a channel whose close was signed, and which is therefore in no total any more.
    pub fn closing_capacity(&self, channel: &OutPoint) -> Option<Amount> {
        let record = &self.channels.get(channel)?.record;
        record.closing.then_some(record.capacity)
    }

    /// Our balance in a channel, by the peer's latest commitment and with the HTLCs that we offer on it.
    pub fn balance(&self, channel: &OutPoint) -> Option<Amount> {
        Some(self.channels.get(channel)?.record.counterparty.as_ref()?.ours())
    }

    /// All that is ours in channels that are not closing, HTLCs that we offer among it; and of that, what every commitment
    /// ever signed would pay.
    pub fn exposure(&self) -> (Amount, Amount) {
        let open = self.channels.values().filter(|channel| !channel.record.closing);
        open.fold((Amount::ZERO, Amount::ZERO), |(all, guaranteed), channel| {
            let sum = |a: Amount, b: Option<Amount>| {
                a.checked_add(b.unwrap_or(Amount::ZERO)).unwrap_or(Amount::MAX_MONEY)
            };
            let record = &channel.record;
            (
                sum(all, record.counterparty.as_ref().map(super::CounterpartyState::ours)),
                sum(guaranteed, record.guaranteed),
            )
        })
    }

    /// HTLCs on the peers' latest commitments of channels for which no close was signed: channel and timeout height.
    pub fn deadlines(&self) -> Vec<(OutPoint, u32)> {
        let open = self.channels.values().filter(|channel| !channel.record.closing);
        open.flat_map(|channel| {
            let htlcs = channel.record.counterparty.iter().flat_map(|state| &state.htlcs);
            htlcs.map(|htlc| (channel.record.funding, htlc.cltv_expiry))
        })
        .collect()
    }

    /// Forwards that are at risk, `window` being the policy's in seconds and `now` Unix seconds.
    pub fn provisional(&self, now: u64, window: u64) -> Amount {
        self.books.provisional(None, now, window)
    }

    /// Channels known and not known to be closing.
    pub fn open_count(&self) -> usize {
        self.channels.values().filter(|channel| !channel.record.closing).count()
    }
}
