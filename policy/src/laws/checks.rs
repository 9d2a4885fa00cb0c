//! What the journal says of a decision's checks is true: a rule listed as enforced for a kind can be broken in that kind,
//! and none that is not listed can.

use std::collections::{BTreeMap, BTreeSet};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::raising::{cases, facts};
use crate::case::{Ask, Case, Spend};
use crate::facts::{ChainFact, Facts};
use crate::fixture::*;
use crate::{Kind, Policy, rules};

/// Cases of each kind.
const CASES: usize = 2_000;

/// What the journal knows beside a case: no facts that it does not look up for such a kind.
fn as_the_journal_fills_them(case: &Case, facts: Facts) -> Facts {
    let spend = case.spend();
    let theirs = matches!(spend, Some(Spend::CounterpartyCommitment { .. }));
    let htlc = matches!(spend, Some(Spend::CounterpartyHtlc { .. }));
    let update = facts.update.filter(|_| theirs);
    let amount_conflicts = if theirs || htlc { Vec::new() } else { facts.amount_conflicts };
    // Up to the limits of the shipped profile.
    let force_closes_in_window = 10 * facts.force_closes_in_window;
    Facts { update, amount_conflicts, force_closes_in_window, ..facts }
}

type ByKind = BTreeMap<Kind, BTreeSet<&'static str>>;

/// The tags violated by chance under each policy, by kind; `false` with no bitcoind.
fn violated_by_chance(policies: &[(Policy, bool)]) -> Vec<ByKind> {
    let mut runner = TestRunner::deterministic();
    let strategy = (cases(), facts());
    let mut seen = vec![ByKind::new(); policies.len()];
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    for _ in 0..60_000 {
        let (mut case, facts) = strategy.new_tree(&mut runner).expect("a case").current();
        let kind = Kind::of(&case.ask);
        let count = counts.entry(kind).or_default();
        *count += 1;
        if *count > CASES {
            continue;
        }
        // Now and then somebody without a grant.
        if count.is_multiple_of(10) {
            case.client = "somebody".parse().expect("a name of few letters");
        }
        // Justice with a wallet coin in it, whose fee counts.
        if let Ask::Spend(ask) = &mut case.ask
            && ask.spend == Spend::Justice
            && count.is_multiple_of(3)
        {
            ask.inputs[0].script_pubkey = wpkh(40);
        }
        let facts = as_the_journal_fills_them(&case, facts);
        for ((policy, followed), seen) in policies.iter().zip(&mut seen) {
            let chain = if *followed { facts.chain.clone() } else { ChainFact::Unknown };
            for violation in policy.decide(&case, &Facts { chain, ..facts.clone() }).enforced {
                let rule = rules::by_tag(&violation.tag).expect("a rule's own tag");
                seen.entry(kind).or_default().insert(rule.tag.0);
            }
        }
    }
    for kind in Kind::ALL {
        assert!(counts.get(&kind).is_some_and(|count| *count > 200), "{kind:?}: too few cases");
    }
    seen
}

fn listed(policy: &Policy, followed: bool) -> ByKind {
    let of = |kind| policy.checks(kind, followed).enforced.into_iter().map(|tag| tag.0).collect();
    Kind::ALL.into_iter().map(|kind| (kind, of(kind))).collect()
}

#[test]
fn a_rule_listed_for_a_kind_can_be_broken_in_it_and_no_other_can() {
    let policies = [
        (cautious(), true),
        (cautious(), false),
        (edited("channels", "require_tier", "\"T1\""), true),
        (edited("channels", "require_psbt_funding", true), true),
        (listing(&[1]), true),
        (edited("messages", "kinds", "[\"tagged\"]"), true),
        (edited("ecdh", "keys", "[]"), true),
    ];
    for ((policy, followed), seen) in policies.iter().zip(violated_by_chance(&policies)) {
        let listed = listed(policy, *followed);
        for kind in Kind::ALL {
            assert_eq!(seen.get(&kind), listed.get(&kind), "{kind:?}, followed: {followed}");
        }
    }
}

#[test]
fn every_rule_is_asked_of_some_kind_and_stands_in_one_list() {
    for policy in [cautious(), edited("rules", "fee-rate", "\"observe\"")] {
        for rule in &rules::ALL {
            let lists = |kind| {
                let crate::Checks { enforced, observed, idle } = policy.checks(kind, true);
                [enforced, observed, idle].concat().into_iter().filter(|tag| *tag == rule.tag).count()
            };
            let of: Vec<usize> = Kind::ALL.into_iter().map(lists).collect();
            assert!(of.iter().all(|count| *count <= 1) && of.contains(&1), "{}: {of:?}", rule.tag);
        }
    }
    let observing = edited("rules", "fee-rate", "\"observe\"").checks(Kind::Onchain, true);
    assert_eq!(observing.observed, [crate::Tag("fee-rate")]);
}

#[test]
fn kinds_have_names_of_their_own() {
    let names: BTreeSet<String> = Kind::ALL.into_iter().map(Kind::class).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    let justice = spend_case(Spend::Justice, vec![to_us(5)]);
    assert_eq!(Kind::of(&justice.ask).class(), "sign-psbt justice");
}
