//! What an approval costs.

use bitcoin::Amount;

use crate::case::{Ask, Case, Spend};
use crate::facts::Facts;
use crate::fee_class;
use crate::leaving;
use crate::policy::Policy;
use crate::words::{less, plus};

/// What the journal books with an approval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charges {
    /// To add to the window of payments to strangers, beyond [`Facts::replaced_outflow`].
    pub outflow: Amount,
    /// To add to the window of fees, beyond [`Facts::replaced_fee`].
    pub fee: Amount,
    /// To add to the sum of unmatched fundings.
    pub unmatched_funding: Amount,
    /// To add to their number.
    pub unmatched_funding_count: u32,
    /// The outputs, by index, that these two are about: possible fundings, less those the allowlist names.
    pub fundings: Vec<u32>,
    /// The channel's own commitment, above number 0, was signed: it counts as a force close in the window.
    pub force_close: bool,
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
    let fee = if fee_class::counts(ask) { ask.fee().unwrap_or(Amount::ZERO) } else { Amount::ZERO };
    let (mut unmatched_funding, mut fundings) = (Amount::ZERO, Vec::new());
    for (index, output) in leaving::unmatched_fundings(policy, ask, facts) {
        unmatched_funding = plus(unmatched_funding, output.amount);
        fundings.push(index);
    }
    Charges {
        outflow: less(leaving::outflow(policy, ask, facts), facts.replaced_outflow),
        fee: less(fee, facts.replaced_fee),
        unmatched_funding,
        unmatched_funding_count: u32::try_from(fundings.len()).unwrap_or(u32::MAX),
        fundings,
        force_close: matches!(ask.spend, Spend::HolderCommitment { number, .. } if number > 0),
    }
}
