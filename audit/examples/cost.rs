//! What recording costs: `cargo run --release -p strongroom-audit --example cost`.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use strongroom_audit::{
    Ask, Chain, Charge, Decision, Digest, Durability, Event, Origin, SignedInput, Spend, Verdict, Verifier,
};

fn main() {
    let origin: Origin = "strongroom/cost".parse().expect("printable ASCII");
    let event = Event::Decision(Decision {
        node: "alice".into(),
        client: "lnd-alice".into(),
        operation: "sign-psbt".into(),
        request: Digest([1; 32]),
        what: Ask::Spend(Spend {
            txid: "11".repeat(32),
            kind: "counterparty-commitment".into(),
            channel: Some(format!("{}:1", "22".repeat(32))),
            commitment: Some(1234),
            signed: vec![SignedInput {
                input: 0,
                outpoint: format!("{}:1", "22".repeat(32)),
                key: "{0/3}".into(),
                sighash: 1,
            }],
            spent_sat: 1_000_000,
            paid_out_sat: 0,
            fee_sat: Some(2810),
            detail: None,
        }),
        verdict: Verdict::Approved { charges: vec![Charge { allowance: "fees".into(), sat: 2810 }] },
        observed: vec![],
        policy: Digest([2; 32]),
        durability: Durability::Flushed,
        tier: Some("T0".into()),
        checks: Some(0),
    });
    let rounds = 200_000_u32;
    let events = vec![event; rounds as usize];
    let mut chain = Chain::genesis(&origin);
    let list = Event::ChecksInForce { policy: Digest([2; 32]), tier: "T0".into(), checks: vec![] };
    let list = chain.record(1_767_225_600_000, list).bytes;
    let mut leaves = Vec::with_capacity(events.len());
    let start = Instant::now();
    for event in events {
        leaves.push(black_box(chain.record(1_767_225_600_000, event)).bytes);
    }
    let recorded = start.elapsed() / rounds;
    let mut verifier = Verifier::new(Chain::genesis(&origin));
    verifier.push(&list).expect("just written");
    let start = Instant::now();
    for leaf in &leaves {
        black_box(verifier.push(leaf)).expect("just written");
    }
    let verified = start.elapsed() / rounds;
    println!("leaf of {} bytes: recorded in {recorded:?}, verified in {verified:?}", leaves[0].len());
}
