//! What the books report of channels.

use bitcoin::{Amount, OutPoint};

use super::Channels;

impl Channels {
    /// Capacity of a channel whose close was signed, and which is therefore in no total any more.
    pub fn closing_capacity(&self, channel: &OutPoint) -> Option<Amount> {
        let record = &self.channels.get(channel)?.record;
        record.closing.then_some(record.capacity)
    }

    /// Channels known and not known to be closing.
    pub fn open_count(&self) -> usize {
        self.channels.values().filter(|channel| !channel.record.closing).count()
    }
}
