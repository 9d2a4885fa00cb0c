//! What left one node's channels without anybody's leave, in the rolling window.

use bitcoin::Amount;
use serde::{Deserialize, Serialize};
use strongroom_policy::{Charges, Velocity, Window};

use crate::refusal::Refusal;

/// The windows of what leaves channels; stored whole whenever they change, apart from the rest, since that is often.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Flows {
    /// Balance gone without an HTLC.
    unexplained: Velocity,
    /// HTLCs offered without an authorisation.
    unauthorized: Velocity,
}

impl Flows {
    /// Nothing left yet.
    pub(super) fn new(window: Window) -> Self {
        Self { unexplained: Velocity::new(window), unauthorized: Velocity::new(window) }
    }

    /// Adapts to a policy whose window differs; nothing is forgotten that the new window still covers.
    pub(super) fn rewindow(&mut self, now: u64, window: Window) {
        self.unexplained.rewindow(now, window);
        self.unauthorized.rewindow(now, window);
    }

    /// Sums in the window: unexplained and unauthorised.
    pub(super) fn in_window(&self, now: u64) -> (Amount, Amount) {
        (self.unexplained.sum(now), self.unauthorized.sum(now))
    }

    /// The windows after an approval, if it changes them.
    pub(super) fn after(&self, now: u64, charges: &Charges) -> Option<Self> {
        if charges.unexplained == Amount::ZERO && charges.unauthorized == Amount::ZERO {
            return None;
        }
        let mut after = self.clone();
        after.unexplained.add(now, charges.unexplained);
        after.unauthorized.add(now, charges.unauthorized);
        Some(after)
    }

    /// As stored.
    pub(super) fn write(&self) -> Result<Vec<u8>, Refusal> {
        postcard::to_allocvec(self).map_err(|e| Refusal::Internal(format!("flows: {e}")))
    }

    /// Reads what `write` wrote.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        postcard::from_bytes(bytes).map_err(|e| e.to_string())
    }
}
