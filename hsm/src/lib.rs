//! Holds keys: a PKCS#11 token, what it seals, and the locked memory that secrets live in.
//!
//! The room in one glance:
//!
//! - [`TokenUri`] names a token by RFC 7512 URI; [`Pin`] and [`PinSource`] bring its PIN.
//! - [`initialise`] makes the sealing key and the audit key, once, and tests the token by
//!   doing ([`Capabilities`]); [`Token::open`] finds them again.
//! - [`Token::seal`] and [`Token::unseal`] bind every secret to its [`SealContext`].
//! - [`LockedBytes`] and [`LockedArena`] hold opened secrets; [`harden_process`] keeps the
//!   process out of core files.
//!
//! A token that vanishes is [`HsmError::Gone`], for ever for that [`Token`]; a new
//! [`Token::open`] starts the module afresh. A refused PIN is never tried again here.

mod audit_key;
mod capability;
mod error;
mod harden;
mod initialise;
mod locked;
mod module;
mod object;
mod pin;
mod provision;
mod seal;
mod token;
mod uri;

pub use audit_key::{AuditCurve, AuditPublicKey};
pub use capability::{Capabilities, Capability, Outcome, Probe};
pub use error::HsmError;
pub use harden::{HardenError, harden_process};
pub use initialise::{Initialised, initialise};
pub use locked::{LockedArena, LockedBytes, MemoryError};
pub use pin::{Pin, PinError, PinSource};
pub use provision::provision_token;
pub use seal::{SealContext, SealedBlob, SealedBlobError};
pub use token::Token;
pub use uri::{TokenUri, TokenUriError};
