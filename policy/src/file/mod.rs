//! The policy file: one TOML, complete or refused.
//!
//! What a value may be is checked where it is read, so that the parser can say the line; what values may be
//! *together* is checked in [`crate::Policy::from_toml`].

mod allowlist;
mod error;
mod grant;
mod limit;
mod place;
pub(crate) mod sections;
mod vls;

pub use allowlist::{Allowed, AllowlistEntry};
pub use error::PolicyError;
pub use grant::{Grant, WhichNode};
pub use limit::{FeeRateLimit, PerMille, Sats};
pub use sections::{
    Channels, Closing, ClosingFees, CommitmentFees, Ecdh, Fees, MessageKindName, Messages, Mode, Musig2,
    Outflow, PeerMode, Peers, PolicyFile, ProfileName, Taproot, Version, WalletFees,
};
pub use vls::{ChainView, MAY_BE_REPORTED, VlsLimits};

pub(crate) use place::Places;
