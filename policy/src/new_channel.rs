//! Commitments that show a channel for the first time.

use bitcoin::Amount;

use crate::case::{Spend, SpendAsk};
use crate::facts::Facts;
use crate::words::sum;

/// The capacity of a channel that this commitment is the first one of. The peer's first commitment may look like
/// our own while we have no balance.
pub(crate) fn capacity(ask: &SpendAsk, facts: &Facts) -> Option<Amount> {
    match ask.spend {
        Spend::CounterpartyCommitment { .. } | Spend::HolderCommitment { .. } if !facts.channel_known => {
            let spent = sum(ask.inputs.iter().map(|input| input.amount));
            Some(facts.channel_capacity.unwrap_or(spent).max(spent))
        }
        _ => None,
    }
}
