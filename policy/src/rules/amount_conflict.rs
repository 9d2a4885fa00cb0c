//! `amount-conflict`: an outpoint has one amount for ever.
//!
//! Without it the BIP143 fee attack works: each signature commits to its own input's amount only, so LND asks twice for
//! one transaction, with another amount made small each time, and joins the two valid signatures into a transaction
//! whose fee is far above anything that was shown.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("amount-conflict");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "an outpoint seen with one amount is never signed with another",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(_) = &case.ask else { return };
    for (outpoint, before, now) in &facts.amount_conflicts {
        let value = format!("{outpoint} with {}", Sat(*now));
        found.push(Violation::new(
            TAG,
            value,
            format!("{}, as before", Sat(*before)),
        ));
    }
}
