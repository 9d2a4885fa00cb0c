//! Journals to test with: random ones, and keys to sign their heads.

use p256::ecdsa::signature::hazmat::PrehashSigner;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use strongroom_audit::{
    Ask, AuditKey, Chain, Charge, Checks, ClassTally, Decision, Digest, Durability, Event, Gossip, Head,
    Header, Origin, SignedHead, SignedInput, Spend, TurnedAwayTally, Verdict, Violation, head_line,
};

pub fn origin() -> Origin {
    "strongroom/test".parse().unwrap()
}

/// The key an HSM would hold.
pub fn signing_key() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap()
}

pub fn audit_key() -> AuditKey {
    AuditKey::p256(signing_key().verifying_key().to_encoded_point(true).as_bytes()).unwrap()
}

pub fn sign(head: Head) -> SignedHead {
    let signature: p256::ecdsa::Signature = signing_key().sign_prehash(&head.digest()).unwrap();
    SignedHead::new(head, &audit_key(), signature.to_bytes().into()).unwrap()
}

/// Encoded leaves and the chain over them. What names a list of checks names the one in force, as the daemon's does.
pub fn journal(events: Vec<(u64, Event)>) -> (Vec<Vec<u8>>, Chain) {
    let mut chain = Chain::genesis(&origin());
    let mut in_force = None;
    let leaves = events.into_iter().map(|(time, mut event)| {
        match &mut event {
            Event::ChecksInForce { policy, .. } => in_force = Some((chain.size, *policy)),
            Event::Decision(Decision { policy, checks, .. })
            | Event::Gossip(Gossip { policy, checks, .. }) => {
                *checks = in_force.map(|(index, _)| index);
                *policy = in_force.map_or(*policy, |(_, listed)| listed);
            }
            _ => {}
        }
        chain.record(time, event).bytes
    });
    (leaves.collect(), chain)
}

/// A whole export, a line per item, each with its newline.
pub fn export(leaves: &[Vec<u8>], chain: Chain) -> Vec<Vec<u8>> {
    let header = Header::new(origin(), Chain::genesis(&origin()), &audit_key()).to_line();
    let head = head_line(&sign(Head::new(origin(), chain, 1_767_225_600_000)));
    let mut lines = vec![line(header)];
    lines.extend(leaves.iter().map(|leaf| line(leaf.clone())));
    lines.push(line(head));
    lines
}

/// The text and its newline.
pub fn line(text: impl Into<Vec<u8>>) -> Vec<u8> {
    let mut line = text.into();
    line.push(b'\n');
    line
}

pub fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    vec((any::<u64>(), event()), 1..12)
}

pub fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn violations() -> impl Strategy<Value = Vec<Violation>> {
    vec(("[a-z-]{1,20}", any::<String>(), any::<String>()), 0..4)
        .prop_map(|all| all.into_iter().map(|(tag, value, limit)| Violation { tag, value, limit }).collect())
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        vec(("outflow|fees", any::<u64>()), 0..3).prop_map(|charges| Verdict::Approved {
            charges: charges.into_iter().map(|(allowance, sat)| Charge { allowance, sat }).collect()
        }),
        option::of(any::<u64>()).prop_map(|first| Verdict::Repeated { first }),
        violations().prop_map(|enforced| Verdict::Refused { enforced }),
    ]
}

fn spend() -> impl Strategy<Value = Ask> {
    let input = (any::<u32>(), "[0-9a-f]{64}:[0-9]", "[{}0-9/]{5}", any::<u32>())
        .prop_map(|(input, outpoint, key, sighash)| SignedInput { input, outpoint, key, sighash });
    let texts = ("[0-9a-f]{64}", "[a-z-]{1,20}", option::of("[0-9a-f]{64}:1"), option::of(any::<String>()));
    let numbers = (option::of(any::<u64>()), any::<u64>(), any::<u64>(), option::of(any::<u64>()));
    (texts, numbers, vec(input, 0..3)).prop_map(|((txid, kind, channel, detail), numbers, signed)| {
        let (commitment, spent_sat, paid_out_sat, fee_sat) = numbers;
        Ask::Spend(Spend {
            txid,
            kind,
            channel,
            commitment,
            signed,
            spent_sat,
            paid_out_sat,
            fee_sat,
            detail,
        })
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        3 => spend(),
        1 => ("6/0", "[a-z-]{4,12}", option::of(any::<String>()))
            .prop_map(|(key, kind, detail)| Ask::Message { key, kind, detail }),
        1 => ("6/0", any::<String>()).prop_map(|(key, purpose)| Ask::Ecdh { key, purpose }),
        1 => ("0/3", "create|sign").prop_map(|(key, step)| Ask::Musig2 { key, step }),
        1 => any::<String>().prop_map(|why| Ask::Malformed { why }),
    ]
}

fn checks() -> impl Strategy<Value = Checks> {
    ("[a-z -]{1,30}", vec("[a-z-]{1,20}", 0..3), vec("[a-z-]{1,20}", 0..3)).prop_map(
        |(class, enforced, not_enforceable)| Checks { class, enforced, not_enforceable, ..Checks::default() },
    )
}

pub fn decision() -> impl Strategy<Value = Event> {
    let durability = prop_oneof![Just(Durability::Flushed), Just(Durability::Deferred)];
    let tier = (option::of("T0|T1"), option::of(any::<u64>()));
    (any::<String>(), digest(), ask(), verdict(), violations(), digest(), durability, tier).prop_map(
        |(client, request, what, verdict, observed, policy, durability, (tier, checks))| {
            let (node, operation) = ("alice".to_owned(), "sign-psbt".to_owned());
            Event::Decision(Decision {
                node,
                client,
                operation,
                request,
                what,
                verdict,
                observed,
                policy,
                durability,
                tier,
                checks,
            })
        },
    )
}

pub fn event() -> impl Strategy<Value = Event> {
    let gossip = (any::<(u64, u64)>(), digest(), vec(("[a-z]{4}", vec(digest(), 0..4)), 0..3));
    let gossip = gossip.prop_map(|((from, until), policy, classes)| {
        let tally = |(class, requests): (String, Vec<Digest>)| {
            let mut tally = ClassTally::new(class);
            requests.iter().for_each(|request| tally.count(request));
            tally
        };
        let classes = classes.into_iter().map(tally).collect();
        Event::Gossip(Gossip {
            node: "alice".into(),
            client: "lnd".into(),
            from,
            until,
            policy,
            checks: None,
            classes,
            refused: Vec::new(),
        })
    });
    prop_oneof![
        4 => decision(),
        1 => gossip,
        1 => (any::<String>(), digest())
            .prop_map(|(version, policy)| Event::Started { version, network: "regtest".into(), policy }),
        1 => any::<String>().prop_map(|reason| Event::Stopped { reason }),
        1 => any::<(String, String)>().prop_map(|(token, audit_key)| Event::Initialised { token, audit_key }),
        1 => any::<Vec<String>>().prop_map(|nodes| Event::Unsealed { nodes }),
        1 => any::<String>().prop_map(|reason| Event::Sealed { reason }),
        1 => any::<(String, String)>().prop_map(|(identity, seed_origin)| Event::NodeAdded {
            node: "alice".into(), identity, seed_origin
        }),
        1 => (digest(), any::<Vec<String>>()).prop_map(|(policy, observed_rules)| Event::PolicyLoaded {
            policy, profile: "cautious".into(), observed_rules
        }),
        1 => (digest(), vec(checks(), 0..3))
            .prop_map(|(policy, checks)| Event::ChecksInForce { policy, tier: "T0".into(), checks }),
        1 => any::<(String, Option<u64>, Option<String>)>().prop_map(|(id, expires, address)| Event::MacaroonMinted {
            id, node: "alice".into(), client: "lnd".into(), expires, address
        }),
        1 => any::<String>().prop_map(|id| Event::MacaroonRevoked { id }),
        1 => any::<u32>().prop_map(|index| Event::LookaheadMoved {
            node: "alice".into(), branch: "m/84'/0'/0'/1".into(), index
        }),
        1 => any::<(u64, u32, u64, String)>().prop_map(|(sat, max_attempts, expires, label)| {
            Event::PaymentAuthorized {
                node: "alice".into(), payment_hash: "00".into(), sat, max_attempts, expires, label
            }
        }),
        1 => any::<(String, u64, u64)>().prop_map(|(channel, at_least_sat, expires)| {
            Event::CloseAllowed { node: "alice".into(), channel, at_least_sat, expires }
        }),
        1 => any::<(u64, Vec<(String, Option<String>, Option<String>, u64)>)>().prop_map(|(until, tallies)| {
            let tally = |(why, who, address, requests)| TurnedAwayTally { why, who, address, requests };
            Event::TurnedAway { from: 0, until, tallies: tallies.into_iter().map(tally).collect() }
        }),
    ]
}
