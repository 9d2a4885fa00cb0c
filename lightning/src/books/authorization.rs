//! Payments that somebody entitled to it wants made.

use bitcoin::Amount;
use bitcoin::hashes::{Hash as _, ripemd160};
use serde::{Deserialize, Serialize};

use super::Hash160;
use crate::channels::{Change, Channels, Learned};

/// A payment that our channels may make: to one hash, so much, until then, tried so often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// SHA256 of the preimage.
    pub payment_hash: [u8; 32],
    /// Most that may be in flight at a time, routing fees included. Attempts that failed without proof count towards
    /// `max_attempts` times this.
    pub amount: Amount,
    /// How many times `amount` may be offered in all; at least 1.
    pub max_attempts: u32,
    /// Unix seconds from which no HTLC may be offered for it.
    pub expires: u64,
    /// Unix seconds of the authorisation.
    pub created: u64,
    /// What it is for, in its maker's words.
    pub label: String,
    /// Sum of all HTLCs ever offered for it.
    pub offered: Amount,
}

/// An authorisation that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationError {
    /// Pays nothing.
    #[error("given an amount of 0 sat; allowed: at least 1 sat")]
    NoAmount,
    /// More than there is.
    #[error("given {0} sat; allowed: at most 2,100,000,000,000,000 sat")]
    TooLarge(u64),
    /// May never be tried, or for ever.
    #[error("given {0} attempts; allowed: 1 to 100")]
    Attempts(u32),
    /// Over already, or far away.
    #[error("given an expiry {0} s from now; allowed: 1 s to 31 days")]
    Expiry(i64),
    /// Longer than a line.
    #[error("given a label of {0} characters; allowed: at most 200, none of them a control character")]
    Label(usize),
    /// The hash has one that is in force.
    #[error("payment hash {0} is authorised already, until Unix second {1}")]
    Exists(String, u64),
    /// Too many.
    #[error("{0} authorisations are kept already; allowed: at most {0}")]
    Full(usize),
}

/// Authorisations kept of one node, used and expired ones among them.
const MOST: usize = 100_000;

/// How long an expired one is kept, in seconds, so that its HTLCs still in flight are known.
const KEPT: u64 = 31 * 24 * 3600;

impl Authorization {
    /// As commitments show the hash.
    pub fn hash160(&self) -> Hash160 {
        ripemd160::Hash::hash(&self.payment_hash).to_byte_array()
    }

    /// Most that may ever be offered.
    pub fn most(&self) -> Amount {
        self.amount.checked_mul(u64::from(self.max_attempts)).unwrap_or(Amount::MAX_MONEY)
    }

    fn check(&self, now: u64) -> Result<(), AuthorizationError> {
        if self.amount == Amount::ZERO {
            return Err(AuthorizationError::NoAmount);
        }
        if self.amount > Amount::MAX_MONEY {
            return Err(AuthorizationError::TooLarge(self.amount.to_sat()));
        }
        if !(1..=100).contains(&self.max_attempts) {
            return Err(AuthorizationError::Attempts(self.max_attempts));
        }
        let seconds = i64::try_from(self.expires).unwrap_or(i64::MAX).saturating_sub(now.cast_signed());
        if !(1..=31 * 24 * 3600).contains(&seconds) {
            return Err(AuthorizationError::Expiry(seconds));
        }
        let length = self.label.chars().count();
        if length > 200 || self.label.chars().any(char::is_control) {
            return Err(AuthorizationError::Label(length));
        }
        Ok(())
    }
}

impl Channels {
    /// Takes an authorisation in; `now` in Unix seconds. One in force is never changed, so that nobody who may
    /// authorise can raise what another allowed without a second hash.
    pub fn authorize(&self, wanted: Authorization, now: u64) -> Result<Learned, AuthorizationError> {
        wanted.check(now)?;
        let hash160 = wanted.hash160();
        if let Some(before) = self.books.authorizations.get(&hash160) {
            let hash = bitcoin::hex::DisplayHex::to_lower_hex_string(&before.payment_hash[..]);
            return Err(AuthorizationError::Exists(hash, before.expires));
        }
        let old = self.books.authorizations.iter().filter(|(_, a)| a.expires.saturating_add(KEPT) < now);
        let mut changes: Vec<Change> =
            old.take(16).map(|(hash160, _)| Change::AuthorizationForgotten { hash160: *hash160 }).collect();
        if self.books.authorizations.len() >= MOST + changes.len() {
            return Err(AuthorizationError::Full(MOST));
        }
        let authorization = Box::new(Authorization { offered: Amount::ZERO, created: now, ..wanted });
        changes.push(Change::Authorized { hash160, authorization });
        Ok(Learned { changes })
    }

    /// All that are kept, by hash.
    pub fn authorizations(&self) -> impl Iterator<Item = &Authorization> {
        self.books.authorizations.values()
    }
}
