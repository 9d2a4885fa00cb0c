//! POLICY.md says of each of VLS's rules what the code says, and what is called enforced was seen to deny.

use std::collections::BTreeMap;

use super::*;

/// Cases of a denial: the rule, and all that was found.
type Denials = Vec<(&'static str, Vec<Violation>)>;

/// Every case of a denial there is in these tests.
fn denied(node: PublicKey) -> Denials {
    by_kinds(node).into_iter().flat_map(|(_, denied)| denied).collect()
}

/// The same, by the kinds of request that VLS is asked about in that way ([`Vls::judge`]).
fn by_kinds(node: PublicKey) -> Vec<(Vec<Kind>, Denials)> {
    vec![
        (vec![Kind::CounterpartyCommitment], commitments::denied(node)),
        (vec![Kind::CounterpartyHtlc], commitments::htlcs_denied(node)),
        (vec![Kind::MutualClose], closes::denied(node)),
        (vec![Kind::Onchain, Kind::SweepToRemote, Kind::SweepAnchor], spends::onchain_denied(node)),
        (vec![Kind::SweepDelayed, Kind::SweepCounterpartyHtlc, Kind::Justice], spends::sweeps_denied(node)),
    ]
}

/// What the journal says of a decision's checks is true: in each kind exactly the rules that were seen to deny there.
#[test]
fn each_kind_is_held_to_what_its_list_says() {
    let limits = limits();
    let mut judged = Vec::new();
    for (kinds, denied) in by_kinds(node(1)) {
        let seen: BTreeSet<&str> =
            denied.iter().map(|(tag, _)| *tag).filter(|tag| *tag != "policy-mutual-other").collect();
        for kind in kinds {
            let checks = checks(kind, &limits, true);
            let listed: BTreeSet<&str> =
                [checks.enforced, checks.partly, checks.observed].concat().into_iter().collect();
            assert_eq!(seen, listed, "{kind:?}");
            judged.push(kind);
        }
    }
    for kind in Kind::ALL.into_iter().filter(|kind| !judged.contains(kind)) {
        let checks = checks(kind, &limits, true);
        assert!(checks.enforced.is_empty() && checks.partly.is_empty() && checks.observed.is_empty());
    }
}

#[test]
fn what_is_called_enforced_denies_and_nothing_else_does() {
    // Names of malformed transactions, which VLS does not count among its rules; and blocks, which are no requests.
    let beside = ["policy-mutual-other"];
    let blocks = ["policy-chain-validated"];
    let cases = denied(node(1));
    let seen: BTreeSet<&str> =
        cases.iter().map(|(tag, _)| *tag).filter(|tag| !beside.contains(tag)).collect();
    let held = TAGS.iter().filter(|rule| matches!(rule.at_t0, AtT0::Enforced | AtT0::Partly(_)));
    let held: BTreeSet<&str> = held.map(|rule| rule.tag).filter(|tag| !blocks.contains(tag)).collect();
    assert_eq!(seen, held);
    // Whatever else those cases broke is a rule that is said to be held, too.
    for violation in cases.iter().flat_map(|(_, found)| found) {
        let tag = violation.tag.as_str();
        assert!(held.contains(tag) || beside.contains(&tag), "{violation:?}");
    }
}

/// The node's id stands wherever VLS demands a key of the peer's that is not known.
#[test]
fn no_key_that_is_not_known_changes_any_answer() {
    assert_eq!(denied(node(1)), denied(node(2)));
}

#[test]
fn the_handbook_has_the_same_table() {
    let handbook = include_str!("../../../../POLICY.md");
    let rows: BTreeMap<&str, &str> =
        handbook.lines().filter_map(|line| line.strip_prefix("| `policy-")?.split_once("` | ")).collect();
    assert_eq!(rows.len(), TAGS.len());
    for rule in TAGS {
        let name = rule.tag.strip_prefix("policy-").unwrap();
        let said = match rule.at_t0 {
            AtT0::Enforced => "enforced | |".to_owned(),
            AtT0::Partly(how) => format!("partly | {how} |"),
            AtT0::Elsewhere(what) => format!("not by VLS | {what} |"),
            AtT0::No(why) => format!("not enforceable | {why} |"),
        };
        assert_eq!(rows.get(name), Some(&said.as_str()), "{}", rule.tag);
    }
}
