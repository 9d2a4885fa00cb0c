//! What the journal knows when a case is decided.

use bitcoin::{Amount, OutPoint};

use crate::key::KeyLocator;
use crate::node_id::NodeId;
use crate::tier::Tier;
use crate::update::ChannelUpdate;

/// State that rules look at beside the case. The journal fills it; rules only read it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Seconds since the Unix epoch, from the journal's monotonic clock.
    pub now: u64,
    /// This transaction was approved before: its outflow and fee are already charged.
    pub already_charged: bool,
    /// Sum of [`crate::Charges::outflow`] in the rolling window, by this node.
    pub outflow_in_window: Amount,
    /// Sum of [`crate::Charges::fee`] in the rolling window, by this node.
    pub fees_in_window: Amount,
    /// Sum of [`crate::Charges::closing_fee`] in the rolling window, by this node.
    pub closing_fees_in_window: Amount,
    /// What of `outflow_in_window` this transaction would replace. Of all transactions that spend an outpoint only
    /// one can ever confirm, so the journal pins what it charged for a transaction to one of its outpoints, with the time
    /// of the oldest charge there. This is what is pinned to all of this transaction's outpoints together, as far as
    /// that time is in the window: a batch replaces all that its claims were in before. Zero is always safe.
    pub replaced_outflow: Amount,
    /// The same of `fees_in_window`.
    pub replaced_fee: Amount,
    /// The same of `closing_fees_in_window`.
    pub replaced_closing_fee: Amount,
    /// Outpoints of this transaction signed or claimed before with another amount: (outpoint, before, now).
    pub amount_conflicts: Vec<(OutPoint, Amount, Amount)>,
    /// Capacity of all channels of this node that are not known closed, by funding outpoints seen.
    pub channels_total: Amount,
    /// Capacity of the channel this case concerns, if any.
    pub channel_capacity: Option<Amount>,
    /// The channel this case concerns has been seen before: one of its commitments was approved. For a commitment of the
    /// peer's, one of the peer's.
    pub channel_known: bool,
    /// What our own on-chain wallet paid into the funding output of the channel this case concerns, as far as we
    /// signed for it; zero when the peer funded it or nothing is known.
    pub funded_by_us: Amount,
    /// Outputs of this transaction that are the funding outpoint, txid and index, of a channel already known.
    pub known_fundings: Vec<KnownFunding>,
    /// Other channels of this node for which an own commitment above number 0 was approved in the rolling window.
    pub force_closes_in_window: u32,
    /// Possible funding outputs that we signed and no commitment has matched yet: sum.
    pub unmatched_funding: Amount,
    /// The same: count.
    pub unmatched_funding_count: u32,
    /// Channel reservations (family-5 ECDH) that no channel has used yet.
    pub open_reservations: u32,
    /// The multisig key {0/j} that the ECDH key {5/i} asked for was answered with before.
    pub root_answered_for: Option<KeyLocator>,
    /// The ECDH key {5/i} that answered for the multisig key {0/j} asked for before.
    pub multisig_answered_by: Option<KeyLocator>,
    /// MuSig2 sessions open now.
    pub musig2_sessions: u32,
    /// What the peer's commitment asked for changes; `None` for other cases, and for a commitment that changes nothing.
    pub update: Option<ChannelUpdate>,
    /// Sum of [`crate::Charges::unexplained`] in the rolling window, by this node.
    pub unexplained_in_window: Amount,
    /// Sum of [`crate::Charges::unauthorized`] in the rolling window, by this node.
    pub unauthorized_in_window: Amount,
    /// Forwards of this node that are not proven settled.
    pub provisional_total: Amount,
    /// Our balance in the channel this case concerns, by the peer's latest commitment and the HTLCs we offer on it.
    pub channel_balance: Amount,
    /// How our own view of the chain stands.
    pub chain: ChainFact,
    /// Channels whose peer no announcement named, counted as `channels_total` counts; for cases that may open one.
    pub unnamed_total: Amount,
    /// The peer that the announcement of the channel this case concerns named.
    pub peer: Option<NodeId>,
    /// For a channel_announcement that a multisig key is to sign: what it says, or why it fits no channel known here.
    pub announced: Option<Result<Announced, String>>,
    /// What is known of the channel this case concerns, or of one that it may open.
    pub tier: Tier,
    /// Our balance in other channels, when an own commitment of theirs above number 0 was approved in the rolling
    /// window.
    pub force_close_value_in_window: Amount,
}

/// How our own view of the chain stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ChainFact {
    /// No bitcoind of ours is followed.
    #[default]
    Unknown,
    /// Up to date, by the limits of the policy.
    Current,
    /// Not, and why.
    NotCurrent(String),
}

/// An output that funds a channel whose first commitment was approved before its funding transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFunding {
    /// Index of the output.
    pub output: u32,
    /// The channel's capacity, which that commitment's signature committed to.
    pub capacity: Amount,
    /// What the first commitment paid to others than us: a push.
    pub pushed: Amount,
}

/// What a channel_announcement says of a channel known here. LND's word, which nothing proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The node that is not ours.
    pub peer: NodeId,
    /// The peer that was named for the channel before.
    pub named: Option<NodeId>,
    /// The channel's capacity.
    pub capacity: Amount,
    /// Other channels of that peer, counted as `channels_total` counts.
    pub peer_total: Amount,
}
