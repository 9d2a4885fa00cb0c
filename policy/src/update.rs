//! What a commitment of the peer's changes for us, against the one signed before it.

use bitcoin::{Amount, OutPoint};
use serde::{Deserialize, Serialize};

use crate::words::sum;

/// One step of a channel, as the books see it. Every number is the one worst for us where requests leave a doubt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelUpdate {
    /// Outputs that are neither ours nor an anchor, nor an HTLC whose transaction was asked for, nor the peer's own.
    pub unexplained_outputs: u32,
    /// Outputs that are the peer's first balance, made of what was too small for an output before, unless an HTLC transaction
    /// that is still to come spends them.
    pub perhaps_htlcs: u32,
    /// What left our balance and is held by no HTLC: dust, rounding, or a gift to the peer.
    pub unexplained_outflow: Amount,
    /// HTLCs that we offer and did not offer before.
    pub offered: Vec<OfferedHtlc>,
    /// Why no commitment of the channel may follow.
    pub frozen: Option<Frozen>,
    /// The peer's own output, on the commitment numbered one lower and on this one; zero where there is none.
    pub peer_balance: (Amount, Amount),
    /// Forwards that another version of the commitment ended are at risk again by this one.
    pub reopened: Option<Reopened>,
    /// Incoming HTLCs that it lets go for nothing, although their outgoing ones were paid.
    pub unpaid: Vec<UnpaidForward>,
}

/// Forwards at risk, with those that are at risk again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reopened {
    /// In all.
    pub total: Amount,
    /// For each incoming channel that has some of them.
    pub channels: Vec<(OutPoint, Amount)>,
}

/// An incoming HTLC of a forward that is gone and brought us nothing, while its outgoing one was paid, however the balances are
/// read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpaidForward {
    /// RIPEMD160 of the payment hash, hex.
    pub payment_hash160: String,
    /// What the incoming HTLC would have brought.
    pub amount: Amount,
}

/// An HTLC that we offer for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedHtlc {
    /// RIPEMD160 of the payment hash, hex.
    pub payment_hash160: String,
    /// What it pays.
    pub amount: Amount,
    /// Block height from which it is ours again.
    pub cltv_expiry: u32,
    /// What it is paid from.
    pub cover: Cover,
}

/// What an offered HTLC is paid from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cover {
    /// A payment that was authorised; this HTLC and all before it stay within.
    Authorized,
    /// A payment that was authorised, but not this much, this often or this late.
    Beyond {
        /// What was asked: the sum, the number of attempts or the time.
        value: String,
        /// What was authorised.
        limit: String,
    },
    /// An incoming HTLC of the same payment hash. Provisional: nothing proves yet that it will be ours.
    Forward {
        /// The channel it came by.
        incoming: OutPoint,
        /// Its timeout.
        incoming_cltv: u32,
        /// Forwards for HTLCs of that channel that are not proven settled; this one among them only if it is `again`.
        provisional: Amount,
        /// It was offered before, on a version of a commitment that was given up, and is counted since then.
        again: bool,
        /// Claims of that channel's incoming HTLCs that are overdue and that it went on without.
        claims_overdue: u32,
    },
    /// Our own balance, without anybody's leave.
    Own,
}

/// What ended a channel's updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frozen {
    /// Our own commitment, above number 0, was signed.
    OwnCommitment {
        /// Its number.
        number: u64,
    },
    /// A mutual close was signed.
    MutualClose,
    /// The peer gave our own payment key for its own, as our own commitment 0 shows.
    SharedKey,
    /// lnd has gone on without this signer, which knows an older state: a copy of its records was put back.
    Behind {
        /// Number of the peer's latest commitment that was signed here.
        signed: u64,
        /// Number that was asked for.
        asked: u64,
    },
    /// Its opening was not seen here: the node was imported, or the records were lost.
    Unseen,
}

impl Frozen {
    /// The signer's record is not to be believed, so it says nothing of what is ours.
    pub fn is_behind(self) -> bool {
        matches!(self, Self::Behind { .. } | Self::Unseen)
    }
}

impl ChannelUpdate {
    /// For how many outputs HTLC requests that are still to come may say what they are.
    pub fn awaited(&self) -> u32 {
        self.unexplained_outputs.saturating_add(self.perhaps_htlcs)
    }

    /// Whether anything of ours leaves by it: an HTLC that we offer, or balance that none holds.
    pub fn has_outflow(&self) -> bool {
        !self.offered.is_empty() || self.unexplained_outflow > Amount::ZERO
    }

    /// What is offered without anybody's leave.
    pub fn unauthorized(&self) -> Amount {
        sum(self.offered.iter().filter(|htlc| htlc.cover == Cover::Own).map(|htlc| htlc.amount))
    }
}
