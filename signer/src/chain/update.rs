//! What the poller hands to the journal, and what it gets back.

use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::{BlockHash, OutPoint};

use super::block::CheckedBlock;
use super::contradiction::Contradiction;
use super::headers::Tip;

/// What was learned from bitcoind. Blocks come whole and shared, so that whoever follows the chain beside the view can
/// be handed the same ones on the journal's thread.
#[derive(Debug)]
pub enum Update {
    /// bitcoind answers; this is its best block.
    Best {
        /// Its height.
        height: u32,
        /// Its hash.
        hash: BlockHash,
    },
    /// Headers to start from.
    Anchor {
        /// Height of the first.
        first: u32,
        /// Linked, oldest first; the last is the tip to be.
        headers: Vec<Header>,
    },
    /// The block after the tip.
    Connect(Arc<CheckedBlock>),
    /// A branch with more work.
    Reorganise {
        /// Height of the last block in common.
        fork: u32,
        /// Blocks undone, tip first.
        undone: Vec<Undone>,
        /// Blocks of the branch, oldest first.
        blocks: Vec<Arc<CheckedBlock>>,
    },
    /// A branch from further back than is followed: nothing more is taken in until an operator decides.
    TooDeep(Contradiction),
    /// bitcoind has this output unspent, made in this block.
    Unspent(OutPoint, Arc<CheckedBlock>),
    /// bitcoind does not have this output unspent.
    NotUnspent(OutPoint),
    /// A block of the past to look through.
    Scanned(Arc<CheckedBlock>),
    /// bitcoind does not answer, or in no form that can be read.
    Silent(String),
    /// bitcoind's answer fails a check, and was not taken in.
    Refused(Contradiction),
}

/// A block that a reorganisation undoes.
#[derive(Debug)]
pub struct Undone {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// The block, if bitcoind still has it.
    pub block: Option<Arc<CheckedBlock>>,
}

/// Where the journal stands: what the poller should ask for next.
#[derive(Clone, Debug, Default)]
pub struct Stand {
    /// The tip, once there is one.
    pub tip: Option<Tip>,
    /// Headers remembered, from the tip down.
    pub recent: Vec<(Header, BlockHash)>,
    /// bitcoind is contradicted; nothing is taken in.
    pub contradicted: bool,
    /// The block that an operator named to start from.
    pub accepted: Option<BlockHash>,
    /// Outpoints to ask for.
    pub asks: Vec<OutPoint>,
    /// The next block of the past to look through.
    pub scan: Option<u32>,
}

/// Why the journal did not take an update in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// It contradicts the chain followed.
    Refused(Contradiction),
    /// It could not be stored.
    NotKept(String),
}

/// Why an update did not reach the journal.
#[derive(Debug)]
pub enum NotHanded {
    /// The journal's queue is full; the update comes back.
    Busy(Box<Update>),
    /// The journal is closed.
    Closed,
}
