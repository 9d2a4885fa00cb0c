//! Remembers: what the signer decided, in a form that an auditor can check without trusting it.
//!
//! A [`Leaf`] is one recorded event as one line of canonical JSON. Leaves are chained by hashes ([`Chain`]), the
//! audit key in the HSM signs the chain's head ([`SignedHead`]), and an export of the whole can be verified offline
//! and in constant memory ([`verify_export`]).
//!
//! Leaf hashes are RFC 6962's (`SHA256(0x00 ‖ leaf)`), and a leaf fits a tlog-tiles entry, so a Merkle log can be
//! built over the very same leaves.
//!
//! What is proven: nothing before a signed head was changed, dropped, added or reordered since that head was signed.
//! What is not: that the daemon wrote down the truth, or that nothing was cut off after the newest head you hold.
//! Keep heads elsewhere and verify against them.

mod ask;
mod chain;
mod digest;
mod event;
mod export;
mod head;
mod header;
mod key;
mod known;
mod leaf;
mod tally;
mod verify;

pub use ask::{Ask, SignedInput, Spend};
pub use chain::{Chain, Origin, OriginError, Recorded};
pub use digest::{ChainHash, Digest, DigestError, LeafHash};
pub use event::{
    Charge, Checks, ClassTally, Decision, Durability, Event, Gossip, RefusedTally, TurnedAwayTally, Verdict,
    Violation,
};
pub use export::{ExportError, Report, SignatureCheck, Trust, verify_export};
pub use head::{Head, HeadError, SignedHead};
pub use header::{HeadLineError, Header, HeaderError, head_line};
pub use key::{AuditKey, AuditKeyError};
pub use leaf::{LEAF_BYTES_MAX, Leaf, LeafError};
pub use tally::Tally;
pub use verify::{ChainError, Verified, Verifier, verify};
