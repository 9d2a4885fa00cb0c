use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut};
use strongroom_policy::case::{Spend, SweepOf};

use super::channel::*;
use crate::fixture::*;

pub const TWEAK: u32 = 5;

/// An HTLC that the commitment's owner offered, in the anchors form or the older one.
pub fn offered(node: &Node, ours_is_local: bool, anchors: bool) -> ScriptBuf {
    let ours = single_tweaked(&node.seed.key(&lightning(2, 0)), scalar(TWEAK)).serialize();
    let (remote, local) = if ours_is_local { ([3; 33], ours) } else { (ours, [3; 33]) };
    let tail: &[u8] = if anchors { &[0x51, 0xb2, 0x75, 0x68] } else { &[0x68] };
    let script = [
        &[0x76, 0xa9, 20][..],
        &[7; 20],
        &[0x87, 0x63, 0xac, 0x67, 33],
        &remote,
        &[0x7c, 0x82, 0x01, 0x20, 0x87, 0x64, 0x75, 0x52, 0x7c, 33],
        &local,
        &[0x52, 0xae, 0x67, 0xa9, 20],
        &[8; 20],
        &[0x88, 0xac, 0x68],
        tail,
    ];
    ScriptBuf::from(script.concat())
}

struct Htlc {
    script: ScriptBuf,
    commitment: Transaction,
    vout: u32,
}

impl Htlc {
    /// On the peer's commitment `number`.
    fn on(node: &Node, number: u64) -> Self {
        Self::of(node, number, true)
    }

    fn of(node: &Node, number: u64, anchors: bool) -> Self {
        let script = offered(node, false, anchors);
        let output = pays(40_000, &script.to_p2wsh());
        let commitment = node.commitment_tx(number, 500_000, &[output]);
        Self { script, commitment, vout: 2 }
    }

    fn spent(&self) -> TxOut {
        self.commitment.output[2].clone()
    }

    fn outpoint(&self) -> OutPoint {
        OutPoint { txid: self.commitment.compute_txid(), vout: self.vout }
    }

    /// The peer's HTLC-timeout transaction.
    fn transaction(&self, to: &ScriptBuf) -> Transaction {
        transaction(&[(self.outpoint(), 1)], vec![pays(39_000, to)], 700_000)
    }

    fn request(&self, node: &Node, tx: &Transaction, sighash: u32) -> Vec<u8> {
        let tweak = Some((0x51, scalar(TWEAK)));
        node.spend_p2wsh(tx, &[self.spent()], lightning(2, 0), &self.script, tweak, sighash)
    }

    fn well(&self, node: &Node, number: u64) -> Vec<u8> {
        self.request(node, &self.transaction(&delayed_script(number)), 0x83)
    }
}

#[test]
fn the_peers_transaction_has_bolt_3s_form() {
    let node = Node::with_channel(540_000);
    let htlc = Htlc::on(&node, 1);
    let good = htlc.transaction(&delayed_script(1));
    let refused = |edit: &dyn Fn(&mut Transaction)| {
        let mut tx = good.clone();
        edit(&mut tx);
        node.refused(&htlc.request(&node, &tx, 0x83))
    };
    assert!(refused(&|tx| tx.input[0].sequence = bitcoin::Sequence(0)).contains("sequence"));
    assert!(refused(&|tx| tx.version = bitcoin::transaction::Version(3)).contains("version"));
    assert!(refused(&|tx| tx.lock_time = bitcoin::absolute::LockTime::ZERO).contains("locktime"));
    assert!(refused(&|tx| tx.output.push(pays(1, &stranger(2)))).contains("one output"));
    assert!(refused(&|tx| tx.output[0].value = sat(40_001)).contains("delayed output"));
    let own = node.wallet_script(0, 0);
    assert!(refused(&|tx| tx.output[0].script_pubkey = own.clone()).contains("delayed output"));
    for sighash in [2, 3, 0x81, 0x82] {
        let why = node.refused(&htlc.request(&node, &good, sighash));
        assert!(why.contains("not signed with sighash"), "{why}");
    }
    assert!(matches!(node.spend(&htlc.well(&node, 1)), Spend::CounterpartyHtlc { .. }));
}

#[test]
fn an_htlc_key_without_channel_signs_nothing() {
    let node = Node::new();
    let htlc = Htlc::on(&node, 1);
    assert!(node.refused(&htlc.well(&node, 1)).contains("no channel that we know"));
}

#[test]
fn one_commitment_has_one_delayed_script() {
    let mut node = Node::with_channel(540_000);
    let htlc = Htlc::on(&node, 1);
    node.approve(&htlc.well(&node, 1));
    // Another transaction on the same output.
    let elsewhere = htlc.request(&node, &htlc.transaction(&stranger(666)), 0x83);
    assert!(node.refused(&elsewhere).contains("another HTLC transaction"));
    // Another output, paid elsewhere.
    let mut second = Htlc::on(&node, 1);
    second.vout = 3;
    let elsewhere = second.request(&node, &second.transaction(&stranger(666)), 0x83);
    assert!(node.refused(&elsewhere).contains("another output script"));
    // The same again, and another output paid to the same.
    assert!(node.ask(&htlc.well(&node, 1)).1.is_empty());
    node.approve(&second.well(&node, 1));
}

#[test]
fn a_commitment_must_have_the_htlcs_answered_for() {
    let mut node = Node::with_channel(540_000);
    let htlc = Htlc::on(&node, 1);
    let commitment = node.funding_spend(&htlc.commitment, 1);
    let mut other = Htlc::on(&node, 1);
    other.vout = 9;
    let mut lied = Node::with_channel(540_000);
    lied.approve(&other.well(&lied, 1));
    assert!(lied.refused(&commitment).contains("has no such output"));

    node.approve(&htlc.well(&node, 1));
    node.approve(&commitment);
    // Known now, an HTLC that it does not have is refused at once.
    assert!(node.refused(&other.well(&node, 1)).contains("has no HTLC of"));
}

#[test]
fn htlcs_of_a_commitment_that_is_not_the_latest_are_refused() {
    let mut node = Node::with_channel(540_000);
    let htlc = Htlc::on(&node, 1);
    node.approve(&htlc.well(&node, 1));
    node.approve(&node.funding_spend(&htlc.commitment, 1));
    node.approve(&node.commitment(2, 540_000, &[]));
    assert_eq!(node.channels.htlc_answers.len(), 0);
    assert!(node.refused(&htlc.well(&node, 1)).contains("no longer the latest"));
}

#[test]
fn htlcs_are_asked_for_before_their_commitment_is_signed() {
    let mut node = Node::with_channel(540_000);
    let htlc = Htlc::on(&node, 1);
    let commitment = node.funding_spend(&htlc.commitment, 1);
    let expected = Spend::CounterpartyHtlc {
        channel: node.funding_outpoint(),
        commitment: htlc.outpoint().txid,
        payment_hash160: "08".repeat(20),
        amount: sat(40_000),
    };
    assert_eq!(node.approve(&htlc.well(&node, 1)), expected);
    node.approve(&commitment);
    assert_eq!(node.channels.by_htlc_base.len(), 1);
    assert_eq!(node.spend(&htlc.well(&node, 1)), expected, "the same again");

    // Signed without it, the commitment stands as it was understood: an HTLC signature is a sweep to anybody.
    let mut node = Node::with_channel(540_000);
    node.approve(&commitment);
    assert!(node.refused(&htlc.well(&node, 1)).contains("after its commitment was signed"));
}

/// An HTLC of 40,000 sat on a commitment that exists nowhere, with as many outputs as asked for.
fn invented(node: &mut Node, number: u32, outputs: u32) {
    let mut htlc = Htlc::on(node, 1);
    htlc.commitment.lock_time = bitcoin::absolute::LockTime::from_consensus(number);
    for vout in 2..2 + outputs {
        htlc.vout = vout;
        let request = htlc.well(node, u64::from(number));
        node.approve(&request);
    }
}

/// An answer is worth money once its commitment is signed with other outputs. It may be folded, never forgotten.
#[test]
fn a_commitment_whose_answers_were_folded_is_never_signed() {
    for (commitments, outputs) in [(17, 1), (5, 8)] {
        let mut node = Node::with_channel(540_000);
        let htlc = Htlc::on(&node, 1);
        let evil = node.funding_spend(&htlc.commitment, 1);
        let mut lacking = Htlc::on(&node, 1);
        lacking.vout = 9;
        node.approve(&lacking.well(&node, 1));
        assert!(node.refused(&evil).contains("no such output"));
        for number in 0..commitments {
            invented(&mut node, number, outputs);
        }
        // Every step was loaded from its records as after a restart, and told the same.
        assert!(node.refused(&evil).contains("never signed"), "{outputs} at a time");
        assert!(node.refused(&lacking.well(&node, 1)).contains("no longer kept"));
        assert!(node.refused(&htlc.well(&node, 1)).contains("no longer kept"));
        // What came last is what lnd asks for next.
        assert!(node.ask(&node.commitment(1, 540_000, &[])).1.tombstones().next().is_none());
        node.approve(&node.commitment(1, 540_000, &[]));
    }
}

#[test]
fn a_signed_commitments_answers_are_never_folded() {
    let mut node = Node::with_channel(540_000);
    let htlc = Htlc::on(&node, 1);
    node.approve(&htlc.well(&node, 1));
    node.approve(&node.funding_spend(&htlc.commitment, 1));
    for number in 0..100 {
        invented(&mut node, number, 1);
        assert!(node.channels.htlc_answers.len() <= 17);
    }
    assert!(node.ask(&htlc.well(&node, 1)).1.is_empty(), "known still");
    assert!(matches!(node.spend(&htlc.well(&node, 1)), Spend::CounterpartyHtlc { .. }));
}

/// lnd stops after its HTLC transactions were signed and before their commitment was, every tenth time.
#[test]
fn a_long_life_with_crashes_is_never_refused() {
    let mut node = Node::with_channel(540_000);
    for number in 1..1_000u64 {
        let script = offered(&node, false, true);
        let on = |amount: u64| {
            let output = pays(amount, &script.to_p2wsh());
            let commitment = node.commitment_tx(number, 500_000, &[output]);
            Htlc { script: script.clone(), commitment, vout: 2 }
        };
        let request = |htlc: &Htlc| {
            let tx =
                transaction(&[(htlc.outpoint(), 1)], vec![pays(1_000, &delayed_script(number))], 700_000);
            htlc.request(&node, &tx, 0x83)
        };
        let (lost, htlc) = (on(30_000), on(40_000));
        let (lost, asked) = (request(&lost), request(&htlc));
        if number % 10 == 0 {
            node.approve(&lost);
        }
        node.approve(&asked);
        node.approve(&node.funding_spend(&htlc.commitment, 1));
        assert!(node.channels.htlc_answers.len() <= 17, "{number}");
    }
}

#[test]
fn our_claim_is_a_sweep() {
    let mut node = Node::with_channel(540_000);
    let htlc = Htlc::on(&node, 1);
    node.approve(&node.funding_spend(&htlc.commitment, 1));
    let claim = Spend::Sweep(SweepOf::CounterpartyHtlc);
    for to in [node.wallet_script(0, 1), stranger(666)] {
        let spend = node.spend(&htlc.request(&node, &htlc.transaction(&to), 1));
        assert_eq!(spend, claim, "signed with ALL on an anchors channel, to whomever it pays");
    }
    // On an older channel the destination tells.
    let mut node = Node::with_channel(540_000);
    let legacy = Htlc::of(&node, 1, false);
    let mut tx = legacy.transaction(&delayed_script(1));
    tx.input[0].sequence = bitcoin::Sequence(0);
    let spend = node.approve(&legacy.request(&node, &tx, 1));
    assert!(matches!(spend, Spend::CounterpartyHtlc { .. }));
    node.approve(&node.funding_spend(&legacy.commitment, 1));
    tx.output[0].script_pubkey = node.wallet_script(0, 1);
    assert_eq!(node.spend(&legacy.request(&node, &tx, 1)), claim);
    assert!(node.refused(&legacy.request(&node, &tx, 0x83)).contains("not signed with sighash"));
}
