//! Decides. Given a [`Policy`], a [`Case`] (what is asked, understood) and [`Facts`] (what the
//! journal knows), answers a [`Verdict`]: every violation, not the first.
//!
//! Pure by construction: no clock, disk, keys or async. The words of the field live here, so that
//! the crates that understand and the crate that decides share one vocabulary.

pub mod case;
pub mod facts;
pub mod key;
pub mod velocity;
pub mod violation;

pub use case::{
    Ask, Case, Destination, EcdhAsk, InputFact, MessageAsk, MessageKind, Musig2Ask, Operation,
    OutputFact, SignedInput, Spend, SpendAsk,
};
pub use facts::Facts;
pub use key::{ClientName, KeyLocator, KeyPath, NodeName, WalletPath};
pub use violation::{Tag, Violation};
