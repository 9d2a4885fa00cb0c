//! What the books report of channels.

use super::Channels;

impl Channels {
    /// Channels known and not known to be closing.
    pub fn open_count(&self) -> usize {
        self.channels.values().filter(|channel| !channel.record.closing).count()
    }
}
