//! What of a fee is ours, which limits it is held to, and whether it counts.

use bitcoin::Amount;

use crate::case::{Destination, OutputFact, Spend, SpendAsk};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::words::{less, plus, sum};

/// Value of an anchor output (BOLT 3).
pub(crate) const ANCHOR: Amount = Amount::from_sat(330);

/// The window that a fee counts in. Neither fills the other: coins sent around leave claims their room, and closing leaves
/// the wallet its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Of any spend.
    Wallet,
    /// Of a transaction that claims more than its fee.
    Closing,
}

/// What a spend's fee is held to.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// The window it counts in.
    pub(crate) class: Class,
    /// Table of the policy file.
    pub(crate) table: &'static str,
    /// Most for the transaction.
    pub(crate) most: Amount,
    /// Highest feerate in sat/vB.
    pub(crate) rate: u64,
    /// Most for the window.
    pub(crate) window: Amount,
}

impl Limits {
    /// What counts in the window already, less what this transaction replaces of it; and the latter.
    pub(crate) fn before(&self, facts: &Facts) -> (Amount, Amount) {
        let (sum, replaced) = match self.class {
            Class::Wallet => (facts.fees_in_window, facts.replaced_fee),
            Class::Closing => (facts.closing_fees_in_window, facts.replaced_closing_fee),
        };
        (less(sum, replaced), replaced)
    }

    /// Whether the window has room for this fee.
    pub(crate) fn has_room(&self, ask: &SpendAsk, facts: &Facts, fee: Amount) -> bool {
        let (before, replaced) = self.before(facts);
        facts.already_charged || !counts(ask) || fee <= replaced || plus(before, fee) <= self.window
    }

    /// Whether the rate is one of these limits.
    pub(crate) fn has_rate(&self, ask: &SpendAsk, fee: Amount) -> bool {
        fee.to_sat() <= self.rate.saturating_mul(vbytes(ask))
    }
}

/// Whole virtual bytes.
pub(crate) fn vbytes(ask: &SpendAsk) -> u64 {
    ask.weight.to_wu().div_ceil(4)
}

/// The fee, as far as we bear it; `None` when outputs exceed inputs. In a close by agreement the peer bears what it gets less
/// than its latest balance: either side may pay for a close of its own (`option_simple_close`), and what the peer pays is no
/// money of ours.
pub(crate) fn borne_by_us(policy: &Policy, ask: &SpendAsk) -> Option<Amount> {
    let fee = ask.fee()?;
    Some(match ask.spend {
        Spend::MutualClose { peers_balance, .. } => {
            let theirs = ask.outputs.iter().filter(|output| !is_to_us(policy, output));
            less(fee, less(peers_balance, sum(theirs.map(|output| output.amount))))
        }
        _ => fee,
    })
}

/// Whether an output pays our wallet or the allowlist.
pub(crate) fn is_to_us(policy: &Policy, output: &OutputFact) -> bool {
    match output.to {
        Destination::OwnWallet(_) => true,
        Destination::Unspendable => false,
        _ => policy.allowed.label(&output.script_pubkey).is_some(),
    }
}

/// The fee limits that a spend of this fee is held to; `None` where the fee is not ours or has its own rule.
///
/// A closing transaction may spend a share of what it claims, however many claims it joins. So all of them together leave
/// us the rest of what is claimed, and what claims nothing burns nothing by them. What exceeds the share, as a claim does
/// that is worth less than its fee, or finds the closing window full, is held to the limits of wallet spends: those hold for
/// any spend at least.
pub(crate) fn limits(policy: &Policy, ask: &SpendAsk, facts: &Facts, fee: Amount) -> Option<Limits> {
    let (wallet, closing) = (&policy.file.fees.wallet, &policy.file.fees.closing);
    let any = Limits {
        class: Class::Wallet,
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
            let own = Limits {
                class: Class::Closing,
                table: "fees.closing",
                most,
                rate: closing.max_rate_sat_per_vb.sat_per_vb().max(any.rate),
                window: closing.max_in_window_sat.amount(),
            };
            let passes_as_any = fee <= any.most && any.has_rate(ask, fee) && any.has_room(ask, facts, fee);
            Some(if passes_as_any && !own.has_room(ask, facts, fee) { any } else { own })
        }
        Spend::CounterpartyCommitment { .. }
        | Spend::HolderCommitment { .. }
        | Spend::CounterpartyHtlc { .. } => None,
    }
}

/// Whether the fee counts to a window. Commitments are signed over and over and at most one confirms; the peer's
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
        let limits = limits(&cautious(), &ask, &known(), sat(fee)).expect("limits");
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
    fn what_the_peer_gets_less_in_a_close_is_its_own_fee() {
        let close = |ours: u64, theirs: u64, fee: u64| {
            let kind = Spend::MutualClose {
                channel: outpoint(60),
                our_balance: sat(600_000),
                peers_balance: sat(400_000),
                htlcs_pending: false,
                by_word: false,
            };
            let mut ask = spend(kind, vec![to_us(ours), to_stranger(theirs)]);
            ask.inputs[0].amount = sat(ours + theirs + fee);
            borne_by_us(&cautious(), &ask).map(Amount::to_sat)
        };
        // Out of ours while the peer's output is whole, or more.
        assert_eq!(close(540_000, 400_000, 60_000), Some(60_000));
        assert_eq!(close(530_000, 410_000, 60_000), Some(60_000));
        assert_eq!(close(600_000, 340_000, 60_000), Some(0));
        assert_eq!(close(580_000, 360_000, 60_000), Some(20_000));
        // What both bear is never less than nothing.
        assert_eq!(close(600_000, 100_000, 300), Some(0));
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
