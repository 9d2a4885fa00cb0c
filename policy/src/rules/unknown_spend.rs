//! `unknown-spend`: a transaction that is nothing we know is not signed.
//!
//! Without it a compromised LND would spend a channel's funding output or any wallet coin in a shape that no other rule
//! was written for.

use super::Rule;
use crate::case::{Ask, Case, Spend};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("unknown-spend");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "only transactions whose purpose is understood are signed",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    if let Ask::Spend(ask) = &case.ask
        && let Spend::Unknown { why } = &ask.spend
    {
        let value = format!("transaction {} is none we know: {why}", ask.txid);
        found.push(Violation::new(
            TAG,
            value,
            "wallet spends, commitments, their HTLCs, closes, sweeps and justice",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn unknown_is_refused_and_known_is_not() {
        let unknown = spend_case(Spend::Unknown { why: "two 2-of-2 inputs".into() }, vec![to_us(1)]);
        assert!(violated(TAG, &cautious(), &unknown, &known()));
        assert!(!violated(TAG, &cautious(), &onchain(vec![to_us(1)]), &known()));
    }
}
