//! BOLT 3 scripts, as templates: read from bytes exactly, and written for comparison.

mod anchor;
mod delayed;
mod funding;
mod htlc;
mod scan;
mod to_remote;

pub use anchor::{Anchor, anchor_script};
pub use delayed::Delayed;
pub use funding::{Funding, funding_script};
pub use htlc::{Htlc, HtlcKind};
pub use to_remote::{ToRemote, parse_to_remote, to_remote_script};

use bitcoin::Script;

/// A compressed public key as it stands in a script; not checked to be on the curve.
pub type KeyBytes = [u8; 33];

/// A witness script of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelScript {
    /// The funding output.
    Funding(Funding),
    /// `to_remote` of an anchors channel, with its key.
    ToRemote(KeyBytes),
    /// An anchor.
    Anchor(Anchor),
    /// `to_local`, or the output of a second-level HTLC transaction: one and the same template.
    Delayed(Delayed),
    /// An HTLC output of a commitment.
    Htlc(Htlc),
}

impl ChannelScript {
    /// The template that `script` matches to the last byte.
    pub fn parse(script: &Script) -> Option<Self> {
        let bytes = script.as_bytes();
        Funding::parse(bytes)
            .map(Self::Funding)
            .or_else(|| parse_to_remote(bytes).map(Self::ToRemote))
            .or_else(|| Anchor::parse(bytes).map(Self::Anchor))
            .or_else(|| Delayed::parse(bytes).map(Self::Delayed))
            .or_else(|| Htlc::parse(bytes).map(Self::Htlc))
    }
}

#[cfg(test)]
mod tests;
