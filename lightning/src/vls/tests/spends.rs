//! Spends of the wallet, and sweeps.

use bitcoin::{ScriptBuf, Transaction, Weight};
use strongroom_policy::case::{Evidence, Lock, Tweak};
use strongroom_policy::{
    Destination, InputFact, OutputFact, SignedInput, Spend, SpendAsk, SweepOf, WalletPath,
};

use super::blocks::Miner;
use super::closes::Home;
use super::*;

/// An output with whose it is.
fn to(amount: u64, script: &ScriptBuf, to: Destination) -> OutputFact {
    OutputFact { amount: sat(amount), script_pubkey: script.clone(), to }
}

/// A spend of one million of ours.
fn ask(spend: Spend, outputs: Vec<OutputFact>) -> (Transaction, SpendAsk) {
    let paid = outputs.iter().map(|output| pays(output.amount.to_sat(), &output.script_pubkey)).collect();
    let transaction = transaction(&[(outpoint(3), 0xffff_fffd)], paid, 0);
    let ask = SpendAsk {
        txid: transaction.compute_txid(),
        spend,
        signed: vec![SignedInput {
            index: 0,
            key: wallet(84, 0, 1),
            lock: Lock::P2wpkh,
            sighash: 1,
            tweak: Tweak::None,
        }],
        inputs: vec![InputFact {
            outpoint: outpoint(3),
            amount: sat(1_000_000),
            script_pubkey: stranger(0),
            sequence: 0xffff_fffd,
            evidence: Evidence::Committed,
        }],
        outputs,
        weight: Weight::from_wu(561),
        claimed: sat(0),
    };
    (transaction, ask)
}

fn own() -> Destination {
    Destination::OwnWallet(WalletPath { purpose: 84, branch: 0, index: 3 })
}

pub(super) fn onchain_denied(node: PublicKey) -> Vec<(&'static str, Vec<Violation>)> {
    let home = Home::new();
    let vls = Vls::new(limits(), Network::Regtest, node);
    let judge = |(transaction, ask): (Transaction, SpendAsk)| vls.onchain(&transaction, &ask, home.places());
    let ours = home.ours();
    let back = |amount| to(amount, &ours, own());
    let old = {
        let (mut transaction, ask) = ask(Spend::Onchain, vec![back(999_000)]);
        transaction.version = bitcoin::transaction::Version(3);
        (transaction, ask)
    };
    let weightless = {
        let (transaction, mut ask) = ask(Spend::Onchain, vec![back(999_000)]);
        ask.weight = Weight::ZERO;
        (transaction, ask)
    };
    let many = (0..1_000).map(|n| to(1, &stranger(n), Destination::Stranger)).collect();
    let swept = |of| ask(Spend::Sweep(of), vec![to(999_000, &stranger(1), Destination::Stranger)]);
    vec![
        ("policy-onchain-format-standard", judge(old)),
        ("policy-onchain-format-standard", judge(ask(Spend::Onchain, vec![back(1_000_001)]))),
        ("policy-onchain-max-size", judge(ask(Spend::Onchain, many))),
        ("policy-onchain-fee-range", judge(ask(Spend::Onchain, vec![back(800_000)]))),
        ("policy-onchain-fee-range", judge(weightless)),
        ("policy-onchain-no-unknown-outputs", judge(swept(SweepOf::ToRemote))),
        ("policy-onchain-no-unknown-outputs", judge(swept(SweepOf::Anchor))),
        // It is not ours because somebody says so.
        (
            "policy-onchain-no-unknown-outputs",
            judge(ask(Spend::Onchain, vec![to(999_000, &stranger(1), own())])),
        ),
    ]
}

#[test]
fn wallet_spends() {
    assert_denied(&onchain_denied(node(1)));
    let (home, vls) = (Home::new(), vls());
    let (ours, reserve) = (home.ours(), Home::reserve());
    let onchain = |outputs| ask(Spend::Onchain, outputs);
    for (transaction, ask) in [
        onchain(vec![to(999_000, &ours, own())]),
        onchain(vec![to(500_000, &reserve, Destination::Stranger), to(499_000, &ours, own())]),
        // Left to [outflow], and to the channels' rules.
        onchain(vec![to(999_000, &stranger(1), Destination::Stranger)]),
        onchain(vec![to(999_000, &stranger(1), Destination::MaybeFunding)]),
        ask(Spend::Sweep(SweepOf::ToRemote), vec![to(999_000, &ours, own())]),
        ask(Spend::Sweep(SweepOf::Anchor), vec![to(999_000, &reserve, Destination::Stranger)]),
    ] {
        assert_eq!(vls.onchain(&transaction, &ask, home.places()), [], "{:?}", ask.spend);
        let old = Transaction { version: bitcoin::transaction::Version::ONE, ..transaction };
        assert_eq!(vls.onchain(&old, &ask, home.places()), [], "lnd's wallet makes version 1");
    }
}

fn delayed(csv: u16) -> ScriptBuf {
    let csv = csv.to_le_bytes();
    let (revocation, key) = (Seed::new(5).bytes(0, 0), Seed::new(5).bytes(0, 1));
    let bytes = [&[0x63, 33][..], &revocation, &[0x67, 2], &csv, &[0xb2, 0x75, 33], &key, &[0x68, 0xac]];
    ScriptBuf::from(bytes.concat())
}

/// An HTLC on the peer's commitment, anchors.
fn htlc(offered_by_us: Option<u32>) -> ScriptBuf {
    let (remote, local) = (Seed::new(5).bytes(2, 0), Seed::new(5).bytes(2, 1));
    let head =
        [&[0x76, 0xa9, 20][..], &[7; 20], &[0x87, 0x63, 0xac, 0x67, 33], &remote, &[0x7c, 0x82, 1, 32, 0x87]];
    let body = match offered_by_us {
        Some(cltv) => [
            &[0x63, 0xa9, 20][..],
            &[8; 20],
            &[0x88, 0x52, 0x7c, 33],
            &local,
            &[0x52, 0xae, 0x67, 0x75, 2],
            &u16::try_from(cltv).unwrap().to_le_bytes(),
            &[0xb1, 0x75, 0xac, 0x68],
        ]
        .concat(),
        None => [
            &[0x64, 0x75, 0x52, 0x7c, 33][..],
            &local,
            &[0x52, 0xae, 0x67, 0xa9, 20],
            &[8; 20],
            &[0x88, 0xac, 0x68],
        ]
        .concat(),
    };
    ScriptBuf::from([&head.concat()[..], &body, &[0x51, 0xb2, 0x75, 0x68]].concat())
}

/// A sweep of 100,000 sat beside `others`, which come first.
fn swept(
    script: &ScriptBuf,
    sequence: u32,
    lock_time: u32,
    to: &ScriptBuf,
    others: usize,
) -> (Transaction, ScriptBuf) {
    let mut inputs = vec![(outpoint(9), 1); others];
    inputs.push((outpoint(4), sequence));
    (transaction(&inputs, vec![pays(99_000, to)], lock_time), script.clone())
}

fn judged(
    vls: &Vls,
    home: &Home,
    justice: bool,
    (transaction, script): &(Transaction, ScriptBuf),
) -> Vec<Violation> {
    let index = transaction.input.len() - 1;
    vls.sweep(Sweep { justice, transaction, index, amount: sat(100_000), script }, home.places())
}

fn at_height(node: PublicKey, height: u32) -> Vls {
    let mut vls = Vls::new(limits(), Network::Regtest, node);
    let _ = vls.connect(&Miner::at(height).tip, height).unwrap();
    vls
}

pub(super) fn sweeps_denied(node: PublicKey) -> Vec<(&'static str, Vec<Violation>)> {
    let home = Home::new();
    let vls = at_height(node, 800);
    let ours = home.ours();
    let collect = |swept| judged(&vls, &home, false, &swept);
    let punish = |swept| judged(&vls, &home, true, &swept);
    let changed = |change: &dyn Fn(&mut Transaction)| {
        let (mut transaction, script) = swept(&delayed(144), 144, 800, &ours, 0);
        change(&mut transaction);
        (transaction, script)
    };
    let elsewhere = "policy-sweep-destination-allowlisted";
    vec![
        ("policy-sweep-version", collect(changed(&|t| t.version = bitcoin::transaction::Version::ONE))),
        ("policy-sweep-sequence", collect(swept(&delayed(144), 143, 800, &ours, 0))),
        ("policy-sweep-sequence", collect(swept(&delayed(144), 143, 800, &ours, 2))),
        ("policy-sweep-sequence", collect(swept(&htlc(Some(700)), 0, 700, &ours, 0))),
        ("policy-sweep-sequence", punish(swept(&delayed(144), 144, 800, &ours, 0))),
        ("policy-sweep-locktime", collect(swept(&htlc(Some(700)), 1, 701, &ours, 0))),
        ("policy-sweep-locktime", punish(swept(&delayed(144), 0, 1_700_000_000, &ours, 0))),
        (elsewhere, collect(swept(&delayed(144), 144, 800, &stranger(3), 0))),
        (elsewhere, collect(swept(&delayed(144), 144, 800, &stranger(3), 3))),
        (elsewhere, collect(swept(&htlc(None), 1, 800, &stranger(3), 0))),
        (elsewhere, punish(swept(&delayed(144), 0, 800, &stranger(3), 0))),
        ("policy-sweep-fee-range", collect(changed(&|t| t.output[0].value = sat(99_999)))),
        ("policy-sweep-fee-range", collect(changed(&|t| t.output[0].value = sat(100_001)))),
        ("policy-sweep-fee-range", {
            let (transaction, script) = changed(&|t| t.output[0].value = sat(600_000));
            vls.sweep(
                Sweep {
                    justice: false,
                    transaction: &transaction,
                    index: 0,
                    amount: sat(1_000_000),
                    script: &script,
                },
                home.places(),
            )
        }),
    ]
}

#[test]
fn sweeps() {
    assert_denied(&sweeps_denied(node(1)));
    let (home, vls) = (Home::new(), at_height(node(1), 800));
    let (ours, reserve) = (home.ours(), Home::reserve());
    for to in [&ours, &reserve] {
        for others in [0, 2] {
            for (justice, sweep) in [
                (false, swept(&delayed(144), 144, 800, to, others)),
                (false, swept(&delayed(2_016), 2_016, 802, to, others)),
                (false, swept(&htlc(Some(700)), 1, 700, to, others)),
                (false, swept(&htlc(None), 1, 800, to, others)),
                (true, swept(&delayed(144), 0, 800, to, others)),
                (true, swept(&htlc(None), 0xffff_fffd, 800, to, others)),
            ] {
                assert_eq!(judged(&vls, &home, justice, &sweep), [], "{sweep:?}");
            }
        }
    }
}

/// LND sees blocks before this signer does, and takes its height for the locktime.
#[test]
fn sweeps_at_a_height_that_we_have_not_seen() {
    let (home, vls) = (Home::new(), at_height(node(1), 800));
    let ours = home.ours();
    for ahead in [803, 810, 1_500] {
        for (justice, sweep) in [
            (false, swept(&delayed(144), 144, ahead, &ours, 0)),
            (false, swept(&htlc(None), 1, ahead, &ours, 0)),
            (true, swept(&delayed(144), 0, ahead, &ours, 0)),
        ] {
            assert_eq!(judged(&vls, &home, justice, &sweep), [], "{sweep:?}");
        }
    }
}

/// Collecting what is ours does not wait for a view of the chain; a locktime by the clock is still none.
#[test]
fn sweeps_without_a_view_of_the_chain() {
    let (home, vls) = (Home::new(), vls());
    assert_eq!(judged(&vls, &home, false, &swept(&delayed(144), 144, 4_000_000, &home.ours(), 0)), []);
    let by_clock = swept(&delayed(144), 144, 1_700_000_000, &home.ours(), 0);
    assert!(tags(&judged(&vls, &home, false, &by_clock)).contains("policy-sweep-locktime"));
    let height_without_end = swept(&delayed(144), 144, 499_999_999, &home.ours(), 0);
    assert!(tags(&judged(&vls, &home, false, &height_without_end)).contains("policy-sweep-locktime"));
}

/// What is known beforehand is refused beforehand, and nothing else is.
#[test]
fn what_is_foreseen_is_held_against_size_and_rate() {
    use crate::preflight::{Intent, NewChannel, Opening, WalletPayment};
    let (home, vls) = (Home::new(), vls());
    let node = crate::classify::tests::channel::Node::new();
    let terms = crate::books::Terms { funded_by_us: true, now: 0, window: 1, claim_seconds: 1 };
    let tags = |intent: Intent| -> Vec<String> {
        let foresight = node.channels.foresee(&intent, &node.accounts, terms);
        let found = vls.foresee(&intent, &foresight.certain, home.places());
        found.into_iter().map(|violation| violation.tag).collect()
    };
    let send = |fee_rate| {
        Intent::Wallet(WalletPayment { outputs: vec![(stranger(1), sat(50_000))], fee_rate, all: false })
    };
    let open = |capacity, fee_rate| {
        let channel = NewChannel { capacity, push: sat(0), peer: None, close_to: None };
        Intent::Open(Opening { channels: vec![channel], fee_rate, funded_elsewhere: false })
    };
    let most = u64::from(limits().max_onchain_sat_per_kw);
    let largest = limits().max_channel_sat.amount();
    assert_eq!(tags(send(Some(most * 2))), ["policy-onchain-fee-range"]);
    assert_eq!(tags(open(Some(sat(1_000_000)), Some(most * 2))), ["policy-onchain-fee-range"]);
    assert_eq!(tags(open(Some(largest + sat(1)), None)), ["policy-funding-max"]);
    for rate in [None, Some(most / 2)] {
        assert_eq!(tags(send(rate)), [""; 0]);
        assert_eq!(tags(open(Some(largest), rate)), [""; 0]);
        assert_eq!(tags(open(None, rate)), [""; 0]);
    }
}
