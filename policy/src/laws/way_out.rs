//! The way out is never closed: what may refuse a request that brings money home is on a short list, each with its reason.

use std::collections::BTreeSet;

use crate::fixture::*;
use crate::{Kind, Policy, rules};

/// The rules that may refuse a closing request, the kinds they may refuse, and why an honest LND gets home all the same.
/// An alarm refuses nothing and is not among them.
const MAY_REFUSE: &[(&str, &[Kind], &str)] = &[
    (
        "grant",
        &Kind::CLOSING,
        "who may ask at all: the node's own client is granted all closing calls and keys",
    ),
    ("unknown-spend", &[Kind::UnknownSpend], "no closing transaction of lnd's is unknown"),
    ("spend-key", &Kind::CLOSING, "lnd signs each kind with one key; another opens nothing of it"),
    (
        "sighash",
        &Kind::CLOSING,
        "lnd signs its closing transactions with ALL; what is signed otherwise is anybody's",
    ),
    ("taproot", &Kind::CLOSING, "no taproot channel is opened here"),
    ("input-evidence", &Kind::CLOSING, "only beside a sighash other than ALL"),
    ("amount-conflict", &Kind::CLOSING, "one of two amounts is false, and so is its signature"),
    ("fee-cap", &Kind::CLOSING, "half of what is claimed, and a wallet spend's cap at least"),
    ("fee-rate", WITH_FEES, "above all that lnd bids by itself"),
    ("fee-window", WITH_FEES, "a window of closing's own, as large as half of all channels"),
    (
        "outflow-per-transaction",
        &[Kind::HolderCommitment],
        "a push out of a channel that was funded here and of which lnd has no commitment of the peer's: never published",
    ),
    ("outflow-window", &[Kind::HolderCommitment], "the same"),
    ("channel-known", &[Kind::MutualClose], "close by force"),
    ("mutual-close-balance", &[Kind::MutualClose], "close by force"),
    ("mutual-close-htlcs", &[Kind::MutualClose], "close by force, or when the last HTLC is gone"),
    ("closing-destination", COLLECTING, "lnd's own addresses are found, and others can be allowed"),
];

const WITH_FEES: &[Kind] = &[
    Kind::HolderHtlc,
    Kind::MutualClose,
    Kind::SweepDelayed,
    Kind::SweepToRemote,
    Kind::SweepCounterpartyHtlc,
    Kind::SweepAnchor,
    Kind::Justice,
    Kind::UnknownSpend,
];
const COLLECTING: &[Kind] = &[
    Kind::HolderHtlc,
    Kind::SweepDelayed,
    Kind::SweepToRemote,
    Kind::SweepCounterpartyHtlc,
    Kind::SweepAnchor,
    Kind::Justice,
];

/// Policies under which every rule has something to refuse.
fn policies() -> [Policy; 4] {
    [
        cautious(),
        edited("channels", "require_tier", "\"T2\""),
        edited("channels", "require_psbt_funding", true),
        listing(&[1]),
    ]
}

#[test]
fn what_may_refuse_a_closing_request_is_listed_with_its_reason() {
    let mut used = BTreeSet::new();
    for kind in Kind::CLOSING {
        for policy in policies() {
            // Another test holds that these are all which can refuse the kind.
            for tag in policy.checks(kind, true).enforced {
                let listed =
                    MAY_REFUSE.iter().any(|(rule, kinds, _)| *rule == tag.0 && kinds.contains(&kind));
                assert!(listed, "{tag} closes the way out: it can refuse {}", kind.as_str());
                used.insert((tag.0, kind));
            }
        }
    }
    for (rule, kinds, _) in MAY_REFUSE {
        assert!(rules::by_tag(rule).is_some_and(|rule| !rule.is_alarm()), "{rule}");
        assert!(
            kinds.iter().all(|kind| used.contains(&(*rule, *kind))),
            "{rule}: listed for what it never refuses"
        );
    }
}
