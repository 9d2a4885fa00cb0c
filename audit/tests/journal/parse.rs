//! Reading: one spelling for each value, and no input that panics or fills the memory.

use crate::fixtures::{audit_key, digest, event, export, journal as journal_of, line, origin, sign};
use proptest::prelude::*;
use proptest::sample::Index;
use strongroom_audit::{
    Ask, AuditKey, Chain, ChainHash, Decision, Digest, Durability, Event, ExportError, Head, Header,
    LEAF_BYTES_MAX, Leaf, LeafError, SignedHead, SignedInput, Spend, Trust, Verdict, Violation,
    verify_export,
};

proptest! {
    #[test]
    fn leaf_roundtrip(time in any::<u64>(), event in event()) {
        let recorded = Chain::genesis(&origin()).record(time, event.clone());
        prop_assert!(!recorded.bytes.contains(&b'\n'));
        let read = Leaf::parse(&recorded.bytes).unwrap();
        prop_assert_eq!(&read, &recorded.leaf);
        prop_assert_eq!(read.event, event);
        prop_assert_eq!(Leaf::hash(&recorded.bytes), recorded.hash);
    }

    #[test]
    fn head_roundtrip(size in any::<u64>(), hash in any::<[u8; 32]>(), time in any::<u64>()) {
        let chain = Chain { size, head: ChainHash(hash) };
        let signed = sign(Head::new(origin(), chain, time));
        let read = SignedHead::parse(&signed.to_text()).unwrap();
        prop_assert_eq!(&read, &signed);
        prop_assert_eq!(read.verify(&audit_key()).unwrap().chain(), chain);
    }

    /// The texts that are bound to be read from strangers: random bytes, and good text with bytes put over it.
    #[test]
    fn garbage_never_panics(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        let _ = Leaf::parse(&bytes);
        let _ = Header::parse(&bytes);
        let _ = SignedHead::parse(&text);
        let _ = text.parse::<AuditKey>();
        let _ = format!("p256:{text}").parse::<AuditKey>();
        let _ = verify_export(bytes.as_slice(), &Trust::default());
    }

    #[test]
    fn damaged_text_never_panics(
        event in event(), cut in any::<Index>(), damage in any::<Vec<u8>>(), at in any::<Index>()
    ) {
        let (leaves, chain) = journal_of(vec![(1, event)]);
        let mut bytes = export(&leaves, chain).concat();
        let at = at.index(bytes.len());
        bytes.splice(at..at, damage);
        bytes.truncate(cut.index(bytes.len()));
        let _ = verify_export(bytes.as_slice(), &Trust::default());
        let head = sign(Head::new(origin(), chain, 1)).to_text();
        let boundary = head.floor_char_boundary(cut.index(head.len()));
        prop_assert!(SignedHead::parse(&head[..boundary]).is_err());
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the event, its leaf fits a tlog-tiles entry and reads back.
    #[test]
    fn large_events_are_cut_to_fit(
        texts in proptest::collection::vec("[\u{0}\u{1f}\"€]{0,2000}", 1..60), request in digest()
    ) {
        let all: Vec<_> = texts
            .iter()
            .map(|t| Violation { tag: t.clone(), value: t.clone(), limit: t.clone() })
            .collect();
        let input = |t: &String| SignedInput { input: 0, outpoint: t.clone(), key: t.clone(), sighash: 1 };
        let text = || texts[0].clone();
        let what = Ask::Spend(Spend {
            txid: text(), kind: text(), channel: Some(text()), commitment: None, spent_sat: 0, paid_out_sat: 0,
            fee_sat: None, detail: Some(text()), signed: texts.iter().map(input).collect(),
        });
        let recorded = Chain::genesis(&origin()).record(1, Event::Decision(Decision {
            node: text(), client: text(), operation: text(), request, what, policy: request,
            verdict: Verdict::Refused { enforced: all.clone() }, observed: all, durability: Durability::Flushed,
            tier: Some(text()), checks: Some(u64::MAX),
        }));
        prop_assert!(recorded.bytes.len() <= LEAF_BYTES_MAX, "{} bytes", recorded.bytes.len());
        prop_assert_eq!(Leaf::parse(&recorded.bytes).unwrap(), recorded.leaf);
    }
}

fn stopped() -> String {
    let leaf = Chain::genesis(&origin()).record(1, Event::Stopped { reason: "SIGTERM".into() });
    String::from_utf8(leaf.bytes).unwrap()
}

#[test]
fn other_spellings_are_refused() {
    let good = stopped();
    assert!(Leaf::parse(good.as_bytes()).is_ok());
    for bad in [
        good.replace("\"index\":0", "\"index\": 0"),
        good.replace("SIGTERM", "\\u0053IGTERM"),
        good.replace("\"v\":1,\"index\":0", "\"index\":0,\"v\":1"),
        good.replace("\"event\"", "\"clipped\":false,\"event\""),
        format!("{good} "),
    ] {
        assert!(matches!(Leaf::parse(bad.as_bytes()), Err(LeafError::NotCanonical)), "{bad}");
    }
    let unknown = good.replace("\"event\"", "\"more\":1,\"event\"");
    assert!(matches!(Leaf::parse(unknown.as_bytes()), Err(LeafError::Syntax(_))));
    let newer = good.replace("\"v\":1", "\"v\":2");
    assert!(matches!(Leaf::parse(newer.as_bytes()), Err(LeafError::Version { found: 2 })));
    let upper = good.replace(|c: char| ('a'..='f').contains(&c), "A");
    assert!(Leaf::parse(upper.as_bytes()).is_err());
}

#[test]
fn an_endless_line_is_refused_without_reading_it() {
    let endless = std::io::BufReader::new(std::io::repeat(b'a'));
    let error = verify_export(endless, &Trust::default()).unwrap_err();
    assert!(matches!(error, ExportError::LineTooLong { line: 1 }), "{error}");
}

#[test]
fn an_export_that_claims_to_start_at_the_end_of_numbers_is_only_refused() {
    let mut last = Chain { size: u64::MAX, head: ChainHash([0; 32]) };
    let header = Header::new(origin(), last, &audit_key()).to_line();
    let leaf = last.record(1, Event::Stopped { reason: "SIGTERM".into() }).bytes;
    let text = [line(header), line(leaf)].concat();
    let error = verify_export(text.as_slice(), &Trust::default()).unwrap_err();
    assert!(matches!(error, ExportError::NoHead { size: u64::MAX }), "{error}");
}

/// The format is kept by others: a change here is a new version, not an edit of this test.
#[test]
fn format_vector() {
    let request = Digest([0xab; 32]);
    let mut chain = Chain::genesis(&origin());
    assert_eq!(chain.head.to_string(), GENESIS);
    let recorded = chain.record(
        1_767_225_600_000,
        Event::Decision(Decision {
            node: "alice".into(),
            client: "lnd".into(),
            operation: "sign-psbt".into(),
            request,
            what: Ask::Spend(Spend {
                txid: "11".repeat(32),
                kind: "onchain".into(),
                channel: None,
                commitment: None,
                signed: vec![SignedInput {
                    input: 0,
                    outpoint: format!("{}:1", "22".repeat(32)),
                    key: "m/84'/0'/0'/0/5".into(),
                    sighash: 1,
                }],
                spent_sat: 2_000_000,
                paid_out_sat: 1_500_000,
                fee_sat: Some(200),
                detail: None,
            }),
            verdict: Verdict::Refused {
                enforced: vec![Violation {
                    tag: "onchain-destination".into(),
                    value: "1,500,000 sat to bcrt1q…".into(),
                    limit: "at most 1,000,000 sat per transaction".into(),
                }],
            },
            observed: vec![],
            policy: Digest([0xcd; 32]),
            durability: Durability::Flushed,
            tier: None,
            checks: None,
        }),
    );
    assert_eq!(String::from_utf8(recorded.bytes).unwrap(), LEAF);
    assert_eq!(recorded.hash.to_string(), LEAF_HASH);
    assert_eq!(chain.head.to_string(), HEAD);
}

/// Leaves from before there were tiers are read, and written again, as they were; those with a tier name it last.
#[test]
fn a_tier_is_added_to_a_leaf_and_no_old_leaf_is_changed() {
    let old = Leaf::parse(LEAF.as_bytes()).unwrap();
    let Event::Decision(mut decision) = old.event else { panic!("not a decision") };
    assert_eq!((decision.tier.as_deref(), decision.checks), (None, None));
    assert_eq!(decision.class().as_deref(), Some("sign-psbt onchain"));
    decision.tier = Some("T0".into());
    decision.checks = Some(2);
    let new = Chain::genesis(&origin()).record(old.time, Event::Decision(decision)).bytes;
    let text = String::from_utf8(new.clone()).unwrap();
    assert_eq!(text, LEAF.replace(r#""flushed"}}}"#, r#""flushed","tier":"T0","checks":2}}}"#));
    assert_eq!(Leaf::parse(&new).unwrap().encode(), new);
}

// Computed from the description with another program, not with this crate.
const GENESIS: &str = "7c28c59f0e26c716e0bf92b189c39b70abe05bc069f99d440b15b59e2858b44d";
const LEAF: &str = r#"{"v":1,"index":0,"time":1767225600000,"prev":"7c28c59f0e26c716e0bf92b189c39b70abe05bc069f99d440b15b59e2858b44d","event":{"decision":{"node":"alice","client":"lnd","operation":"sign-psbt","request":"abababababababababababababababababababababababababababababababab","what":{"spend":{"txid":"1111111111111111111111111111111111111111111111111111111111111111","kind":"onchain","signed":[{"input":0,"outpoint":"2222222222222222222222222222222222222222222222222222222222222222:1","key":"m/84'/0'/0'/0/5","sighash":1}],"spent_sat":2000000,"paid_out_sat":1500000,"fee_sat":200}},"verdict":{"refused":{"enforced":[{"tag":"onchain-destination","value":"1,500,000 sat to bcrt1q…","limit":"at most 1,000,000 sat per transaction"}]}},"observed":[],"policy":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","durability":"flushed"}}}"#;
const LEAF_HASH: &str = "c59329cf53eb040f81699da283203c2b5bc164a055a133c103839d981e065078";
const HEAD: &str = "fe13ae72dc24ede4f49070a2694d78e44ad082cea27a0393b64c81aef204ac90";

#[test]
fn both_curves_verify_high_and_low_s() {
    let head = Head::new(origin(), Chain::genesis(&origin()), 5);
    let secret = secp256k1::SecretKey::from_slice(&[9; 32]).unwrap();
    let key = AuditKey::secp256k1(&secret.public_key(secp256k1::SECP256K1).serialize()).unwrap();
    let message = secp256k1::Message::from_digest(head.digest());
    let low = secp256k1::SECP256K1.sign_ecdsa(&message, &secret).serialize_compact();
    let mut high = low;
    // s -> n - s
    let s = secp256k1::SecretKey::from_slice(&low[32..]).unwrap().negate();
    high[32..].copy_from_slice(&s.secret_bytes());
    for signature in [low, high] {
        let signed = SignedHead::new(head.clone(), &key, signature).unwrap();
        assert_eq!(signed.verify(&key).unwrap(), &head);
        assert!(signed.verify(&audit_key()).is_err());
    }
    let mut wrong = low;
    wrong[40] ^= 1;
    assert!(SignedHead::new(head, &key, wrong).is_err());
    assert_eq!(key.to_string().parse::<AuditKey>().unwrap(), key);
}
