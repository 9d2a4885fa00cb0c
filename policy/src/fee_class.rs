//! Which limits a spend's fee is held to, and whether it counts.

use bitcoin::Amount;

use crate::case::{Spend, SpendAsk};
use crate::file::FeeLimits;
use crate::policy::Policy;

/// Value of an anchor output (BOLT 3).
pub(crate) const ANCHOR: Amount = Amount::from_sat(330);

/// The fee limits that a spend is held to, with their table's name; `None` where the fee is not ours or has its
/// own rule.
pub(crate) fn limits<'a>(policy: &'a Policy, ask: &SpendAsk) -> Option<(&'static str, &'a FeeLimits)> {
    let fees = &policy.file.fees;
    match ask.spend {
        Spend::Onchain if bumps_anchor(ask) => Some(("fees.closing", &fees.closing)),
        Spend::Onchain | Spend::Unknown { .. } => Some(("fees.wallet", &fees.wallet)),
        Spend::HolderHtlc { .. } | Spend::MutualClose { .. } | Spend::Sweep(_) | Spend::Justice => {
            Some(("fees.closing", &fees.closing))
        }
        Spend::CounterpartyCommitment { .. }
        | Spend::HolderCommitment { .. }
        | Spend::CounterpartyHtlc { .. } => None,
    }
}

/// Whether the fee counts to the window. Commitments are signed over and over and at most one confirms; the peer's
/// HTLC transactions spend the peer's money; justice is prepared for every revoked state when a tower is used.
pub(crate) fn counts(ask: &SpendAsk) -> bool {
    match ask.spend {
        Spend::Onchain
        | Spend::HolderHtlc { .. }
        | Spend::MutualClose { .. }
        | Spend::Sweep(_)
        | Spend::Unknown { .. } => true,
        // Anybody can make an output that our revocation key punishes. With wallet coins beside it, which are never
        // P2WSH, its fee would be free.
        Spend::Justice => !ask.inputs.iter().all(|input| input.script_pubkey.is_p2wsh()),
        Spend::CounterpartyCommitment { .. }
        | Spend::HolderCommitment { .. }
        | Spend::CounterpartyHtlc { .. } => false,
    }
}

/// Whether wallet coins bump a commitment's fee by its anchor. LND asks for the anchor's and the wallet's signatures
/// apart; the second looks like any wallet spend, but its fee pays for the commitment too.
fn bumps_anchor(ask: &SpendAsk) -> bool {
    ask.inputs
        .iter()
        .any(|input| input.amount == ANCHOR && input.evidence.is_proof() && input.script_pubkey.is_p2wsh())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Evidence;
    use crate::fixture::*;

    fn class(ask: &SpendAsk) -> &'static str {
        limits(&cautious(), ask).expect("a wallet spend has limits").0
    }

    #[test]
    fn only_a_proven_anchor_makes_a_wallet_spend_a_bump() {
        let mut ask = spend(Spend::Onchain, vec![to_us(1)]);
        let mut anchor = input(50, 330);
        anchor.script_pubkey = wsh(50);
        for other in [
            crate::InputFact { amount: sat(331), ..anchor.clone() },
            crate::InputFact { evidence: Evidence::Claimed, ..anchor.clone() },
            crate::InputFact { script_pubkey: wpkh(50), ..anchor.clone() },
        ] {
            ask.inputs.truncate(1);
            ask.inputs.push(other);
            assert_eq!(class(&ask), "fees.wallet");
        }
        ask.inputs[1] = anchor;
        assert_eq!(class(&ask), "fees.closing");
    }

    #[test]
    fn justice_is_free_of_the_window_only_without_wallet_coins() {
        let mut ask = spend(Spend::Justice, vec![to_us(1)]);
        ask.inputs[0].script_pubkey = wsh(50);
        assert!(!counts(&ask));
        ask.inputs.push(input(51, 90_000_000));
        assert!(counts(&ask));
    }
}
