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
    /// When the outgoing HTLC went, Unix seconds, if nothing proves that its amount came back: since then we owe the claim
    /// of the incoming one.
    pub(crate) out_gone: Option<u64>,
    /// The outgoing HTLC's amount came back: nothing is at risk, but the incoming one pays for no other.
    pub(crate) out_back: bool,
    /// However the balance is read, the outgoing HTLC's amount did not come back: it was paid.
    pub(crate) out_paid: bool,
    /// lnd gave up the version of a commitment that offered the outgoing HTLC, the only one that did; the peer may have it.
    pub(crate) given_up: bool,
    /// Other HTLCs of the hash were about, so that which one forwards which is not certain.
    pub(crate) uncertain: bool,
    /// Commitments of the incoming channel that were signed when the claim was overdue, and left the incoming HTLC there;
    /// counted as far as [`Forward::PASSED`].
    pub(crate) passed: u32,
}

impl Forward {
    /// Seconds within which an HTLC has ended, in its channel or on the chain: 2,160 blocks, the furthest expiry that the
    /// profiles let come in. A channel that was closed shows no end of its HTLCs.
    const LONGEST: u64 = 2_160 * 600;

    /// lnd may settle an HTLC one commitment later than it could after it was away, not two.
    const PASSED: u32 = 2;

    /// Nothing shows that the outgoing HTLC has ended.
    pub(super) fn is_out(&self) -> bool {
        self.out_gone.is_none() && !self.out_back
    }

    /// Whether the incoming HTLC is to be claimed, and has been for `seconds`.
    pub(crate) fn is_overdue(&self, now: u64, seconds: u64) -> bool {
        let owed = self.out_gone.filter(|_| !self.in_gone && !self.out_back);
        owed.is_some_and(|since| since.saturating_add(seconds) <= now)
    }

    /// Whether the incoming channel went on and on without the claim that was overdue.
    pub(crate) fn is_passed_over(&self) -> bool {
        !self.in_gone && self.passed >= Self::PASSED
    }

    /// One more commitment passed it over, if that is still counted.
    pub(crate) fn pass_over(&self) -> Option<Self> {
        (self.passed < Self::PASSED).then(|| Self { passed: self.passed + 1, ..self.clone() })
    }

    /// Whether it is still at risk, or may have been lost within `window` seconds.
    pub(crate) fn counts(&self, now: u64, window: u64) -> bool {
        let lasts = if self.in_gone { window } else { window.saturating_add(Self::LONGEST) };
        !self.out_back && self.at.saturating_add(lasts) > now
    }
}
