//! First and last line of an export.

use serde::{Deserialize, Serialize};

use crate::chain::{Chain, Origin};
use crate::digest::ChainHash;
use crate::head::{HeadError, SignedHead};
use crate::key::{AuditKey, AuditKeyError};

/// First line of an export. Nothing in it is proof; it tells what the rest must fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the export format: 1.
    strongroom_journal: u8,
    /// The journal.
    pub origin: Origin,
    /// Index of the first leaf that follows.
    pub from: u64,
    /// The chain's head before it.
    pub prev: ChainHash,
    /// The key that signs heads, as the exporter says.
    pub audit_key: String,
}

/// A first line that is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Not its JSON.
    #[error("not the header of a journal export: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Written by another version.
    #[error("export version {found}; this program reads 1")]
    Version {
        /// Version found.
        found: u8,
    },
    /// The right content in another spelling.
    #[error("header is not in canonical form")]
    NotCanonical,
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] AuditKeyError),
    /// Not the key that the verifier brought.
    #[error("header names audit key {named}; the key to verify with is {brought}")]
    OtherKey {
        /// The header's.
        named: Box<AuditKey>,
        /// The verifier's.
        brought: Box<AuditKey>,
    },
    /// An export from the start that does not begin at the journal's beginning.
    #[error("header says leaf 0 rests on {found}; the genesis of {origin} is {expected}")]
    Genesis {
        /// The journal.
        origin: Origin,
        /// Head found.
        found: ChainHash,
        /// Head expected.
        expected: ChainHash,
    },
}

impl Header {
    /// Header of an export whose first leaf follows `start`.
    pub fn new(origin: Origin, start: Chain, audit_key: &AuditKey) -> Self {
        Self {
            strongroom_journal: 1,
            origin,
            from: start.size,
            prev: start.head,
            audit_key: audit_key.to_string(),
        }
    }

    /// The first line, without its newline.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("a header has only strings as keys")
    }

    /// Reads the first line, without its newline.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn parse(line: &[u8]) -> Result<Self, HeaderError> {
        let header: Self = serde_json::from_slice(line)?;
        if header.strongroom_journal != 1 {
            return Err(HeaderError::Version { found: header.strongroom_journal });
        }
        // The key is hex, which can be written in capitals too.
        let key: AuditKey = header.audit_key.parse()?;
        if header.to_line().as_bytes() != line || key.to_string() != header.audit_key {
            return Err(HeaderError::NotCanonical);
        }
        let genesis = Chain::genesis(&header.origin).head;
        if header.from == 0 && header.prev != genesis {
            return Err(HeaderError::Genesis {
                found: header.prev,
                expected: genesis,
                origin: header.origin,
            });
        }
        Ok(header)
    }

    /// The chain before the first leaf, as the header says.
    pub(crate) fn start(&self) -> Chain {
        Chain { size: self.from, head: self.prev }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadLine {
    signed_head: String,
}

/// The last line of an export, without its newline.
pub fn head_line(signed: &SignedHead) -> String {
    serde_json::to_string(&HeadLine { signed_head: signed.to_text() })
        .expect("a struct of one string has only strings as keys")
}

/// A last line that is none.
#[derive(Debug, thiserror::Error)]
pub enum HeadLineError {
    /// Not its JSON.
    #[error("not a signed head: {0}")]
    Syntax(#[from] serde_json::Error),
    /// The right content in another spelling.
    #[error("signed head is not in canonical form")]
    NotCanonical,
    /// Not the text of a signed head in it.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// Whether a line is meant as the last one. No leaf begins so.
pub(crate) fn is_head_line(line: &[u8]) -> bool {
    line.starts_with(b"{\"signed_head\"")
}

/// Reads the last line, without its newline.
///
/// # Errors
/// [`HeadLineError`].
pub(crate) fn parse_head_line(line: &[u8]) -> Result<SignedHead, HeadLineError> {
    let parsed: HeadLine = serde_json::from_slice(line)?;
    let signed = SignedHead::parse(&parsed.signed_head)?;
    if head_line(&signed).as_bytes() != line {
        return Err(HeadLineError::NotCanonical);
    }
    Ok(signed)
}
