//! Books of one node's channels: what each step of a channel costs, what was authorised, what is forwarded at risk.
//!
//! Requests alone never show that a commitment was revoked, so every conclusion takes the reading worst for us: an HTLC
//! costs its full amount when it is offered, one that disappears has neither failed nor settled unless the balance
//! says so, and what leaves with nothing to show for it is a loss.

mod authorization;
mod credit;
mod forward;
#[cfg(test)]
mod histories;
mod step;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use bitcoin::{Amount, OutPoint};

pub use authorization::{Authorization, AuthorizationError};
pub(crate) use forward::Forward;
pub(crate) use step::DUST;
pub use step::{Step, Terms};

/// RIPEMD160 of a payment hash, as commitments show it.
pub type Hash160 = [u8; 20];

/// Payments and forwards of one node.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) authorizations: BTreeMap<Hash160, Authorization>,
    /// By the order in which they were made.
    pub(crate) forwards: BTreeMap<u64, Forward>,
}

impl Books {
    fn next_forward(&self) -> u64 {
        self.forwards.last_key_value().map_or(0, |(id, _)| id + 1)
    }

    /// Forwards at risk: for one incoming channel, or for all.
    pub(crate) fn provisional(&self, incoming: Option<&OutPoint>, now: u64, window: u64) -> Amount {
        self.forwards
            .values()
            .filter(|forward| incoming.is_none_or(|channel| forward.incoming == *channel))
            .filter(|forward| forward.counts(now, window))
            .fold(Amount::ZERO, |sum, forward| {
                sum.checked_add(forward.out_amount).unwrap_or(Amount::MAX_MONEY)
            })
    }
}
