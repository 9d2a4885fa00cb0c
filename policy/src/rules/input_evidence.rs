//! `input-evidence`: every input's amount is proven, not only those we sign.
//!
//! Without it a lie about another input's amount hides the fee: LND says an input is worth 10,000 sat when it is worth a
//! bitcoin, the difference goes to a miner who shares it. Proof is the previous transaction, our own record of it, our
//! own bitcoind, or a signature that is void if the amount is a lie.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("input-evidence");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "every input's amount must be proven, never only claimed",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    for (index, input) in ask.inputs.iter().enumerate().filter(|(_, input)| !input.evidence.is_proof()) {
        let value = format!("input {index} ({}): {} is only claimed", input.outpoint, Sat(input.amount));
        found.push(Violation::new(
            TAG,
            value,
            "an amount proven by the previous transaction, our records or our bitcoind",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Evidence, Spend};
    use crate::fixture::*;

    #[test]
    fn one_claimed_amount_refuses() {
        let mut ask = spend(Spend::Onchain, vec![to_us(1)]);
        ask.inputs.push(crate::InputFact { evidence: Evidence::Claimed, ..input(3, 10_000) });
        assert_eq!(violations(TAG, &cautious(), &case(Ask::Spend(ask)), &known()), 1);
    }

    #[test]
    fn every_kind_of_proof_passes() {
        for evidence in
            [Evidence::PreviousTransaction, Evidence::Ledger, Evidence::Chain, Evidence::Committed]
        {
            let mut ask = spend(Spend::Onchain, vec![to_us(1)]);
            ask.inputs[0].evidence = evidence;
            assert!(!violated(TAG, &cautious(), &case(Ask::Spend(ask)), &known()));
        }
    }
}
