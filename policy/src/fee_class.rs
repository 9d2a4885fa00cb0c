//! Which limits a spend's fee is held to, and whether it counts.

use bitcoin::Amount;

use crate::case::{Spend, SpendAsk};
use crate::policy::Policy;

/// Value of an anchor output (BOLT 3).
pub(crate) const ANCHOR: Amount = Amount::from_sat(330);

/// What a spend's fee is held to.
pub(crate) struct Limits {
    /// Table of the policy file.
    pub(crate) table: &'static str,
    /// Most for the transaction.
    pub(crate) most: Amount,
    /// Highest feerate in sat/vB.
    pub(crate) rate: u64,
    /// Most for the window.
    pub(crate) window: Amount,
}

/// The fee limits that a spend of this fee is held to; `None` where the fee is not ours or has its own rule.
///
/// A closing transaction may spend a share of what it claims, however many claims it joins. So all of them together leave
/// us the rest of what is claimed, and what claims nothing burns nothing by them. What exceeds the share, as a claim does
/// that is worth less than its fee, is held to the limits of wallet spends: those hold for any spend at least.
pub(crate) fn limits(policy: &Policy, ask: &SpendAsk, fee: Amount) -> Option<Limits> {
    let (wallet, closing) = (&policy.file.fees.wallet, &policy.file.fees.closing);
    let any = Limits {
        table: "fees.wallet",
        most: wallet.max_per_transaction_sat.amount(),
        rate: wallet.max_rate_sat_per_vb.sat_per_vb(),
        window: wallet.max_in_window_sat.amount(),
    };
    match ask.spend {
        Spend::Onchain | Spend::Unknown { .. } => Some(any),
        Spend::HolderHtlc { .. } | Spend::MutualClose { .. } | Spend::Sweep(_) | Spend::Justice => {
            let share = closing.max_share_per_mille.of(ask.claimed);
            let most = share.max(any.most);
            if fee > share {
                return Some(Limits { most, ..any });
            }
            Some(Limits {
                table: "fees.closing",
                most,
                rate: closing.max_rate_sat_per_vb.sat_per_vb().max(any.rate),
                window: closing.max_in_window_sat.amount().max(any.window),
            })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn held_to(kind: Spend, claimed: u64, fee: u64) -> (&'static str, u64, u64, u64) {
        let ask = SpendAsk { claimed: sat(claimed), ..spend(kind, vec![to_us(1)]) };
        let limits = limits(&cautious(), &ask, sat(fee)).expect("limits");
        (limits.table, limits.most.to_sat(), limits.rate, limits.window.to_sat())
    }

    #[test]
    fn what_claims_too_little_is_held_as_any_spend() {
        let any = |most| ("fees.wallet", most, 300, 5_000_000);
        for claimed in [0, 1_000, 1_000_000] {
            // A wallet spend has no claims.
            assert_eq!(held_to(Spend::Onchain, claimed, 1), any(200_000));
            for kind in
                [our_htlc(), Spend::Justice, Spend::Sweep(crate::SweepOf::Anchor), mutual_close(5, false)]
            {
                assert_eq!(held_to(kind, claimed, claimed / 2 + 1), any((claimed / 2).max(200_000)));
            }
        }
    }

    #[test]
    fn a_closing_transaction_may_spend_its_share_however_large() {
        for claimed in [2, 1_000, 16_000_000, 100_000_000] {
            let held = held_to(our_htlc(), claimed, claimed / 2);
            assert_eq!(held, ("fees.closing", (claimed / 2).max(200_000), 1_200, 250_000_000));
        }
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
