//! The steps of a channel. What costs us most comes first.

use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut};
use strongroom_policy::{Cover, Frozen};

use super::{Authorization, AuthorizationError, Step, Terms};
use crate::classify::tests::channel::*;
use crate::fixture::*;

const TWEAK: u32 = 5;
pub(super) const NOW: u64 = 1_700_000_000;
pub(super) const WINDOW: u64 = 86_400;

/// An HTLC on the peer's commitment.
#[derive(Clone, Copy)]
pub(crate) struct Htlc {
    pub(crate) by_us: bool,
    pub(crate) hash: u8,
    pub(crate) amount: u64,
    pub(crate) cltv: u32,
}

pub(crate) fn offer(hash: u8, amount: u64) -> Htlc {
    Htlc { by_us: true, hash, amount, cltv: 700_000 }
}

impl Htlc {
    fn script(self, node: &Node) -> ScriptBuf {
        let ours = single_tweaked(&node.seed.key(&lightning(2, node.at)), scalar(TWEAK)).serialize();
        let head = [&[0x76, 0xa9, 20][..], &[7; 20], &[0x87, 0x63, 0xac, 0x67, 33], &ours];
        let hash = [&[0xa9, 20][..], &hash160(self.hash)].concat();
        let middle = if self.by_us {
            let cltv = self.cltv.to_le_bytes();
            [
                &[0x7c, 0x82, 0x01, 0x20, 0x87, 0x63][..],
                &hash,
                &[0x88, 0x52, 0x7c, 33],
                &[3; 33],
                &[0x52, 0xae, 0x67, 0x75, 3],
                &cltv[..3],
                &[0xb1, 0x75, 0xac, 0x68],
            ]
            .concat()
        } else {
            [
                &[0x7c, 0x82, 0x01, 0x20, 0x87, 0x64, 0x75, 0x52, 0x7c, 33][..],
                &[3; 33],
                &[0x52, 0xae, 0x67],
                &hash,
                &[0x88, 0xac, 0x68],
            ]
            .concat()
        };
        ScriptBuf::from([&head.concat()[..], &middle, &[0x51, 0xb2, 0x75, 0x68]].concat())
    }

    pub(crate) fn output(self, node: &Node) -> TxOut {
        pays(self.amount, &self.script(node).to_p2wsh())
    }

    /// The request for the peer's transaction on output `vout` of `commitment`.
    pub(crate) fn request(self, node: &Node, commitment: &Transaction, vout: u32, to: &ScriptBuf) -> Vec<u8> {
        let outpoint = OutPoint { txid: commitment.compute_txid(), vout };
        let lock_time = if self.by_us { 0 } else { self.cltv };
        let tx = transaction(&[(outpoint, 1)], vec![pays(self.amount - 1, to)], lock_time);
        let tweak = Some((0x51, scalar(TWEAK)));
        node.spend_p2wsh(&tx, &[self.output(node)], lightning(2, node.at), &self.script(node), tweak, 0x83)
    }
}

pub(crate) fn hash160(hash: u8) -> [u8; 20] {
    bitcoin::hashes::Hash::to_byte_array(<bitcoin::hashes::ripemd160::Hash as bitcoin::hashes::Hash>::hash(
        &[hash; 32],
    ))
}

pub(crate) fn terms(funded_by_us: bool) -> Terms {
    Terms { funded_by_us, now: NOW, window: WINDOW, claim_seconds: 600 }
}

/// Asks for the HTLC transactions and answers the step of the commitment.
pub(crate) fn step(node: &mut Node, number: u64, ours: u64, htlcs: &[Htlc], funded_by_us: bool) -> Step {
    let commitment = explained(node, number, ours, htlcs);
    let (ask, learned) = node.ask(&node.funding_spend(&commitment, 1));
    node.channels.step(&ask, &learned, terms(funded_by_us)).expect("a step")
}

pub(crate) fn explained(node: &mut Node, number: u64, ours: u64, htlcs: &[Htlc]) -> Transaction {
    let outputs: Vec<TxOut> = htlcs.iter().map(|htlc| htlc.output(node)).collect();
    let commitment = node.commitment_tx(number, ours, &outputs);
    for (vout, htlc) in (2..).zip(htlcs) {
        let request = htlc.request(node, &commitment, vout, &delayed_script(number));
        node.approve(&request);
    }
    commitment
}

/// Takes a step.
pub(crate) fn approve(node: &mut Node, number: u64, ours: u64, htlcs: &[Htlc]) -> Step {
    let taken = step(node, number, ours, htlcs, false);
    let commitment = explained(node, number, ours, htlcs);
    let request = node.funding_spend(&commitment, 1);
    node.approve_step(&request, terms(false));
    taken
}

fn sats(step: &Step) -> (u64, u32) {
    (step.update.unexplained_outflow.to_sat(), step.update.unexplained_outputs)
}

#[test]
fn balance_moved_to_the_peer_with_no_htlc_is_a_loss() {
    let mut node = Node::with_channel(500_000);
    assert_eq!(sats(&step(&mut node, 1, 100_000, &[], false)), (400_000, 0));
    // An HTLC accounts for its own amount only.
    assert_eq!(sats(&step(&mut node, 1, 100_000, &[offer(1, 60_000)], false)), (340_000, 0));
    assert_eq!(sats(&step(&mut node, 1, 440_000, &[offer(1, 60_000)], false)), (0, 0));
    assert_eq!(sats(&step(&mut node, 1, 600_000, &[], false)), (0, 0));
}

#[test]
fn a_fee_excuses_only_who_pays_it() {
    let mut node = Node::with_channel(500_000);
    // The fixture's fee is constant: what leaves us beside the HTLC goes to the peer.
    for funded_by_us in [true, false] {
        assert_eq!(sats(&step(&mut node, 1, 439_000, &[offer(1, 60_000)], funded_by_us)).0, 1_000);
    }
    let mut raised = node.commitment_tx(1, 490_000, &[]);
    let last = raised.output.len() - 1;
    // Ten thousand more in fee, all of it ours.
    raised.output[last].value = sat(raised.output[last].value.to_sat() - 10_000);
    let (ask, learned) = node.ask(&node.funding_spend(&raised, 1));
    let lost = |funded| node.channels.step(&ask, &learned, terms(funded)).expect("a step").update;
    assert_eq!(lost(true).unexplained_outflow, sat(0));
    assert_eq!(lost(false).unexplained_outflow, sat(10_000));
}

#[test]
fn an_output_that_no_request_explains_is_counted() {
    let mut node = Node::with_channel(500_000);
    let (first, second) = (offer(1, 60_000), offer(2, 50_000));
    let outputs = [first.output(&node), second.output(&node)];
    let commitment = node.commitment_tx(1, 390_000, &outputs);
    let request = node.funding_spend(&commitment, 1);
    let count = |node: &Node| {
        let (ask, learned) = node.ask(&request);
        node.channels.step(&ask, &learned, terms(false)).expect("a step").update.unexplained_outputs
    };
    assert_eq!(count(&node), 2);
    node.approve(&first.request(&node, &commitment, 2, &delayed_script(1)));
    assert_eq!(count(&node), 1);
    node.approve(&second.request(&node, &commitment, 3, &delayed_script(1)));
    assert_eq!(count(&node), 0);
}

#[test]
fn the_peers_balance_pays_what_its_htlc_transactions_pay() {
    let mut node = Node::with_channel(500_000);
    let htlc = offer(1, 60_000);
    let commitment = node.commitment_tx(1, 440_000, &[htlc.output(&node)]);
    // The HTLC transaction pays another delayed script than the commitment has.
    node.approve(&htlc.request(&node, &commitment, 2, &delayed_script(9)));
    let (ask, learned) = node.ask(&node.funding_spend(&commitment, 1));
    let step = node.channels.step(&ask, &learned, terms(false)).expect("a step");
    assert_eq!(step.update.unexplained_outputs, 1);
}

#[test]
fn the_peers_first_balance_is_not_an_htlc_in_disguise() {
    // The peer has nothing, so its commitment has one output beside ours; it then is the HTLC, not a balance.
    let all = CAPACITY - 660 - 2_000;
    let mut node = Node::with_channel(all);
    assert_eq!(node.commitment_tx(0, all, &[]).output.len(), 3);
    let htlc = offer(1, 60_000);
    let commitment = node.commitment_tx(1, all - 60_000, &[htlc.output(&node)]);
    let request = node.funding_spend(&commitment, 1);
    let (ask, learned) = node.ask(&request);
    let before = node.channels.step(&ask, &learned, terms(false)).expect("a step");
    assert_eq!(before.update.unexplained_outputs, 1);
    node.approve(&htlc.request(&node, &commitment, 2, &delayed_script(1)));
    let (ask, learned) = node.ask(&request);
    let after = node.channels.step(&ask, &learned, terms(false)).expect("a step");
    assert_eq!(sats(&after), (0, 0));
    assert_eq!(after.update.offered.len(), 1);
}

#[test]
fn an_htlc_is_charged_once_and_another_of_its_kind_again() {
    let mut node = Node::with_channel(500_000);
    let htlc = offer(1, 60_000);
    let first = approve(&mut node, 1, 440_000, &[htlc]);
    assert_eq!(first.update.unauthorized(), sat(60_000));
    assert_eq!(step(&mut node, 2, 440_000, &[htlc], false).update.unauthorized(), sat(0));
    assert_eq!(step(&mut node, 2, 380_000, &[htlc, htlc], false).update.unauthorized(), sat(60_000));
    // Settled, and replaced by its twin in one step: no new HTLC to see, but the balance tells.
    assert_eq!(sats(&step(&mut node, 2, 380_000, &[htlc], false)).0, 60_000);
}

pub(super) fn authorized(hash: u8, amount: u64, max_attempts: u32) -> Authorization {
    Authorization {
        payment_hash: [hash; 32],
        amount: sat(amount),
        max_attempts,
        expires: NOW + 60,
        created: 0,
        label: "rent".into(),
        offered: sat(0),
    }
}

fn covers(step: &Step) -> Vec<Cover> {
    step.update.offered.iter().map(|htlc| htlc.cover.clone()).collect()
}

fn is_beyond(step: &Step, what: &str) -> bool {
    step.update
        .offered
        .iter()
        .any(|htlc| matches!(&htlc.cover, Cover::Beyond { limit, .. } if limit.contains(what)))
}

#[test]
fn authorisations_are_bounds() {
    let refused = |authorization: Authorization| {
        Node::new().channels.authorize(authorization, NOW).expect_err("refused")
    };
    assert_eq!(refused(authorized(1, 0, 1)), AuthorizationError::NoAmount);
    assert_eq!(refused(authorized(1, 5, 0)), AuthorizationError::Attempts(0));
    assert_eq!(refused(Authorization { expires: NOW, ..authorized(1, 5, 1) }), AuthorizationError::Expiry(0));
    let label = "two\nlines".to_owned();
    assert_eq!(refused(Authorization { label, ..authorized(1, 5, 1) }), AuthorizationError::Label(9));

    let mut node = Node::with_channel(500_000);
    node.authorize(authorized(1, 60_000, 2), NOW);
    assert!(matches!(
        node.channels.authorize(authorized(1, 90_000, 2), NOW),
        Err(AuthorizationError::Exists(..))
    ));
    assert!(is_beyond(&step(&mut node, 1, 439_999, &[offer(1, 60_001)], false), "60000 sat authorised"));
    assert!(is_beyond(
        &step(&mut node, 1, 300_000, &[offer(1, 60_000), offer(1, 60_000)], false),
        "authorised"
    ));
    // In parts, together within.
    let parts = [offer(1, 40_000), offer(1, 20_000)];
    assert_eq!(covers(&step(&mut node, 1, 440_000, &parts, false)), [Cover::Authorized, Cover::Authorized]);
    let late = Terms { now: NOW + 60, ..terms(false) };
    let commitment = explained(&mut node, 1, 440_000, &[offer(1, 60_000)]);
    let (ask, learned) = node.ask(&node.funding_spend(&commitment, 1));
    assert!(is_beyond(&node.channels.step(&ask, &learned, late).expect("a step"), "until"));
}

#[test]
fn an_authorisation_is_used_up_by_attempts_that_may_have_been_paid() {
    let mut node = Node::with_channel(500_000);
    node.authorize(authorized(1, 60_000, 2), NOW);
    approve(&mut node, 1, 440_000, &[offer(1, 60_000)]);
    // Gone, and our balance back: it failed, but nothing proves that the state before is revoked.
    approve(&mut node, 2, 500_000, &[]);
    approve(&mut node, 3, 440_000, &[offer(1, 60_000)]);
    approve(&mut node, 4, 500_000, &[]);
    assert!(is_beyond(&step(&mut node, 5, 440_000, &[offer(1, 60_000)], false), "2 attempts"));
}

#[test]
fn nothing_is_signed_after_a_close() {
    let mut node = Node::with_channel(500_000);
    let outputs = vec![pays(499_000, &node.wallet_script(0, 1)), pays(498_000, &stranger(4))];
    let close = transaction(&[(node.funding_outpoint(), u32::MAX)], outputs, 0);
    node.approve(&node.funding_spend(&close, 1));
    let frozen = step(&mut node, 1, 500_000, &[], false).update.frozen;
    assert_eq!(frozen, Some(Frozen::MutualClose));

    let mut node = Node::with_channel(500_000);
    node.approve(&node.own_commitment(1, 500_000, &[]));
    let frozen = step(&mut node, 1, 500_000, &[], false).update.frozen;
    assert_eq!(frozen, Some(Frozen::OwnCommitment { number: 1 }));

    // The peer began with nothing, so that nothing of our commitment 0 comes again.
    let mut node = Node::with_channel(998_000);
    approve(&mut node, 1, 600_000, &[]);
    node.approve(&node.own_commitment(1, 600_000, &[]));
    let frozen = step(&mut node, 2, 600_000, &[], false).update.frozen;
    assert_eq!(frozen, Some(Frozen::OwnCommitment { number: 1 }));
}

#[test]
fn a_forward_needs_an_incoming_htlc_that_nothing_else_used() {
    let mut node = Node::with_two_channels(500_000);
    let incoming = Htlc { by_us: false, hash: 3, amount: 51_000, cltv: 700_100 };
    node.at = 1;
    approve(&mut node, 1, 500_000, &[incoming]);
    node.at = 0;
    // Another hash, more than came in, or twice: our own money.
    for htlcs in [&[offer(4, 50_000)][..], &[offer(3, 51_001)]] {
        assert_eq!(covers(&step(&mut node, 1, 300_000, htlcs, false)), [Cover::Own]);
    }
    let twice = step(&mut node, 1, 400_000, &[offer(3, 50_000), offer(3, 50_000)], false);
    let (incoming, incoming_cltv, provisional) = (outpoint(78), 700_100, sat(0));
    let forward = Cover::Forward { incoming, incoming_cltv, provisional, again: false, claims_overdue: 0 };
    assert_eq!(covers(&twice), [forward, Cover::Own]);

    approve(&mut node, 1, 450_000, &[offer(3, 50_000)]);
    assert_eq!(node.channels.provisional(NOW, WINDOW), sat(50_000));
    let again = step(&mut node, 2, 400_000, &[offer(3, 50_000), offer(3, 50_000)], false);
    assert_eq!(covers(&again), [Cover::Own], "the incoming HTLC is used");
}

#[test]
fn only_balance_that_arrives_ends_a_forward() {
    for credited in [false, true] {
        let mut node = Node::with_two_channels(500_000);
        let incoming = Htlc { by_us: false, hash: 3, amount: 51_000, cltv: 700_100 };
        node.at = 1;
        approve(&mut node, 1, 500_000, &[incoming]);
        node.at = 0;
        approve(&mut node, 1, 450_000, &[offer(3, 50_000)]);
        // Paid out by one channel...
        approve(&mut node, 2, 450_000, &[]);
        assert_eq!(node.channels.provisional(NOW, WINDOW), sat(50_000));
        // ... and paid in, or let go, by the other.
        node.at = 1;
        approve(&mut node, 2, if credited { 551_000 } else { 500_000 }, &[]);
        let left = if credited { 0 } else { 50_000 };
        assert_eq!(node.channels.provisional(NOW, WINDOW), sat(left));
        // What was never proven stops counting with the window.
        assert_eq!(node.channels.provisional(NOW + WINDOW, WINDOW), sat(0));
    }
}

#[test]
fn a_forward_that_fails_ends_when_its_amount_is_back() {
    let mut node = Node::with_two_channels(500_000);
    let incoming = Htlc { by_us: false, hash: 3, amount: 51_000, cltv: 700_100 };
    node.at = 1;
    approve(&mut node, 1, 500_000, &[incoming]);
    node.at = 0;
    approve(&mut node, 1, 450_000, &[offer(3, 50_000)]);
    approve(&mut node, 2, 500_000, &[]);
    assert_eq!(node.channels.provisional(NOW, WINDOW), sat(0));
}

/// On a channel that we funded a larger gap may be our fee; it may as well be dust of the peer's, which brings us nothing.
#[test]
fn dust_of_the_peers_is_no_credit() {
    let mut node = Node::with_two_channels(500_000);
    let incoming = Htlc { by_us: false, hash: 3, amount: 51_000, cltv: 700_100 };
    node.at = 1;
    approve(&mut node, 1, 500_000, &[incoming]);
    node.at = 0;
    approve(&mut node, 1, 450_000, &[offer(3, 50_000)]);
    approve(&mut node, 2, 450_000, &[]);
    node.at = 1;
    // The incoming HTLC is let go, and the peer offers as much in dust.
    let mut commitment = node.commitment_tx(2, 500_000, &[]);
    let last = commitment.output.len() - 1;
    commitment.output[last].value = sat(commitment.output[last].value.to_sat() - 51_000);
    let request = node.funding_spend(&commitment, 1);
    node.approve_step(&request, terms(true));
    assert_eq!(node.channels.provisional(NOW, WINDOW), sat(50_000));
}
