//! `second-level-shape`: the peer's HTLC transaction has one input, one output, and pays no more than the HTLC.
//!
//! Without it a signature with SINGLE|ANYONECANPAY for an HTLC could be asked for in a transaction of any form. The
//! rule holds the form (BOLT 3); whose the output is, this version cannot tell.

use super::Rule;
use crate::case::{Ask, Case, Spend};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, sum};
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
        let value = format!("{} inputs and {} outputs", ask.inputs.len(), ask.outputs.len());
        found.push(Violation::new(TAG, value, "one input and one output"));
    }
    let paid = sum(ask.outputs.iter().map(|output| output.amount));
    let spent = sum(ask.inputs.iter().map(|input| input.amount));
    if paid > *amount || spent != *amount {
        let value = format!("{} spent and {} paid", Sat(spent), Sat(paid));
        found.push(Violation::new(
            TAG,
            value,
            format!("the HTLC's {} spent, and no more paid", Sat(*amount)),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn htlc(inputs: Vec<crate::InputFact>, outputs: Vec<crate::OutputFact>) -> Case {
        let mut ask = spend(peers_htlc(10_000), vec![to_stranger(1)]);
        (ask.inputs, ask.outputs) = (inputs, outputs);
        case(Ask::Spend(ask))
    }

    #[test]
    fn other_forms_are_refused() {
        let one = || input(1, 10_000);
        for asked in [
            htlc(vec![one(), input(2, 10_000)], vec![to_stranger(10_000)]),
            htlc(vec![one()], vec![to_stranger(4_000), to_stranger(4_000)]),
            htlc(vec![one()], vec![]),
            htlc(vec![one()], vec![to_stranger(10_001)]),
            htlc(vec![input(1, 9_999)], vec![to_stranger(9_999)]),
        ] {
            assert!(violated(TAG, &cautious(), &asked, &known()));
        }
    }

    #[test]
    fn one_in_one_out_passes_with_or_without_fee() {
        for paid in [10_000, 9_000] {
            assert!(!violated(
                TAG,
                &cautious(),
                &htlc(vec![input(1, 10_000)], vec![to_stranger(paid)]),
                &known()
            ));
        }
    }
}
