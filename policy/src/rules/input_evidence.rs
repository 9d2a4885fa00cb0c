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
    for (index, input) in ask
        .inputs
        .iter()
        .enumerate()
        .filter(|(_, input)| !input.evidence.is_proof())
    {
        let value = format!(
            "input {index} ({}): {} is only claimed",
            input.outpoint,
            Sat(input.amount)
        );
        found.push(Violation::new(
            TAG,
            value,
            "an amount proven by the previous transaction, our records or our bitcoind",
        ));
    }
}
