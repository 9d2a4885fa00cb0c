//! `chain-current`: what commits us for long is signed only while our own view of the chain is up to date.
//!
//! Without it a compromised LND, or whoever cuts the machine off, has channels opened and forwarded through on a
//! chain that is not the real one: fundings that never confirmed, closes long published, timeouts long over. What protects
//! what we have (own commitments, justice, sweeps, HTLC claims, mutual closes) goes on without it.

use super::Rule;
use crate::case::{Ask, Case, Destination, Spend};
use crate::facts::{ChainFact, Facts};
use crate::policy::Policy;
use crate::update::Cover;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("chain-current");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "opens and forwards need an up-to-date view of the chain",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let because = match &facts.chain {
        ChainFact::Current => return,
        ChainFact::Unknown if !policy.file.chain.required => return,
        ChainFact::Unknown => "no bitcoind is configured",
        ChainFact::NotCurrent(because) => because,
    };
    let Ask::Spend(ask) = &case.ask else { return };
    let what = match &ask.spend {
        Spend::Onchain if ask.outputs.iter().any(|output| output.to == Destination::MaybeFunding) => {
            "a funding"
        }
        Spend::CounterpartyCommitment { .. } if !facts.channel_known => "a new channel",
        Spend::CounterpartyCommitment { .. }
            if facts.update.iter().flat_map(|update| &update.offered).any(is_forward) =>
        {
            "a forward"
        }
        _ => return,
    };
    found.push(Violation::new(
        TAG,
        format!("{what} while {because}"),
        "a view of the chain that is up to date",
    ));
}

fn is_forward(htlc: &crate::update::OfferedHtlc) -> bool {
    matches!(htlc.cover, Cover::Forward { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn stale(facts: Facts) -> Facts {
        Facts { chain: ChainFact::NotCurrent("the tip is 7,200 s old".into()), ..facts }
    }

    #[test]
    fn nothing_is_begun_on_a_stale_chain() {
        let opening = spend_case(theirs(0), vec![to_stranger(5)]);
        assert!(violated(TAG, &cautious(), &opening, &stale(Facts::default())));
        assert!(violated(TAG, &cautious(), &onchain(vec![to_funding(5)]), &stale(known())));
        let forwarding = stale(offering(5, forward(700_100, 0)));
        assert!(violated(TAG, &cautious(), &spend_case(theirs(3), vec![to_us(5)]), &forwarding));
    }

    #[test]
    fn what_protects_us_goes_on() {
        for kind in [theirs(3), ours(0), ours(3), mutual_close(5, false), our_htlc(), Spend::Justice] {
            assert!(!violated(TAG, &cautious(), &spend_case(kind, vec![to_us(5)]), &stale(known())));
        }
        assert!(!violated(TAG, &cautious(), &onchain(vec![to_us(5)]), &stale(known())));
    }

    #[test]
    fn without_a_bitcoind_the_policy_decides() {
        let opening = spend_case(theirs(0), vec![to_stranger(5)]);
        let unknown = Facts { chain: ChainFact::Unknown, ..Facts::default() };
        assert!(violated(TAG, &edited("chain", "required", true), &opening, &unknown));
        assert!(!violated(TAG, &edited("chain", "required", false), &opening, &unknown));
    }
}
