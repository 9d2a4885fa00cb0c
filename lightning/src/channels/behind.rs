//! Channels of which lnd has a later state than this signer: a copy of its records was put back.
//!
//! Then the books do not have the balance that counts, nor the HTLC signatures that were given since. The first request that
//! does not fit shows it; the channel is frozen from there on, and closes.

use strongroom_policy::Frozen;
use strongroom_policy::case::{Spend, SpendAsk};

use super::{Change, Channels, Learned};

impl Channels {
    /// What a refused request shows of its channel: that lnd has gone on without us. Nothing if that is known, or not so.
    pub fn fell_behind(&self, ask: &SpendAsk) -> Learned {
        let Spend::CounterpartyCommitment { channel, number, .. } = &ask.spend else {
            return Learned::nothing();
        };
        let known = self.channels.get(channel).map(|channel| &channel.record);
        let Some(record) = known.filter(|record| record.frozen.is_none() && record.lags_behind(*number))
        else {
            return Learned::nothing();
        };
        let mut record = record.clone();
        record.frozen = record.frozen_at(*number);
        Learned { changes: vec![Change::Channel(Box::new(record))] }
    }

    /// Channels that are behind and not closing.
    pub fn behind_count(&self) -> usize {
        let records = self.channels.values().map(|channel| &channel.record);
        records.filter(|record| !record.closing && record.frozen.is_some_and(Frozen::is_behind)).count()
    }
}
