//! What an approval costs.

use bitcoin::Amount;

use crate::case::{Ask, Case, Spend};
use crate::facts::Facts;
use crate::fee_class::{self, Class};
use crate::leaving;
use crate::policy::Policy;
use crate::update::ChannelUpdate;
use crate::words::{less, plus};

/// What the journal books with an approval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charges {
    /// To add to the window of payments to strangers, beyond [`Facts::replaced_outflow`].
    pub outflow: Amount,
    /// To add to the window of wallet spends' fees, beyond [`Facts::replaced_fee`].
    pub fee: Amount,
    /// To add to the window of closing's fees, beyond [`Facts::replaced_closing_fee`].
    pub closing_fee: Amount,
    /// To add to the sum of unmatched fundings.
    pub unmatched_funding: Amount,
    /// To add to their number.
    pub unmatched_funding_count: u32,
    /// The outputs, by index, that these two are about: possible fundings, less those the allowlist names.
    pub fundings: Vec<u32>,
    /// The channel's own commitment, above number 0, was signed: it counts as a force close in the window.
    pub force_close: bool,
    /// To add to the window of channel balance that left unexplained.
    pub unexplained: Amount,
    /// To add to the window of payments without authorisation.
    pub unauthorized: Amount,
}

/// The charges of a case, zero if it was charged before.
pub(crate) fn of(policy: &Policy, case: &Case, facts: &Facts) -> Charges {
    let Ask::Spend(ask) = &case.ask else {
        return Charges::default();
    };
    if facts.already_charged {
        return Charges::default();
    }
    // Outputs above the inputs are no valid transaction, and fee-cap refuses them.
    let fee = if fee_class::counts(ask) { fee_class::borne_by_us(policy, ask) } else { None }
        .unwrap_or(Amount::ZERO);
    let (fee, closing_fee) = match fee_class::limits(policy, ask, facts, fee).map(|limits| limits.class) {
        None => (Amount::ZERO, Amount::ZERO),
        Some(Class::Wallet) => (less(fee, facts.replaced_fee), Amount::ZERO),
        Some(Class::Closing) => (Amount::ZERO, less(fee, facts.replaced_closing_fee)),
    };
    let (mut unmatched_funding, mut fundings) = (Amount::ZERO, Vec::new());
    for (index, output) in leaving::unmatched_fundings(policy, ask, facts) {
        unmatched_funding = plus(unmatched_funding, output.amount);
        fundings.push(index);
    }
    Charges {
        outflow: less(leaving::outflow(policy, ask, facts), facts.replaced_outflow),
        fee,
        closing_fee,
        unmatched_funding,
        unmatched_funding_count: u32::try_from(fundings.len()).unwrap_or(u32::MAX),
        fundings,
        force_close: matches!(ask.spend, Spend::HolderCommitment { number, .. } if number > 0),
        unexplained: facts.update.as_ref().map_or(Amount::ZERO, |update| update.unexplained_outflow),
        unauthorized: facts.update.as_ref().map_or(Amount::ZERO, ChannelUpdate::unauthorized),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn charged(case: &Case, facts: &Facts) -> Charges {
        of(&allowing(&wsh(5)), case, facts)
    }

    #[test]
    fn what_was_charged_before_costs_nothing() {
        let paid = onchain(vec![to_stranger(700)]);
        let once = Charges { outflow: sat(700), fee: sat(1_000), ..Charges::default() };
        assert_eq!(charged(&paid, &known()), once);
        assert_eq!(charged(&paid, &Facts { already_charged: true, ..known() }), Charges::default());
        let replacing = Facts { replaced_outflow: sat(600), replaced_fee: sat(2_000), ..known() };
        assert_eq!(charged(&paid, &replacing), Charges { outflow: sat(100), ..Charges::default() });
    }

    #[test]
    fn possible_fundings_are_named_and_the_allowlists_are_not() {
        let unlisted = output(90, wsh(6), crate::Destination::MaybeFunding);
        let funding = onchain(vec![to_us(1), to_funding(80), unlisted]);
        let charges = charged(&funding, &known());
        assert_eq!(charges.fundings, [2]);
        assert_eq!((charges.unmatched_funding, charges.unmatched_funding_count), (sat(90), 1));
        assert_eq!(charges.outflow, Amount::ZERO);
    }

    #[test]
    fn commitments_cost_no_fee_and_only_later_own_ones_close_a_channel() {
        for (kind, force_close) in [(ours(0), false), (ours(1), true), (theirs(1), false)] {
            let charges = charged(&spend_case(kind, vec![to_stranger(9)]), &known());
            assert_eq!(charges, Charges { force_close, ..Charges::default() });
        }
        assert_eq!(charged(&ecdh(locator(6, 0), None), &known()), Charges::default());
    }
}
