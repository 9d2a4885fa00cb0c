//! Whatever is done to a journal, it is found, and the first bad leaf is named.

use crate::fixtures::{audit_key, events, export, journal, line, origin, sign};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use strongroom_audit::{
    Chain, ChainError, Decision, Digest, Event, ExportError, Head, Header, HeaderError, SignatureCheck,
    Trust, Verifier, verify, verify_export,
};

fn trusting_key() -> Trust {
    Trust { key: Some(audit_key()), heads: vec![] }
}

fn check(lines: &[Vec<u8>]) -> Result<strongroom_audit::Report, ExportError> {
    verify_export(lines.concat().as_slice(), &trusting_key())
}

/// The same key in another spelling is another header: nothing else would tell.
#[test]
fn the_headers_key_has_one_spelling() {
    let header = Header::new(origin(), Chain::genesis(&origin()), &audit_key()).to_line();
    Header::parse(header.as_bytes()).unwrap();
    let (before, key) = header.split_once("p256:").unwrap();
    let shouted = format!("{before}p256:{}", key.to_uppercase());
    assert_ne!(shouted, header, "the key has no letters");
    Header::parse(shouted.as_bytes()).unwrap_err();
}

/// A decision stands on the list of checks in force, under its own policy, and on no other leaf.
#[test]
fn a_decision_names_the_list_of_checks_in_force() {
    let list = |policy| Event::ChecksInForce { policy, tier: "T0".into(), checks: vec![] };
    let decision = |policy, checks| {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let drawn = crate::fixtures::decision().new_tree(&mut runner).unwrap().current();
        let Event::Decision(drawn) = drawn else { panic!("a decision was drawn") };
        Event::Decision(Decision { policy, checks, ..drawn })
    };
    let (policy, other) = (Digest([1; 32]), Digest([2; 32]));
    let verified = |from: usize, events: &[Event]| {
        let mut chain = Chain::genesis(&origin());
        let leaves: Vec<_> = events.iter().map(|event| chain.record(7, event.clone()).bytes).collect();
        let start = leaves[..from].iter().fold(Chain::genesis(&origin()), |mut chain, leaf| {
            chain.append(leaf);
            chain
        });
        let mut verifier = Verifier::new(start);
        leaves[from..].iter().try_for_each(|leaf| verifier.push(leaf).map(drop))
    };
    let whole = |events: &[Event]| verified(0, events);
    for (events, index, named, listed) in [
        (vec![decision(policy, Some(0))], 0, 0, None),
        (vec![list(policy), decision(policy, Some(1))], 1, 1, Some(0)),
        (vec![list(policy), decision(other, Some(0))], 1, 0, None),
        (vec![list(policy), list(policy), decision(policy, Some(0))], 2, 0, Some(1)),
    ] {
        match whole(&events).unwrap_err() {
            ChainError::Checks { index: i, named: n, listed: l } => {
                assert_eq!((i, n, l), (index, named, listed));
            }
            error => panic!("{error}"),
        }
    }
    whole(&[list(policy), decision(policy, Some(0)), decision(policy, None)]).unwrap();
    // The run begins after the list that the first decision names; later ones name what stands in the run.
    let run = [list(policy), decision(policy, Some(0)), list(other), decision(other, Some(2))];
    verified(1, &run).unwrap();
    let stale = [list(policy), decision(policy, Some(0)), list(other), decision(other, Some(0))];
    assert!(matches!(verified(1, &stale), Err(ChainError::Checks { index: 3, named: 0, listed: Some(2) })));
}

proptest! {
    #[test]
    fn untouched_passes(events in events()) {
        let (leaves, chain) = journal(events);
        let verified = verify(&origin(), &leaves, chain).unwrap();
        prop_assert_eq!((verified.from, verified.chain), (0, chain));
        let report = check(&export(&leaves, chain)).unwrap();
        prop_assert_eq!((report.size, report.head, report.signature), (chain.size, chain.head, SignatureCheck::Verified));
    }

    /// Not one bit of an export can change: header, leaf, head or signature.
    #[test]
    fn flipped_bit_is_found(events in events(), at in any::<Index>(), bit in 0..8_u8) {
        let (leaves, chain) = journal(events);
        let mut bytes = export(&leaves, chain).concat();
        // The last newline may be lost in a copy: it holds nothing.
        let at = at.index(bytes.len() - 1);
        bytes[at] ^= 1 << bit;
        prop_assert!(verify_export(bytes.as_slice(), &trusting_key()).is_err(), "flip at {} went unseen", at);
    }

    #[test]
    fn altered_leaf_is_named(events in events(), which in any::<Index>(), time in any::<u64>()) {
        let (mut leaves, chain) = journal(events);
        let which = which.index(leaves.len());
        let mut leaf = strongroom_audit::Leaf::parse(&leaves[which]).unwrap();
        prop_assume!(leaf.time != time);
        leaf.time = time;
        leaves[which] = leaf.encode();
        match verify(&origin(), &leaves, chain).unwrap_err() {
            ChainError::Altered { index, .. } => prop_assert_eq!(index, which as u64),
            ChainError::WrongHead { size, .. } => prop_assert_eq!(size, which as u64 + 1),
            other => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn dropped_leaf_is_named(events in events(), which in any::<Index>()) {
        let (mut leaves, chain) = journal(events);
        let which = which.index(leaves.len());
        leaves.remove(which);
        match verify(&origin(), &leaves, chain).unwrap_err() {
            ChainError::Gap { index, found } => prop_assert_eq!((index, found), (which as u64, which as u64 + 1)),
            ChainError::WrongSize { expected, found } => prop_assert_eq!((expected, found), (chain.size, which as u64)),
            other => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn repeated_leaf_is_named(events in events(), which in any::<Index>(), to in any::<Index>()) {
        let (mut leaves, chain) = journal(events);
        let (which, to) = (which.index(leaves.len()), to.index(leaves.len() + 1));
        leaves.insert(to, leaves[which].clone());
        // Found where it was put, or, put right before itself, one later.
        let first_bad = if to == which { to + 1 } else { to } as u64;
        match verify(&origin(), &leaves, chain).unwrap_err() {
            ChainError::Gap { index, .. } | ChainError::OutOfOrder { index, .. } => prop_assert_eq!(index, first_bad),
            other => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn swapped_leaves_are_named(events in events(), a in any::<Index>(), b in any::<Index>()) {
        let (mut leaves, chain) = journal(events);
        let (a, b) = (a.index(leaves.len()), b.index(leaves.len()));
        prop_assume!(a != b);
        leaves.swap(a, b);
        match verify(&origin(), &leaves, chain).unwrap_err() {
            ChainError::Gap { index, .. } => prop_assert_eq!(index, a.min(b) as u64),
            other => prop_assert!(false, "{}", other),
        }
    }

    /// The end cut off: without its head, and with the true head put back.
    #[test]
    fn cut_tail_is_found(events in events(), keep in any::<Index>()) {
        let (leaves, chain) = journal(events);
        let lines = export(&leaves, chain);
        let keep = 1 + keep.index(leaves.len());
        let no_head = check(&lines[..keep]).unwrap_err();
        prop_assert!(matches!(no_head, ExportError::NoHead { .. }), "{}", no_head);
        let with_head = check(&[&lines[..keep], &lines[lines.len() - 1..]].concat()).unwrap_err();
        let size = keep as u64 - 1;
        prop_assert!(
            matches!(with_head, ExportError::Leaf { error: ChainError::WrongSize { expected, found }, .. }
                if expected == chain.size && found == size),
            "{}", with_head
        );
    }

    /// Rewritten from some leaf on, all hashes made new and signed by the true key: only a head kept elsewhere tells.
    #[test]
    fn rewritten_past_is_found_by_a_kept_head(events in events(), at in any::<Index>()) {
        let (leaves, chain) = journal(events.clone());
        let kept = sign(Head::new(origin(), chain, 1));
        let mut other = events;
        let at = at.index(other.len());
        other[at].0 ^= 1;
        other.push((0, strongroom_audit::Event::Stopped { reason: "more".into() }));
        let (rewritten, longer) = journal(other);
        let lines = export(&rewritten, longer);
        prop_assert!(check(&lines).is_ok());
        let trust = Trust { key: Some(audit_key()), heads: vec![kept.clone()] };
        let error = verify_export(lines.concat().as_slice(), &trust).unwrap_err();
        let found_at = chain.size;
        prop_assert!(matches!(error, ExportError::Rewritten { size, .. } if size == found_at), "{}", error);

        // Rolled back to before the kept head.
        let shorter = leaves[..leaves.len() - 1].to_vec();
        let mut before = Chain::genesis(&origin());
        shorter.iter().for_each(|leaf| { before.append(leaf); });
        let error = verify_export(export(&shorter, before).concat().as_slice(), &trust).unwrap_err();
        prop_assert!(matches!(error, ExportError::RolledBack { .. }), "{}", error);

        // And the honest journal that grew past it passes.
        let mut grown = chain;
        let mut honest = leaves;
        honest.push(grown.record(0, strongroom_audit::Event::Stopped { reason: "more".into() }).bytes);
        let report = verify_export(export(&honest, grown).concat().as_slice(), &trust).unwrap();
        prop_assert_eq!(report.known_heads, 1);
    }
}

#[test]
fn another_key_is_refused() {
    let (leaves, chain) = journal(vec![(1, strongroom_audit::Event::Stopped { reason: "SIGTERM".into() })]);
    let bytes = export(&leaves, chain).concat();
    let key = strongroom_audit::AuditKey::p256(
        p256::ecdsa::SigningKey::from_slice(&[8; 32])
            .unwrap()
            .verifying_key()
            .to_encoded_point(true)
            .as_bytes(),
    )
    .unwrap();
    let error = verify_export(bytes.as_slice(), &Trust { key: Some(key), heads: vec![] }).unwrap_err();
    assert!(matches!(error, ExportError::Header(HeaderError::OtherKey { .. })), "{error}");
    let report = verify_export(bytes.as_slice(), &Trust::default()).unwrap();
    assert_eq!(report.signature, SignatureCheck::SelfNamedKey);
}

#[test]
fn nothing_follows_the_head() {
    let (leaves, chain) = journal(vec![(1, strongroom_audit::Event::Stopped { reason: "SIGTERM".into() })]);
    let mut lines = export(&leaves, chain);
    lines.push(b"\n".to_vec());
    assert!(matches!(check(&lines).unwrap_err(), ExportError::Trailing { line: 4 }));
}

#[test]
fn part_of_a_journal_verifies_from_its_start() {
    let stop = |n: u64| (n, strongroom_audit::Event::Stopped { reason: n.to_string() });
    let (leaves, chain) = journal((0..6).map(stop).collect());
    let mut start = Chain::genesis(&origin());
    leaves[..4].iter().for_each(|leaf| {
        start.append(leaf);
    });
    let mut lines = export(&leaves[4..], chain);
    lines[0] = line(strongroom_audit::Header::new(origin(), start, &audit_key()).to_line());
    let report = check(&lines).unwrap();
    assert_eq!((report.from, report.size), (4, 6));
    // An export that hides its first leaves by claiming to start later is still found.
    lines.remove(1);
    let error = check(&lines).unwrap_err();
    assert!(
        matches!(error, ExportError::Leaf { line: 2, error: ChainError::Gap { index: 4, found: 5 } }),
        "{error}"
    );
}
