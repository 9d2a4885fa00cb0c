//! Commitments that show a channel for the first time.

use bitcoin::Amount;

use crate::case::{Spend, SpendAsk};
use crate::facts::Facts;
use crate::leaving;
use crate::policy::Policy;
use crate::words::sum;

/// The capacity of a channel that this commitment is the peer's first one of. An own commitment opens nothing: no limit on
/// new channels keeps one that exists from being closed.
pub(crate) fn capacity(ask: &SpendAsk, facts: &Facts) -> Option<Amount> {
    match ask.spend {
        Spend::CounterpartyCommitment { .. } if !facts.channel_known => {
            let spent = sum(ask.inputs.iter().map(|input| input.amount));
            Some(facts.channel_capacity.unwrap_or(spent).max(spent))
        }
        _ => None,
    }
}

/// What a case adds to the channels, if it opens any, after what of the unmatched fundings counts beside it.
pub(crate) fn added(policy: &Policy, ask: &SpendAsk, facts: &Facts) -> Option<(Amount, Amount)> {
    let funded = sum(leaving::unmatched_fundings(policy, ask, facts).map(|(_, output)| output.amount));
    match capacity(ask, facts) {
        // Its funding output is among the unmatched until this commitment matches it.
        Some(capacity) => Some((Amount::ZERO, capacity)),
        None if funded > Amount::ZERO && !facts.already_charged => Some((facts.unmatched_funding, funded)),
        None => None,
    }
}
