//! The three oracles that would undo every other rule are closed under the cautious profile, each by more than one.

use crate::case::*;
use crate::fixture::*;
use crate::{Facts, Network, Policy, Profile};

/// Tags of the enforced rules that refuse a case.
fn refusing(policy: &Policy, case: &Case) -> Vec<String> {
    let verdict = policy.decide(case, &Facts { open_reservations: 9, ..announcing(1, None, 5) });
    assert_eq!(verdict.allowed(), verdict.enforced.is_empty());
    assert!(verdict.observed.is_empty());
    verdict.enforced.into_iter().map(|violation| violation.tag).collect()
}

#[test]
fn musig2_with_a_nonce_from_the_client_exports_no_key() {
    for step in [Musig2Step::Create, Musig2Step::Sign] {
        let tags = refusing(&cautious(), &musig2(true, step));
        for tag in ["grant", "musig2", "musig2-nonce"] {
            assert!(tags.contains(&tag.to_owned()), "{tags:?}");
        }
    }
    // An operator who turns MuSig2 on and grants it has still the nonce rule.
    let text = edited_text(Profile::Cautious.render(Network::Regtest), "musig2", "enabled", true);
    let text = edited_text(text, "musig2", "max_sessions", 5)
        + "\n[[grants]]\nclient = \"lnd\"\nnode = \"*\"\noperations = [\"musig2\"]\nkeys = [\"multisig\"]\n";
    let policy = Policy::from_toml(&text).expect("a policy");
    assert_eq!(refusing(&policy, &musig2(true, Musig2Step::Create)), ["musig2-nonce"]);
    assert!(refusing(&policy, &musig2(false, Musig2Step::Create)).is_empty());
}

#[test]
fn a_message_that_may_be_a_sighash_is_signed_by_no_key() {
    for looks_like in ["BIP143 sighash preimage", "BIP341 sighash", ""] {
        for family in 0..=10 {
            let kind = MessageKind::Unknown { looks_like: looks_like.into() };
            let tags = refusing(&cautious(), &message(locator(family, 0), kind));
            assert!(tags.contains(&"message-kind".to_owned()), "{tags:?}");
        }
    }
    // A Schnorr signature, or one under a tweaked key, not even on a known kind.
    for (schnorr, tap_tweak) in [(true, false), (false, true), (true, true)] {
        let ask = MessageAsk { key: locator(6, 0), kind: MessageKind::NodeAnnouncement, schnorr, tap_tweak };
        assert!(refusing(&cautious(), &case(Ask::Message(ask))).contains(&"message-form".to_owned()));
    }
    // A funding key signs the announcement that names it and nothing else.
    let announcement = |names_key| message(locator(0, 3), MessageKind::ChannelAnnouncement { names_key });
    assert_eq!(refusing(&cautious(), &announcement(false)), ["message-key"]);
    assert!(refusing(&cautious(), &announcement(true)).is_empty());
}

#[test]
fn a_transaction_that_fits_no_purpose_is_signed_by_no_key() {
    let unknown = spend_case(Spend::Unknown { why: "script does not hold the key".into() }, vec![to_us(5)]);
    let tags = refusing(&cautious(), &unknown);
    assert_eq!(tags, ["unknown-spend", "spend-key"]);
    // A channel's funding output as the input of a "wallet spend" to ourselves.
    let mut ask = spend(Spend::Onchain, vec![to_us(9_999_000)]);
    ask.signed[0].key = key(0);
    ask.signed[0].lock = Lock::P2wsh;
    assert!(refusing(&cautious(), &case(Ask::Spend(ask))).contains(&"spend-key".to_owned()));
}

#[test]
fn channel_keys_answer_no_ecdh() {
    for family in [0, 1, 2, 3, 4, 7, 10, 4_000_000_000] {
        assert!(!refusing(&cautious(), &ecdh(locator(family, 0), Some(locator(0, 1)))).is_empty());
    }
    assert_eq!(refusing(&cautious(), &ecdh(locator(5, 1), None)), ["reservation-root"]);
}

#[test]
fn all_violations_are_told_not_the_first() {
    let mut ask = spend(Spend::Onchain, vec![to_stranger(20_000_000), to_funding(20_000_000)]);
    ask.inputs[0].evidence = Evidence::Claimed;
    ask.inputs[0].amount = sat(50_000_000);
    ask.signed[0].sighash = 0x82;
    let tags = refusing(&edited("channels", "max_unmatched_funding_count", 0), &case(Ask::Spend(ask)));
    let expected = [
        "sighash",
        "input-evidence",
        "outflow-per-transaction",
        "outflow-window",
        "fee-cap",
        "fee-rate",
        "fee-window",
        "channel-capacity",
        "unmatched-funding",
    ];
    assert_eq!(tags, expected);
}

#[test]
fn observed_violations_do_not_refuse_but_are_told() {
    let lab = Policy::from_toml(&Profile::Lab.render(Network::Regtest)).expect("a policy");
    for asked in [
        onchain(vec![to_stranger(90_000_000)]),
        spend_case(Spend::Unknown { why: "?".into() }, vec![to_us(5)]),
        message(locator(3, 0), MessageKind::Unknown { looks_like: "?".into() }),
        ecdh(locator(0, 0), None),
    ] {
        let (loose, strict) = (lab.decide(&asked, &known()), cautious().decide(&asked, &known()));
        assert!(loose.allowed() && !strict.allowed());
        assert_eq!(loose.observed, strict.enforced);
        assert_eq!(loose.charges, strict.charges);
    }
}
