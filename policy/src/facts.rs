//! What the journal knows when a case is decided.

use bitcoin::{Amount, OutPoint};

/// State that rules look at beside the case. The journal fills it; rules only read it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Seconds since the Unix epoch, from the journal's monotonic clock.
    pub now: u64,
    /// This transaction was approved before: its outflow and fee are already charged.
    pub already_charged: bool,
    /// Paid to strangers and allowlisted destinations in the rolling window, by this node.
    pub outflow_in_window: Amount,
    /// Fees paid in the rolling window, by this node.
    pub fees_in_window: Amount,
    /// Outpoints of this transaction signed or claimed before with another amount: (outpoint, before, now).
    pub amount_conflicts: Vec<(OutPoint, Amount, Amount)>,
    /// Capacity of all channels of this node that are not known closed, by funding outpoints seen.
    pub channels_total: Amount,
    /// Capacity of the channel this case concerns, if any.
    pub channel_capacity: Option<Amount>,
    /// The channel this case concerns has been seen before.
    pub channel_known: bool,
    /// Possible funding outputs that we signed and no commitment has matched yet: sum.
    pub unmatched_funding: Amount,
    /// The same: count.
    pub unmatched_funding_count: u32,
    /// Channel reservations (family-5 ECDH) that no channel has used yet.
    pub open_reservations: u32,
    /// MuSig2 sessions open now.
    pub musig2_sessions: u32,
}
