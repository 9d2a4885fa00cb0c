//! A whole journal as a text that can be verified anywhere.
//!
//! One JSON value a line: a [`Header`], the leaves, and the signed head ([`crate::head_line`]).

use std::io::{self, BufRead, Read};

use serde::Serialize;

use crate::chain::Origin;
use crate::digest::ChainHash;
use crate::head::{HeadError, SignedHead};
use crate::header::{HeadLineError, Header, HeaderError, is_head_line, parse_head_line};
use crate::key::AuditKey;
use crate::known::KnownHeads;
use crate::leaf::LEAF_BYTES_MAX;
use crate::tally::Tally;
use crate::verify::{ChainError, Verifier};

/// What the verifier brings along, instead of believing the export.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The audit key, as noted when the appliance was initialised.
    pub key: Option<AuditKey>,
    /// Heads kept from earlier. The journal must contain every one of this origin: this finds a rewritten past.
    pub heads: Vec<SignedHead>,
}

/// How much the signature on the last line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureCheck {
    /// Verified with the key that the verifier brought.
    Verified,
    /// Verified with the key that the export itself names: whoever wrote the export can have made both.
    SelfNamedKey,
}

/// What a good export holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The journal.
    pub origin: Origin,
    /// First leaf checked. Leaves before it were not.
    pub from: u64,
    /// Number of leaves by the signed head.
    pub size: u64,
    /// Head, signed.
    pub head: ChainHash,
    /// When it was signed, unix ms.
    pub signed_at: u64,
    /// How much that signature says.
    pub signature: SignatureCheck,
    /// Earlier heads, brought along, that the journal contains.
    pub known_heads: u64,
    /// Earlier heads that lie before the first leaf, and so could not be checked.
    pub unchecked_heads: u64,
    /// What the leaves record.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Why an export is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read.
    #[error("cannot read the export: {0}")]
    Io(#[from] io::Error),
    /// A line too long to be one of ours.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong {
        /// Line, from 1.
        line: u64,
    },
    /// The first line.
    #[error("line 1: {0}")]
    Header(#[from] HeaderError),
    /// A leaf.
    #[error("line {line}: {error}")]
    Leaf {
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        error: ChainError,
    },
    /// The end is missing.
    #[error("the export ends at leaf {size} without a signed head: it was cut off")]
    NoHead {
        /// Leaves read, counted from the journal's start.
        size: u64,
    },
    /// The last line.
    #[error("line {line}: {error}")]
    Head {
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        error: HeadLineError,
    },
    /// A good signature on the head of another journal.
    #[error("signed head is of {found}, the export of {expected}")]
    OtherOrigin {
        /// Origin of the head.
        found: Origin,
        /// Origin of the export.
        expected: Origin,
    },
    /// Something after the last line.
    #[error("line {line}: nothing may follow the signed head")]
    Trailing {
        /// Line, from 1.
        line: u64,
    },
    /// A head kept from earlier is not part of this journal.
    #[error(
        "the past was rewritten: the head kept from size {size} is {kept}, this journal had {found} then"
    )]
    Rewritten {
        /// Its size.
        size: u64,
        /// The head kept.
        kept: ChainHash,
        /// What the journal gives for that size.
        found: ChainHash,
    },
    /// A head kept from earlier counts more leaves than the whole journal.
    #[error(
        "the journal was rolled back: a head kept from earlier counts {kept} leaves, this journal has {found}"
    )]
    RolledBack {
        /// Its size.
        kept: u64,
        /// The journal's.
        found: u64,
    },
    /// A head kept from earlier is not signed by the audit key, or of another journal.
    #[error("a head brought along to verify against: {0}")]
    KnownHead(HeadError),
}

/// A line is at most a leaf and a newline; headers and heads are shorter.
const LINE_BYTES_MAX: usize = LEAF_BYTES_MAX + 1;

/// Verifies an export: every leaf, every link, the signature on the head, and the heads brought along.
///
/// Streams; memory does not grow with the journal.
///
/// # Errors
/// [`ExportError`], naming the line and leaf of the first thing wrong.
pub fn verify_export<R: BufRead>(reader: R, trust: &Trust) -> Result<Report, ExportError> {
    let mut lines = Lines { reader, number: 0, buffer: Vec::new() };
    let header = Header::parse(lines.next()?.unwrap_or_default())?;
    let named: AuditKey = header.audit_key.parse().map_err(HeaderError::from)?;
    let signature = match &trust.key {
        Some(brought) if *brought != named => {
            let (named, brought) = (Box::new(named), Box::new(brought.clone()));
            return Err(HeaderError::OtherKey { named, brought }.into());
        }
        Some(_) => SignatureCheck::Verified,
        None => SignatureCheck::SelfNamedKey,
    };
    let key = &named;
    let mut known = KnownHeads::new(&trust.heads, key, &header)?;
    let mut tally = Tally::default();
    let mut verifier = Verifier::new(header.start());
    known.passed(verifier.chain())?;

    let signed = loop {
        let Some(line) = lines.next()? else {
            return Err(ExportError::NoHead { size: verifier.chain().size });
        };
        if is_head_line(line) {
            break parse_head_line(line).map_err(|error| ExportError::Head { line: lines.number, error })?;
        }
        let leaf = verifier.push(line).map_err(|error| ExportError::Leaf { line: lines.number, error })?;
        known.passed(verifier.chain())?;
        tally.count(&leaf);
    };
    let line = lines.number;
    let head = signed.verify(key).map_err(|error| ExportError::Head { line, error: error.into() })?;
    if head.origin != header.origin {
        return Err(ExportError::OtherOrigin { found: head.origin.clone(), expected: header.origin });
    }
    let verified = verifier.finish(head.chain()).map_err(|error| ExportError::Leaf { line, error })?;
    if lines.next()?.is_some() {
        return Err(ExportError::Trailing { line: lines.number });
    }
    known.finish(verified.chain)?;
    Ok(Report {
        origin: header.origin,
        from: verified.from,
        size: head.size,
        head: head.hash,
        signed_at: head.time,
        signature,
        known_heads: known.checked,
        unchecked_heads: known.unchecked,
        tally,
    })
}

/// Lines of bounded length.
struct Lines<R> {
    reader: R,
    /// Of the line read last, from 1.
    number: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its newline, `None` at the end.
    fn next(&mut self) -> Result<Option<&[u8]>, ExportError> {
        self.buffer.clear();
        self.number += 1;
        let read = self.reader.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut self.buffer)?;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if read == LINE_BYTES_MAX {
            return Err(ExportError::LineTooLong { line: self.number });
        }
        Ok((read > 0).then_some(&self.buffer))
    }
}
