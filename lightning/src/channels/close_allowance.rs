//! What an operator says that a close by agreement must pay us, where the books do not know or are not to be believed.
//!
//! lnd and its peer try one fee after the other, and each try is a transaction: so all of them are allowed, until the time
//! that was said. Each pays us no less than was said, and only one can confirm.

use bitcoin::{Amount, OutPoint};
use serde::{Deserialize, Serialize};

use super::{Change, Channels, Learned};

/// An operator's word on one channel; a later one takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseAllowance {
    /// What our own addresses and the allowlist's get at least.
    pub at_least: Amount,
    /// Unix seconds from which it no longer holds.
    pub expires: u64,
    /// Unix seconds when it was said.
    pub created: u64,
}

/// A word that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseAllowanceError {
    /// More than the channel holds.
    #[error("given at least {given} sat; allowed: at most {capacity} sat, what channel {channel} holds")]
    TooMuch {
        /// The channel.
        channel: OutPoint,
        /// What was said.
        given: u64,
        /// What there is.
        capacity: u64,
    },
    /// Over already, or far away.
    #[error("given an expiry {0} s from now; allowed: 1 s to 31 days")]
    Expiry(i64),
}

/// Longest time that it may hold, in seconds.
const LONGEST: i64 = 31 * 24 * 3600;

impl Channels {
    /// Takes an operator's word in; `now` in Unix seconds. What is over is forgotten by the way.
    pub fn allow_close(
        &self,
        channel: OutPoint,
        wanted: CloseAllowance,
        now: u64,
    ) -> Result<Learned, CloseAllowanceError> {
        let seconds = i64::try_from(wanted.expires).unwrap_or(i64::MAX).saturating_sub(now.cast_signed());
        if !(1..=LONGEST).contains(&seconds) {
            return Err(CloseAllowanceError::Expiry(seconds));
        }
        // A channel that no request has shown may hold anything; its own transaction will tell.
        let capacity = self.capacity(&channel).unwrap_or(Amount::MAX_MONEY);
        if wanted.at_least > capacity {
            let (given, capacity) = (wanted.at_least.to_sat(), capacity.to_sat());
            return Err(CloseAllowanceError::TooMuch { channel, given, capacity });
        }
        let over =
            self.close_allowances.iter().filter(|(known, word)| **known != channel && word.expires <= now);
        let mut changes: Vec<Change> =
            over.map(|(channel, _)| Change::CloseAllowanceForgotten { channel: *channel }).collect();
        changes.push(Change::CloseAllowed { channel, allowance: CloseAllowance { created: now, ..wanted } });
        Ok(Learned { changes })
    }

    /// Says what time it is, in Unix seconds, before a request is classified: words that operators gave run out.
    pub fn tell_time(&mut self, now: u64) {
        self.now = now;
    }

    /// What an operator said of a channel, if that holds at the time last told.
    pub fn close_allowance(&self, channel: &OutPoint) -> Option<CloseAllowance> {
        self.close_allowance_at(channel, self.now)
    }

    /// The same at `now`.
    pub(crate) fn close_allowance_at(&self, channel: &OutPoint, now: u64) -> Option<CloseAllowance> {
        self.close_allowances.get(channel).filter(|word| word.expires > now).copied()
    }

    /// All words that hold at `now`, by channel, also of channels that no request has shown.
    pub fn close_allowances(&self, now: u64) -> impl Iterator<Item = (OutPoint, CloseAllowance)> {
        let held = self.close_allowances.iter().filter(move |(_, word)| word.expires > now);
        held.map(|(channel, word)| (*channel, *word))
    }
}
