//! What VLS is told, in plain values: only what requests have truly shown.

use bitcoin::{Amount, OutPoint};
use serde::{Deserialize, Serialize};

/// A channel, as far as requests tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelFacts {
    /// Its funding output.
    pub funding: OutPoint,
    /// Amount of that output, to which every commitment's signature commits.
    pub capacity: Amount,
    /// `option_anchors` with HTLC transactions that pay no fee; else `option_static_remotekey`.
    pub anchors: bool,
    /// Whether we funded it and therefore pay its fees; `None` if no request tells.
    pub we_funded: Option<bool>,
    /// Its first commitment was seen, so that commitment numbers are the true ones; else they are only unlike.
    pub from_zero: bool,
}

/// One HTLC on the peer's commitment, from the script that its HTLC transaction spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HtlcFacts {
    /// We offered it: the peer is paid by it.
    pub offered_by_us: bool,
    /// Amount of its output.
    pub amount: Amount,
    /// RIPEMD160 of the payment hash; scripts show no more.
    pub payment_hash160: [u8; 20],
    /// Height from which on its offerer may take it back.
    pub cltv_expiry: u32,
}

/// One commitment of the peer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitmentFacts {
    /// The channel.
    pub channel: ChannelFacts,
    /// Its number: the true one if [`ChannelFacts::from_zero`], else one that no other commitment has.
    pub number: u64,
    /// What it pays us at once; zero without that output.
    pub to_remote: Amount,
    /// What it pays the peer after the delay: the output that is neither ours, nor an anchor, nor an HTLC.
    pub to_local: Amount,
    /// HTLCs whose script some request showed.
    pub htlcs: Vec<HtlcFacts>,
    /// Amounts of HTLC outputs whose script no request has shown yet: lnd asks for a commitment and for the
    /// signatures of its HTLC transactions at once.
    pub unread: Vec<Amount>,
}

impl CommitmentFacts {
    /// Whether it carries HTLCs.
    pub fn has_htlcs(&self) -> bool {
        !self.htlcs.is_empty() || !self.unread.is_empty()
    }

    /// Its number as VLS counts: zero is the first commitment, and of that there must be no doubt.
    pub(super) fn vls_number(&self) -> u64 {
        if self.channel.from_zero { self.number } else { self.number.saturating_add(1) }
    }
}
