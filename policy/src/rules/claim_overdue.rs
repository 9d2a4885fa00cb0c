//! `claim-overdue`: nothing is forwarded for a channel whose earlier incoming HTLCs were not claimed in time.
//!
//! Without it a compromised LND pays outgoing HTLCs and never claims the incoming ones: they sit until they time out, and the
//! channel goes on bringing new ones. LND claims within the second; a peer that is away cannot be claimed from, and its channel
//! brings nothing either, so a claim is overdue only when the channel has gone on without it, twice.

use super::Rule;
use crate::case::Case;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::update::Cover;
use crate::violation::{Tag, Violation};
use crate::words::Span;

/// The rule's name.
pub const TAG: Tag = Tag("claim-overdue");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "no forward for a channel that goes on while claims of its HTLCs are overdue",
    protects_money: true,
    check,
};

fn check(policy: &Policy, _: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Some(update) = &facts.update else { return };
    for htlc in &update.offered {
        let Cover::Forward { incoming, claims_overdue, .. } = htlc.cover else { continue };
        if claims_overdue > 0 {
            let value = format!("a forward for {incoming}, which has {claims_overdue} HTLCs to be claimed");
            let limit = format!("claims within {}", Span(policy.file.forwards.max_claim_seconds));
            found.push(Violation::new(TAG, value, limit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn who_is_owed_claims_brings_nothing_new() {
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let forward = |claims_overdue| Cover::Forward {
            again: false,
            incoming: outpoint(59),
            incoming_cltv: 700_100,
            provisional: sat(0),
            claims_overdue,
        };
        assert!(violated(TAG, &cautious(), &asked, &offering(10, forward(1))));
        assert!(!violated(TAG, &cautious(), &asked, &offering(10, forward(0))));
        assert!(!violated(TAG, &cautious(), &asked, &offering(10, Cover::Own)));
    }
}
