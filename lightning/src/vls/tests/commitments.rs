use bitcoin::Amount;
use strongroom_policy::file::ChainView;

use super::blocks::Miner;
use super::*;
use crate::vls::commitment::cut_off;

pub(super) fn channel() -> ChannelFacts {
    ChannelFacts {
        funding: outpoint(7),
        capacity: sat(10_000_000),
        anchors: true,
        we_funded: Some(true),
        from_zero: true,
    }
}

pub(super) fn htlc(number: u32, amount: u64) -> HtlcFacts {
    let mut payment_hash160 = [9; 20];
    payment_hash160[..4].copy_from_slice(&number.to_be_bytes());
    HtlcFacts {
        offered_by_us: number.is_multiple_of(2),
        amount: sat(amount),
        payment_hash160,
        cltv_expiry: 340,
    }
}

/// A commitment as lnd makes it at 2,500 sat per 1,000 weight units; what is left is the peer's.
pub(super) fn commitment(number: u64, to_remote: u64, htlcs: Vec<HtlcFacts>) -> CommitmentFacts {
    let channel = channel();
    let weight = 1_124 + 172 * htlcs.len() as u64;
    let fee = weight * 2_500 / 1_000 + 660;
    let carried: Amount = htlcs.iter().map(|htlc| htlc.amount).sum();
    let to_local = channel.capacity - sat(to_remote) - sat(fee) - carried;
    CommitmentFacts { channel, number, to_remote: sat(to_remote), to_local, htlcs, unread: Vec::new() }
}

/// The first one of a channel that we fund: all of it is ours but the fee.
fn first() -> CommitmentFacts {
    let mut facts = commitment(0, 10_000_000 - 2_810 - 660, Vec::new());
    assert_eq!(facts.to_local, Amount::ZERO);
    facts.channel.we_funded = Some(true);
    facts
}

fn later() -> CommitmentFacts {
    commitment(5, 5_000_000, vec![htlc(1, 20_000), htlc(2, 30_000)])
}

fn with(facts: &CommitmentFacts, change: impl FnOnce(&mut CommitmentFacts)) -> CommitmentFacts {
    let mut facts = facts.clone();
    change(&mut facts);
    facts
}

/// A node with a view of the chain, whose channel [`first`] opened at height 200 and confirmed, if it is to, at 201.
pub(super) fn opened(node: PublicKey, confirmed: bool) -> (Vls, Miner) {
    let mut vls = Vls::new(limits(), Network::Regtest, node);
    let mut miner = Miner::at(200);
    let _ = vls.connect(&miner.tip, 200).unwrap();
    let funding = miner.pays(10_000_000);
    let mut facts = first();
    facts.channel.funding = bitcoin::OutPoint { txid: funding.compute_txid(), vout: 0 };
    vls.learn(vls.learns(&facts));
    if confirmed {
        let block = miner.mine(vec![funding]);
        let _ = vls.connect(&block, 201).unwrap();
    }
    (vls, miner)
}

/// A later commitment of the channel that [`opened`] knows.
pub(super) fn next(vls: &Vls, number: u64, htlcs: Vec<HtlcFacts>) -> CommitmentFacts {
    let funding = *vls.channels.keys().next().unwrap();
    with(&commitment(number, 5_000_000, htlcs), |facts| facts.channel.funding = funding)
}

pub(super) fn denied(node: PublicKey) -> Vec<(&'static str, Vec<Violation>)> {
    let vls = Vls::new(limits(), Network::Regtest, node);
    let ask = |facts: CommitmentFacts| vls.counterparty_commitment(&facts);
    let (confirmed, mut miner) = opened(node, true);
    let (unconfirmed, _) = opened(node, false);
    let (mut closed, mut closer) = opened(node, true);
    let funding = *closed.channels.keys().next().unwrap();
    let block = closer.mine(vec![transaction(&[(funding, 0)], vec![], 0)]);
    let _ = closed.connect(&block, 202).unwrap();
    let _ = miner.mine(vec![]);
    let mut repeated = Vls::new(limits(), Network::Regtest, node);
    repeated.learn(repeated.learns(&later()));
    let large = |sats| {
        with(&later(), |facts| {
            facts.channel.capacity = sat(sats);
            facts.to_local = sat(sats - 5_000_000 - 50_000 - 5_000);
        })
    };
    let expiring = |at: u32| {
        let htlc = HtlcFacts { cltv_expiry: at, ..htlc(1, 20_000) };
        confirmed.counterparty_commitment(&next(&confirmed, 1, vec![htlc]))
    };
    let expires = "policy-commitment-htlc-cltv-range";
    vec![
        ("policy-funding-max", ask(large(16_777_216))),
        ("policy-commitment-outputs-trimmed", ask(with(&later(), |f| f.to_local = sat(353)))),
        ("policy-commitment-outputs-trimmed", ask(with(&later(), |f| f.to_remote = sat(353)))),
        ("policy-commitment-outputs-trimmed", ask(with(&later(), |f| f.htlcs[0].amount = sat(353)))),
        ("policy-commitment-outputs-trimmed", ask(with(&later(), |f| f.unread = vec![sat(353)]))),
        (
            "policy-commitment-htlc-count-limit",
            ask(commitment(5, 1_000_000, (0..967).map(|n| htlc(n, 1_000)).collect())),
        ),
        (
            "policy-commitment-htlc-count-limit",
            ask(with(&commitment(5, 1_000_000, (0..966).map(|n| htlc(n, 1_000)).collect()), |f| {
                f.unread = vec![sat(400)];
            })),
        ),
        (
            "policy-commitment-htlc-inflight-limit",
            ask(with(&large(30_000_000), |f| {
                f.htlcs[0].amount = sat(16_777_216);
                f.to_local = sat(1_000_000);
            })),
        ),
        (expires, expiring(203)),
        (expires, expiring(201 + 2_161)),
        (expires, ask(with(&later(), |f| f.htlcs[0].cltv_expiry = 500_000_000))),
        ("policy-commitment-fee-range", ask(with(&later(), |f| f.to_local += sat(4_000)))),
        ("policy-commitment-fee-range", ask(with(&later(), |f| f.to_local += sat(100_000)))),
        ("policy-commitment-fee-range", ask(with(&later(), |f| f.to_local -= sat(1_400_000)))),
        ("policy-commitment-first-no-htlcs", ask(commitment(0, 9_000_000, vec![htlc(1, 20_000)]))),
        ("policy-commitment-first-no-htlcs", ask(with(&first(), |f| f.unread = vec![sat(400)]))),
        (
            "policy-commitment-initial-funding-value",
            ask(with(&first(), |f| {
                f.to_remote -= sat(1_000_001);
                f.to_local = sat(1_000_001);
            })),
        ),
        (
            "policy-commitment-retry-same",
            repeated.counterparty_commitment(&commitment(5, 4_999_999, Vec::new())),
        ),
        ("policy-commitment-retry-same", repeated.counterparty_commitment(&later())),
        (
            "policy-commitment-spends-active-utxo",
            unconfirmed.counterparty_commitment(&next(&unconfirmed, 1, Vec::new())),
        ),
        (
            "policy-commitment-spends-active-utxo",
            closed.counterparty_commitment(&next(&closed, 1, Vec::new())),
        ),
    ]
}

#[test]
fn commitments_that_vls_denies() {
    assert_denied(&denied(node(1)));
}

#[test]
fn honest_commitments_pass() {
    let vls = vls();
    let many: Vec<_> = (0..966).map(|n| htlc(n, 354)).collect();
    let trimmed = with(&later(), |f| f.to_local -= sat(500_000));
    let pushed = with(&first(), |f| {
        f.to_remote -= sat(1_000_000);
        f.to_local = sat(1_000_000);
    });
    let unread = with(&later(), |f| f.unread = f.htlcs.split_off(1).iter().map(|htlc| htlc.amount).collect());
    let peers = with(&pushed, |f| {
        (f.to_remote, f.to_local) = (Amount::ZERO, f.to_local + f.to_remote);
        f.channel.we_funded = None;
    });
    let static_key = with(&later(), |f| {
        f.channel.anchors = false;
        f.htlcs[0].amount = sat(354 + 176);
    });
    for facts in [first(), later(), commitment(5, 0, many), trimmed, pushed, unread, peers, static_key] {
        assert_eq!(vls.counterparty_commitment(&facts), [], "{facts:?}");
    }
    let imported = with(&later(), |f| (f.number, f.channel.from_zero) = (0, false));
    assert_eq!(vls.counterparty_commitment(&imported), []);
}

#[test]
fn a_channel_goes_on_number_after_number() {
    let (mut vls, _) = opened(node(1), true);
    for number in 1..5 {
        let facts = next(&vls, number, vec![htlc(number as u32, 20_000)]);
        assert_eq!(vls.counterparty_commitment(&facts), [], "{number}");
        vls.learn(vls.learns(&facts));
    }
    // An older one asked for again replaces nothing.
    assert!(vls.learns(&next(&vls, 3, Vec::new())).is_empty());
}

#[test]
fn expiries_are_held_to_our_height_when_the_htlc_comes() {
    let (mut vls, mut miner) = opened(node(1), true);
    let expiring = |at: u32| HtlcFacts { cltv_expiry: at, ..htlc(1, 20_000) };
    for at in [204, 201 + 2_160] {
        assert_eq!(vls.counterparty_commitment(&next(&vls, 1, vec![expiring(at)])), [], "{at}");
    }
    let facts = next(&vls, 1, vec![expiring(204)]);
    vls.learn(vls.learns(&facts));
    for height in 202..210 {
        let _ = vls.connect(&miner.mine(vec![]), height).unwrap();
    }
    // It has expired since, and every other change of the channel must still be possible.
    assert_eq!(vls.counterparty_commitment(&next(&vls, 2, vec![expiring(204), htlc(2, 20_000)])), []);
    let found = vls.counterparty_commitment(&next(&vls, 2, vec![expiring(204), expiring(205)]));
    assert_eq!(tags(&found).into_iter().collect::<Vec<_>>(), ["policy-commitment-htlc-cltv-range"]);
    assert_eq!(found[0].value, "offered HTLC expiry too early: 205");
    assert_eq!(found[0].limit, "at least 212");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let wrong = with(&commitment(0, 9_000_000, vec![htlc(1, 20_000)]), |f| {
        f.channel.capacity += sat(10_000_000);
        f.to_local = sat(353);
    });
    let expected = [
        "policy-commitment-fee-range",
        "policy-commitment-first-no-htlcs",
        "policy-commitment-outputs-trimmed",
        "policy-funding-max",
    ];
    assert_eq!(tags(&vls().counterparty_commitment(&wrong)).into_iter().collect::<Vec<_>>(), expected);
}

/// Found in VLS: `(fee * 1000 / weight) as u32`. The limit of a channel's size hides it by default.
#[test]
fn a_fee_of_more_than_32_bits_is_no_low_fee() {
    let mut roomy = limits();
    roomy.max_channel_sat = 1_000_000_000_000u64.try_into().unwrap();
    let vls = Vls::new(roomy, Network::Regtest, node(1));
    // 1,124 weight units at 2^32 + 2,500 sat per 1,000.
    let fee = 1_124 * ((1u64 << 32) + 2_500) / 1_000;
    let enormous = with(&first(), |f| f.channel.capacity = f.to_remote + sat(fee));
    let setup = commitment::setup(&enormous.channel, sat(1_000_000), vls.node);
    let info = commitment::info(&enormous, 250);
    let fooled = vls.rules.commitment.ask(false, |vls| {
        let state = EnforcementState::new(0);
        let key = node(1);
        vls.validate_counterparty_commitment_tx(&state, 0, &key, &setup, &commitment::UNKNOWN_CHAIN, &info)
    });
    assert_eq!(fooled, [], "VLS has mended it: the check before may go");
    let found = vls.counterparty_commitment(&enormous);
    assert!(tags(&found).contains("policy-commitment-fee-range"), "{found:?}");
    assert!(!cut_off(sat(1_000_000), 724));
}

#[test]
fn without_a_view_of_the_chain_the_policy_says_whether_to_go_on() {
    let mut strict = limits();
    strict.chain = ChainView::Required;
    let vls = Vls::new(strict, Network::Regtest, node(1));
    assert_eq!(vls.counterparty_commitment(&first()), []);
    let found = vls.counterparty_commitment(&later());
    let expected = ["policy-commitment-htlc-cltv-range", "policy-commitment-spends-active-utxo"];
    assert_eq!(tags(&found).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_panic_is_a_violation_and_the_next_request_is_judged() {
    let vls = vls();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = vls.rules.commitment.ask(false, |_| -> Result<(), _> { panic!("as VLS may") });
    std::panic::set_hook(hook);
    assert_eq!(tags(&found).into_iter().collect::<Vec<_>>(), [PANIC]);
    assert_eq!(vls.counterparty_commitment(&later()), []);
}

#[test]
fn a_revocation_or_point_is_never_put_in() {
    let (mut vls, _) = opened(node(1), true);
    vls.learn(vls.learns(&next(&vls, 1, vec![htlc(1, 20_000)])));
    let state = &vls.channels.values().next().unwrap().state;
    assert_eq!((state.next_counterparty_commit_num, state.next_counterparty_revoke_num), (2, 0));
    assert_eq!((state.current_counterparty_point, state.previous_counterparty_point), (None, None));
    assert_eq!((state.next_holder_commit_num, &state.current_holder_commit_info), (0, &None));
    assert_eq!(state.counterparty_secrets, EnforcementState::new(0).counterparty_secrets);
}

#[test]
fn htlc_transactions_of_the_peer() {
    let vls = vls();
    let (offered, received) = (htlc(1, 20_000), htlc(2, 20_000));
    for htlc in [offered, received] {
        assert_eq!(vls.counterparty_htlc(&channel(), &htlc, Amount::ZERO), []);
        let static_key = ChannelFacts { anchors: false, ..channel() };
        assert_eq!(vls.counterparty_htlc(&static_key, &htlc, sat(1_700)), []);
    }
    assert_denied(&htlcs_denied(node(1)));
}

pub(super) fn htlcs_denied(node: PublicKey) -> Vec<(&'static str, Vec<Violation>)> {
    let vls = Vls::new(limits(), Network::Regtest, node);
    let (with_chain, _) = opened(node, true);
    let static_key = ChannelFacts { anchors: false, ..channel() };
    let timeless = HtlcFacts { cltv_expiry: 0, ..htlc(1, 20_000) };
    let soon = HtlcFacts { cltv_expiry: 203, ..htlc(1, 20_000) };
    vec![
        ("policy-htlc-locktime", vls.counterparty_htlc(&channel(), &timeless, Amount::ZERO)),
        ("policy-htlc-fee-range", vls.counterparty_htlc(&static_key, &htlc(1, 20_000), sat(100))),
        ("policy-htlc-fee-range", vls.counterparty_htlc(&static_key, &htlc(2, 900_000), sat(300_000))),
        ("policy-htlc-fee-range", vls.counterparty_htlc(&static_key, &htlc(2, 900_000), sat(1 << 52))),
        ("policy-commitment-htlc-cltv-range", with_chain.counterparty_htlc(&channel(), &soon, Amount::ZERO)),
    ]
}

/// The peer funded the channel and we own nothing yet: no commitment has told its form, but the HTLC's script does. On an
/// anchors channel its transaction pays no fee.
#[test]
fn the_first_payment_into_an_empty_channel() {
    use crate::classify::tests::channel::{Node, delayed_script};
    use crate::classify::tests::htlcs::{TWEAK, offered};
    let allowed = Default::default();
    for (anchors, fee, denied) in [(true, 0, false), (false, 0, true), (false, 500, false)] {
        let node = Node::with_channel(0);
        let script = offered(&node, false, anchors);
        let output = pays(400_000, &script.to_p2wsh());
        let commitment = node.commitment_tx(1, 0, std::slice::from_ref(&output));
        let outpoint = bitcoin::OutPoint { txid: commitment.compute_txid(), vout: 2 };
        let spend = pays(400_000 - fee, &delayed_script(1));
        let tx = transaction(&[(outpoint, u32::from(anchors))], vec![spend], 700_000);
        let sighash = if anchors { 0x83 } else { 1 };
        let bytes =
            node.spend_p2wsh(&tx, &[output], lightning(2, 0), &script, Some((0x51, scalar(TWEAK))), sighash);
        let request = parse(&bytes, &node.accounts).unwrap();
        let (ask, _) = node.channels.classify(&request, &node.accounts, &node.signed);
        let places = Places { accounts: &node.accounts, allowed: &allowed, network: Network::Regtest };
        let judged = vls().judge(&request, &ask, &node.channels, Amount::ZERO, places);
        assert_eq!(
            tags(&judged.violations).contains("policy-htlc-fee-range"),
            denied,
            "{:?}",
            judged.violations
        );
    }
}
