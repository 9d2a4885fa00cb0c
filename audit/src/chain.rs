//! The hash chain over the leaves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::{ChainHash, LeafHash};
use crate::event::Event;
use crate::leaf::Leaf;

/// Name of one journal, unique to the appliance, as `strongroom/7c1f0e2a`: 1 to 128 printable ASCII characters
/// without space and `+` (C2SP's rule for names in signed notes).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

/// Text that names no journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("origin {given:?} is not 1 to 128 printable ASCII characters without space and '+'")]
pub struct OriginError {
    given: String,
}

impl Origin {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Origin {
    type Error = OriginError;
    fn try_from(text: String) -> Result<Self, OriginError> {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'+');
        if fits { Ok(Self(text)) } else { Err(OriginError { given: text.chars().take(160).collect() }) }
    }
}

impl FromStr for Origin {
    type Err = OriginError;
    fn from_str(text: &str) -> Result<Self, OriginError> {
        text.to_owned().try_into()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> String {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state of the chain: how many leaves, and the hash that commits to all of them in order.
///
/// ```text
/// head_0     = SHA256(0x03 ‖ "strongroom journal v1" ‖ 0x0a ‖ origin)
/// head_(i+1) = SHA256(0x02 ‖ head_i ‖ SHA256(0x00 ‖ leaf_i))
/// ```
/// 0x00 and 0x01 are RFC 6962's prefixes for leaves and nodes; none of ours can be mistaken for them.
///
/// `Copy`, so that a batch can be built on a copy that replaces the original when the store has taken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Number of leaves; also the next leaf's index.
    pub size: u64,
    /// Hash over all of them.
    pub head: ChainHash,
}

/// A leaf with its place in the chain.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The leaf.
    pub leaf: Leaf,
    /// Its canonical encoding: store these bytes.
    pub bytes: Vec<u8>,
    /// Its RFC 6962 hash.
    pub hash: LeafHash,
}

impl Chain {
    /// The chain of an empty journal.
    pub fn genesis(origin: &Origin) -> Self {
        let hash = Sha256::new()
            .chain_update([0x03])
            .chain_update(b"strongroom journal v1\n")
            .chain_update(origin.as_str());
        Self { size: 0, head: ChainHash(hash.finalize().into()) }
    }

    /// Makes the next leaf and appends it. Index and link come from the chain, so they cannot be wrong; an event too
    /// large for a leaf is cut and marked.
    pub fn record(&mut self, time: u64, event: Event) -> Recorded {
        let (leaf, bytes) = Leaf::new(self.size, time, self.head, event);
        let hash = self.append(&bytes);
        Recorded { leaf, bytes, hash }
    }

    /// Appends encoded bytes as they are; [`crate::verify`] is what checks index and link.
    pub fn append(&mut self, leaf: &[u8]) -> LeafHash {
        let hash = Leaf::hash(leaf);
        let head = Sha256::new().chain_update([0x02]).chain_update(self.head.0).chain_update(hash.0);
        self.head = ChainHash(head.finalize().into());
        // A journal never gets there, but the header of a forged export can claim it.
        self.size = self.size.saturating_add(1);
        hash
    }
}
