//! `input-evidence`: an amount that is only claimed is accepted only where a lie about it cannot hide a fee.
//!
//! LND signs one input a request and proves the amount of that one alone; of the others it only says what they are worth.
//! Without this rule a lie about another input's amount hides the fee: LND says an input is worth 10,000 sat when it is
//! worth a bitcoin, the difference goes to a miner who shares it.
//!
//! With every signature of the request over the whole transaction (ALL, or taproot's DEFAULT) a lie gains nothing: each of
//! our inputs needs a signature of its own, valid for its true amount only (BIP143), and that amount is kept and held
//! against every later claim (`amount-conflict`). So the last signature that the transaction needs sees every amount of
//! ours as it is, and the fee rules see the true fee. Inputs of others lend no cover: whatever is claimed of them only
//! adds to the fee that is seen. Any other sighash type signs something that can still change, so there nothing may be
//! merely claimed.

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
    summary: "a merely claimed amount needs signatures over the whole transaction",
    protects_money: true,
    check,
};

/// BIP341's DEFAULT.
const DEFAULT: u32 = 0;
/// SIGHASH_ALL.
const ALL: u32 = 1;

fn check(_: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    if ask.signed.iter().all(|signed| matches!(signed.sighash, DEFAULT | ALL)) {
        return;
    }
    for (index, input) in ask.inputs.iter().enumerate().filter(|(_, input)| !input.evidence.is_proof()) {
        let value = format!("input {index} ({}): {} is only claimed", input.outpoint, Sat(input.amount));
        found.push(Violation::new(
            TAG,
            value,
            "signatures with sighash ALL, or an amount proven by the previous transaction or our records",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Evidence, Spend};
    use crate::fixture::*;

    fn with_claimed_input(sighash: u32) -> Case {
        let mut ask = spend(Spend::Onchain, vec![to_us(1)]);
        ask.signed[0].sighash = sighash;
        ask.inputs.push(crate::InputFact { evidence: Evidence::Claimed, ..input(3, 10_000) });
        case(Ask::Spend(ask))
    }

    #[test]
    fn a_claimed_amount_beside_a_signature_over_less_than_all_refuses() {
        for sighash in [0x02, 0x03, 0x80, 0x81, 0x82, 0x83, 0x42] {
            assert_eq!(
                violations(TAG, &cautious(), &with_claimed_input(sighash), &known()),
                1,
                "{sighash:#x}"
            );
        }
    }

    #[test]
    fn a_claimed_amount_beside_a_signature_over_all_passes() {
        for sighash in [DEFAULT, ALL] {
            assert!(!violated(TAG, &cautious(), &with_claimed_input(sighash), &known()));
        }
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
