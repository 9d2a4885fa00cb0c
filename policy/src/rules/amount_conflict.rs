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
        found.push(Violation::new(TAG, value, format!("{}, as before", Sat(*before))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn another_amount_for_a_known_outpoint_is_refused() {
        let conflicts = vec![(outpoint(1), sat(100_000_000), sat(10_000)), (outpoint(2), sat(1), sat(2))];
        let facts = Facts { amount_conflicts: conflicts, ..known() };
        let mut found = Vec::new();
        check(&cautious(), &onchain(vec![to_us(1)]), &facts, &mut found);
        assert_eq!(found.len(), 2);
        assert!(found[0].value.ends_with("with 10,000 sat"), "{}", found[0]);
        assert_eq!(found[0].limit, "100,000,000 sat, as before");
    }

    #[test]
    fn no_conflict_passes() {
        assert!(!violated(TAG, &cautious(), &onchain(vec![to_us(1)]), &known()));
    }
}
