//! One recorded event in its canonical form.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::digest::{ChainHash, LeafHash};
use crate::event::Event;

/// The version that this code writes, and the only one it reads.
const VERSION: u8 = 1;

/// A leaf is at most this many bytes: a tlog-tiles entry has a 16-bit length.
pub const LEAF_BYTES_MAX: usize = 65_535;

/// Lists and texts of a leaf that would be too large are cut to these. Worst case, six bytes of JSON for a byte of
/// text: three lists of three texts each, and some twenty more texts, stay below [`LEAF_BYTES_MAX`].
const CLIPPED_ITEMS: usize = 8;
const CLIPPED_BYTES: usize = 96;

/// One recorded event. Self-contained: it says which leaf it is, when it was written, and on what history.
///
/// The canonical encoding is one line of JSON without spaces, fields in the order below, absent options left out.
/// [`Leaf::parse`] reads nothing else, so that a leaf has one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// Version of the format.
    v: u8,
    /// Position in the journal, from 0.
    pub index: u64,
    /// Unix milliseconds by the daemon's clock.
    pub time: u64,
    /// The chain's head before this leaf. It makes an altered leaf point at itself.
    pub prev: ChainHash,
    /// Long lists and texts were cut to keep the leaf within [`LEAF_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub clipped: bool,
    /// What happened.
    pub event: Event,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Bytes that are no leaf.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// Too long to be one.
    #[error("leaf of {bytes} bytes; allowed: at most {LEAF_BYTES_MAX}")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
    },
    /// Not the JSON of a leaf.
    #[error("not a leaf: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Written by another version.
    #[error("leaf version {found}; this program reads {VERSION}")]
    Version {
        /// Version found.
        found: u8,
    },
    /// The right content in another spelling: order, spaces, escapes.
    #[error("leaf is not in canonical form")]
    NotCanonical,
}

impl Leaf {
    /// The leaf that records `event` at `index` on top of `prev`, cut to size if need be.
    pub(crate) fn new(index: u64, time: u64, prev: ChainHash, event: Event) -> (Self, Vec<u8>) {
        let leaf = Self { v: VERSION, index, time, prev, clipped: false, event };
        let bytes = leaf.encode();
        if bytes.len() <= LEAF_BYTES_MAX {
            return (leaf, bytes);
        }
        let leaf = Self { clipped: true, event: clip(&leaf.event), ..leaf };
        let bytes = leaf.encode();
        (leaf, bytes)
    }

    /// The canonical encoding, without a newline.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        serde_json::to_writer(&mut bytes, self)
            .expect("a leaf has only strings as keys, and a Vec takes every byte");
        bytes
    }

    /// Reads the canonical encoding, without a newline.
    ///
    /// # Errors
    /// [`LeafError`] for anything that [`Leaf::encode`] does not write.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(LeafError::TooLarge { bytes: bytes.len() });
        }
        let leaf: Self = serde_json::from_slice(bytes)?;
        if leaf.v != VERSION {
            return Err(LeafError::Version { found: leaf.v });
        }
        if leaf.encode() != bytes {
            return Err(LeafError::NotCanonical);
        }
        Ok(leaf)
    }

    /// RFC 6962 leaf hash of encoded bytes: `SHA256(0x00 ‖ bytes)`.
    pub fn hash(bytes: &[u8]) -> LeafHash {
        LeafHash(Sha256::new().chain_update([0x00]).chain_update(bytes).finalize().into())
    }
}

/// The event with lists and texts cut.
fn clip(event: &Event) -> Event {
    let mut value = serde_json::to_value(event).expect("an event has only strings as keys");
    clip_value(&mut value);
    serde_json::from_value(value)
        .expect("cutting lists and texts leaves tags, numbers and digests as they were")
}

fn clip_value(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > CLIPPED_BYTES => {
            text.truncate(text.floor_char_boundary(CLIPPED_BYTES));
            text.push('…');
        }
        Value::Array(items) => {
            items.truncate(CLIPPED_ITEMS);
            items.iter_mut().for_each(clip_value);
        }
        Value::Object(fields) => fields.values_mut().for_each(clip_value),
        _ => {}
    }
}
