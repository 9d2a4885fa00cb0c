//! Forwards: HTLCs that we offer because another came in.

use bitcoin::{Amount, OutPoint};
use serde::{Deserialize, Serialize};

use super::Hash160;

/// One forward, from the signature that offers the outgoing HTLC until its end is proven or the window is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forward {
    /// The channel it came by.
    pub(crate) incoming: OutPoint,
    pub(crate) payment_hash160: Hash160,
    pub(crate) in_amount: Amount,
    pub(crate) in_cltv: u32,
    /// The channel it left by.
    pub(crate) outgoing: OutPoint,
    pub(crate) out_amount: Amount,
    pub(crate) out_cltv: u32,
    /// Unix seconds.
    pub(crate) at: u64,
    /// The incoming HTLC is gone, and nothing proves that its amount is ours.
    pub(crate) in_gone: bool,
    /// The outgoing HTLC is gone, and nothing proves that its amount came back.
    pub(crate) out_gone: bool,
    /// The outgoing HTLC's amount came back: nothing is at risk, but the incoming one pays for no other.
    pub(crate) out_back: bool,
}

impl Forward {
    /// Whether it is still at risk, or may have been lost within `window` seconds.
    pub(crate) fn counts(&self, now: u64, window: u64) -> bool {
        !self.out_back && (!self.in_gone || self.at.saturating_add(window) > now)
    }
}
