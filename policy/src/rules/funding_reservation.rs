//! `funding-reservation`: a funding output needs a channel reservation that is still open.
//!
//! Without it any payment to a script hash could call itself a channel funding and pass by the limits on payments. A
//! reservation is LND's request for the revocation root of a new multisig key, made for every channel before its funding.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::leaving;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("funding-reservation");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "as many possible funding outputs as there are open channel reservations, no more",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let outputs = leaving::unmatched_fundings(policy, ask, facts).count();
    if !facts.already_charged && outputs > facts.open_reservations as usize {
        let value = format!(
            "{outputs} possible funding outputs with {} open reservations",
            facts.open_reservations
        );
        found.push(Violation::new(
            TAG,
            value,
            "one funding output per open channel reservation",
        ));
    }
}
