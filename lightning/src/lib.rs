//! Understands LND: what a signing request means.
//!
//! Bytes become a [`SignRequest`] (parsed, every key derived from our own accounts and found in its script),
//! a request becomes a [`strongroom_policy::SpendAsk`] against the [`Channels`] that earlier requests taught.
//! Public keys only, no clock, no disk, no network.

pub mod accounts;
pub mod books;
pub mod channels;
pub mod classify;
mod far;
#[cfg(test)]
mod fixture;
pub mod messages;
pub mod preflight;
pub mod psbt;
pub mod script;
pub mod vls;
pub mod weight;

pub use accounts::{AccountPath, Accounts, AccountsError, Mark, TooFar, UnknownKey};
pub use books::{Authorization, AuthorizationError, Step, Terms};
pub use channels::{
    ChannelView, Channels, CloseAllowance, CloseAllowanceError, HtlcView, Learned, OverdueClaim,
};
pub use classify::KnownTransactions;
pub use psbt::{AnswerError, Limits, Malformed, SignRequest, SpendSignature, ToSign, TweakData};
pub use vls::Vls;
