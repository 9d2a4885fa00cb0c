//! Books of one node's channels: what each step of a channel costs, what was authorised, what is forwarded at risk.
//!
//! Requests alone never show that a commitment was revoked, so every conclusion takes the reading worst for us: an HTLC
//! costs its full amount when it is offered, one that disappears has neither failed nor settled unless the balance
//! says so, and what leaves with nothing to show for it is a loss.

mod again;
mod authorization;
#[cfg(test)]
mod claims;
mod credit;
mod forward;
#[cfg(test)]
mod histories;
mod settle;
mod step;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod versions;

use std::collections::BTreeMap;

use bitcoin::{Amount, OutPoint};

pub use authorization::{Authorization, AuthorizationError};
pub(crate) use forward::Forward;
pub(crate) use step::DUST;
pub use step::{Step, Terms};

/// RIPEMD160 of a payment hash, as commitments show it.
pub type Hash160 = [u8; 20];

/// Payments and forwards of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) authorizations: BTreeMap<Hash160, Authorization>,
    /// By the order in which they were made.
    pub(crate) forwards: BTreeMap<u64, Forward>,
}

impl Books {
    fn next_forward(&self) -> u64 {
        self.forwards.last_key_value().map_or(0, |(id, _)| id + 1)
    }

    /// Incoming HTLCs whose claim is overdue by `seconds`. What is on a channel that went on without them is told of as long as
    /// it is there; the rest, which the chain may have settled, for a window.
    pub(crate) fn overdue(
        &self,
        now: u64,
        window: u64,
        seconds: u64,
    ) -> impl Iterator<Item = (u64, &Forward)> {
        let overdue = self.forwards.iter().filter(move |(_, forward)| {
            let lately = forward.out_gone.is_some_and(|since| since.saturating_add(window) > now);
            forward.is_overdue(now, seconds) && (forward.passed > 0 || lately)
        });
        overdue.map(|(id, forward)| (*id, forward))
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
