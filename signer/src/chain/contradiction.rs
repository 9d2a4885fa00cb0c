//! What bitcoind says and the checks refuse.

use bitcoin::{BlockHash, OutPoint};

use super::headers::MAX_REORG;

/// An answer of bitcoind's that cannot be true of the chain followed so far, or of any.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Another network's bitcoind.
    #[error("bitcoind is on {found}, the policy is for {wanted}")]
    WrongNetwork {
        /// Its network or its block 0.
        found: String,
        /// The policy's.
        wanted: String,
    },
    /// A block that does not have the hash it was asked for by.
    #[error("block {asked} at height {height} hashes to {found}")]
    WrongHash {
        /// Asked for.
        asked: BlockHash,
        /// Given.
        found: BlockHash,
        /// Where.
        height: u32,
    },
    /// A header that does not build on the one before it.
    #[error("block {hash} at height {height} builds on {on}, not on {tip}")]
    BrokenLink {
        /// The header.
        hash: BlockHash,
        /// Where.
        height: u32,
        /// What it builds on.
        on: BlockHash,
        /// What it should build on.
        tip: BlockHash,
    },
    /// A hash above the target that the header itself names.
    #[error("block {hash} at height {height} has not the work that its bits {bits:08x} name")]
    ProofOfWork {
        /// The header.
        hash: BlockHash,
        /// Where.
        height: u32,
        /// Its compact target.
        bits: u32,
    },
    /// A target that the network does not allow at this height.
    #[error("block {hash} at height {height} has bits {bits:08x}; allowed: {allowed}")]
    Difficulty {
        /// The header.
        hash: BlockHash,
        /// Where.
        height: u32,
        /// Its compact target.
        bits: u32,
        /// What is.
        allowed: String,
    },
    /// A time not after the median of the eleven blocks before.
    #[error("block {hash} at height {height} has time {time}; allowed: after {median}")]
    MedianTime {
        /// The header.
        hash: BlockHash,
        /// Where.
        height: u32,
        /// Its time, Unix seconds.
        time: u32,
        /// The median.
        median: u32,
    },
    /// Transactions that are not those the header commits to.
    #[error("block {hash} at height {height}: {what}")]
    Transactions {
        /// The block.
        hash: BlockHash,
        /// Where.
        height: u32,
        /// Which commitment fails.
        what: &'static str,
    },
    /// An unspent output in a block that does not make it.
    #[error(
        "bitcoind says that {outpoint} was made in block {hash} at height {height}, which does not make it"
    )]
    NotInBlock {
        /// The output.
        outpoint: OutPoint,
        /// The block.
        hash: BlockHash,
        /// Where.
        height: u32,
    },
    /// A branch that has less work than the blocks it would replace.
    #[error("a branch from height {fork} has no more work than the blocks it would replace")]
    LessWork {
        /// The last block in common.
        fork: u32,
    },
    /// A branch that leaves the chain further back than is followed.
    #[error("reorganisation of {depth} from height {tip}; followed: at most {MAX_REORG} blocks", depth = blocks(*.depth))]
    DeepReorganisation {
        /// Blocks undone; `None` for more than are remembered.
        depth: Option<u32>,
        /// Height of our tip.
        tip: u32,
    },
}

fn blocks(depth: Option<u32>) -> String {
    depth.map_or_else(|| "more blocks than are remembered".to_owned(), |n| format!("{n} blocks"))
}

impl Contradiction {
    /// A short name, for metrics, leaves and alerts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::WrongNetwork { .. } => "wrong-network",
            Self::WrongHash { .. } => "wrong-hash",
            Self::BrokenLink { .. } => "broken-link",
            Self::ProofOfWork { .. } => "proof-of-work",
            Self::Difficulty { .. } => "difficulty",
            Self::MedianTime { .. } => "median-time",
            Self::Transactions { .. } => "transactions",
            Self::NotInBlock { .. } => "not-in-block",
            Self::LessWork { .. } => "less-work",
            Self::DeepReorganisation { .. } => "deep-reorganisation",
        }
    }
}
