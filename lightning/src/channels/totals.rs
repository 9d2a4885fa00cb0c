//! What the books report of channels.

use bitcoin::{Amount, OutPoint};

use super::Channels;

impl Channels {
    /// Channels known and not known to be closing.
    pub fn open_count(&self) -> usize {
        self.channels.values().filter(|channel| !channel.record.closing).count()
    }

    /// Our `to_remote` on the latest counterparty commitment; `None` before the first one.
    pub fn our_balance(&self, channel: &OutPoint) -> Option<Amount> {
        let counterparty = self.channels.get(channel)?.record.counterparty.as_ref()?;
        Some(counterparty.to_remote)
    }
}
