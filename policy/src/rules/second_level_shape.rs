//! `second-level-shape`: the peer's HTLC transaction has one input, one output, and pays no more than the HTLC.
//!
//! Without it a signature with SINGLE|ANYONECANPAY for an HTLC could be asked for in a transaction of any form. The
//! rule holds the form (BOLT 3); whose the output is, this version cannot tell.

use super::Rule;
use crate::case::{Ask, Case, Spend};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, plus};
use bitcoin::Amount;

/// The rule's name.
pub const TAG: Tag = Tag("second-level-shape");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "the peer's HTLC transaction has one input and one output of at most the HTLC's amount",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let Spend::CounterpartyHtlc { amount, .. } = &ask.spend else {
        return;
    };
    if ask.inputs.len() != 1 || ask.outputs.len() != 1 {
        let value = format!(
            "{} inputs and {} outputs",
            ask.inputs.len(),
            ask.outputs.len()
        );
        found.push(Violation::new(TAG, value, "one input and one output"));
    }
    let paid = ask
        .outputs
        .iter()
        .map(|output| output.amount)
        .fold(Amount::ZERO, plus);
    let spent = ask
        .inputs
        .iter()
        .map(|input| input.amount)
        .fold(Amount::ZERO, plus);
    if paid > *amount || spent != *amount {
        let value = format!("{} spent and {} paid", Sat(spent), Sat(paid));
        found.push(Violation::new(
            TAG,
            value,
            format!("the HTLC's {} spent, and no more paid", Sat(*amount)),
        ));
    }
}
