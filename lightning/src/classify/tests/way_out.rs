//! The way out: whatever the signer knows, lnd can end a channel by its own commitment. What a thief would make of that comes
//! first.

use bitcoin::{ScriptBuf, Transaction, TxOut};
use strongroom_policy::Frozen;
use strongroom_policy::case::Spend;

use super::channel::*;
use crate::books::tests::{Htlc, approve, explained, offer, step, terms};
use crate::fixture::*;

/// Our balance where the peer has nothing.
const ALL: u64 = CAPACITY - 660 - 2_000;

const INCOMING: Htlc = Htlc { by_us: false, hash: 3, amount: 50_000, cltv: 700_100 };

fn theirs(node: &Node, number: u64, to_remote: u64) -> Spend {
    let channel = node.funding_outpoint();
    Spend::CounterpartyCommitment { channel, number, to_remote: sat(to_remote) }
}

fn ours(node: &Node, number: u64) -> Spend {
    Spend::HolderCommitment { channel: node.funding_outpoint(), number }
}

/// The peer gave our own payment key for its own: our commitment pays it what is the peer's.
fn shared(node: &Node, number: u64, ours: u64, htlcs: &[TxOut]) -> Transaction {
    let mut own = node.own_commitment_tx(number, ours, htlcs);
    own.output.last_mut().expect("the peer's to_remote").script_pubkey = node.to_remote();
    own
}

/// A node that funded its channel, pushed nothing, and paid the peer its first 300,000 sat.
fn paid_the_peer() -> Node {
    let mut node = Node::with_channel(ALL);
    approve(&mut node, 1, ALL - 300_000, &[offer(9, 300_000)]);
    approve(&mut node, 2, ALL - 300_000, &[]);
    node
}

fn unexplained(node: &Node, request: &[u8]) -> (u32, u64) {
    let (ask, learned) = node.ask(request);
    let update = node.channels.step(&ask, &learned, terms(true)).expect("a step").update;
    (update.unexplained_outputs, update.unexplained_outflow.to_sat())
}

#[test]
fn a_theft_is_no_commitment_of_ours() {
    // What is the peer's on it is not what is ours in the channel.
    let mut node = paid_the_peer();
    let stolen = |ours: u64, htlcs: &[TxOut]| node.commitment(3, ours, htlcs);
    for theft in [
        stolen(400_000, &[]),
        stolen(5_000, &[]),
        stolen(100_000, &[pays(500_000, &stranger(6))]),
        // A shape of ours under another number does not help.
        node.commitment(7, 400_000, &[]),
    ] {
        assert!(node.as_own(&theft).is_none());
    }
    // Burnt as fee.
    let mut burnt = node.commitment_tx(3, 400_000, &[]);
    burnt.output.last_mut().expect("the peer's").value = sat(300_000);
    assert!(node.as_own(&node.funding_spend(&burnt, 1)).is_none());
    // HTLC transactions were asked for as the peer's: the two shapes are the same, and it is theirs.
    let htlc = offer(4, 50_000);
    let swapped = node.commitment_tx(3, 250_000, &[htlc.output(&node)]);
    let request = node.funding_spend(&swapped, 1);
    assert!(node.as_own(&request).is_some(), "bounded like any own commitment");
    node.approve(&htlc.request(&node, &swapped, 2, &delayed_script(3)));
    assert!(node.as_own(&request).is_none());
    // Other sighashes, and what is no commitment, as ever.
    let own = shared(&node, 2, ALL - 300_000, &[]);
    assert!(node.as_own(&node.funding_spend(&own, 0x83)).is_none());
    let close = transaction(&[(node.funding_outpoint(), u32::MAX)], own.output, 0);
    assert!(node.as_own(&node.funding_spend(&close, 1)).is_none());
}

#[test]
fn where_the_peers_script_was_shown_nothing_else_is_ours() {
    let mut node = Node::with_channel(0);
    for outputs in [vec![], vec![pays(400_000, &stranger(6))]] {
        let request = node.commitment(1, 0, &outputs);
        assert_eq!(node.spend(&request), theirs(&node, 1, 0));
        assert!(node.as_own(&request).is_none());
    }
    // And what shows it is ours from the first.
    let own = node.own_commitment(1, 0, &[]);
    assert!(node.as_own(&own).is_none(), "there is no other reading");
    assert_eq!(node.approve(&own), ours(&node, 1));
}

/// The peer of a channel that we funded without a push gives our payment key: nothing shows it until it has a balance. What
/// ends the channel then is unexplained as the peer's, and signed as ours.
#[test]
fn a_peer_with_our_payment_key_does_not_keep_us_from_closing() {
    let mut node = paid_the_peer();
    let all = ALL - 300_000;
    approve(&mut node, 3, all, &[INCOMING]);
    let htlc = pays(50_000, &stranger(7));
    for (number, htlcs) in [(2, &[][..]), (3, &[htlc])] {
        let own = node.funding_spend(&shared(&node, number, all, htlcs), 1);
        match node.spend(&own) {
            Spend::Unknown { .. } => assert_eq!(number, 2),
            _ => assert!(unexplained(&node, &own) > (0, 0)),
        }
        assert_eq!(node.as_own(&own).expect("a way out").0.spend, ours(&node, number));
    }
    // It may have been the peer's after all, so it ends nothing: that is only refused what is new.
    let own = node.funding_spend(&shared(&node, 3, all, &[pays(50_000, &stranger(7))]), 1);
    assert_eq!(node.approve_as_own(&own), ours(&node, 3));
    assert_eq!(step(&mut node, 4, all, &[INCOMING], true).update.frozen, None);
    assert_eq!(node.channels.open_capacity(), sat(CAPACITY));
}

/// Where our commitment 0 shows it, the channel is signed for, and then used for nothing but to end it.
#[test]
fn a_peer_with_our_payment_key_that_commitment_0_shows_is_paid_nothing() {
    for balance in [0, 500_000] {
        let mut node = Node::new();
        node.reserve(0);
        node.approve(&node.commitment(0, balance, &[]));
        let zero = node.funding_spend(&shared(&node, 0, balance, &[]), 1);
        assert_eq!(node.approve(&zero), ours(&node, 0));
        let mut other = shared(&node, 0, balance, &[]);
        other.output[0].value = sat(340);
        assert!(node.refused(&node.funding_spend(&other, 1)).contains("another commitment 0"));
        assert_eq!(step(&mut node, 1, balance, &[], false).update.frozen, Some(Frozen::SharedKey));
        let own = node.funding_spend(&shared(&node, 1, balance, &[pays(50_000, &stranger(7))]), 1);
        assert_eq!(node.approve_as_own(&own), ours(&node, 1));
        assert_eq!(node.channels.open_capacity(), sat(0));
        let outputs = vec![pays(balance.max(1), &node.wallet_script(0, 1))];
        let close = transaction(&[(node.funding_outpoint(), u32::MAX)], outputs, 0);
        assert!(matches!(node.spend(&node.funding_spend(&close, 1)), Spend::MutualClose { .. }));
    }
}

/// A channel that is used before its funding confirms: lnd has the latest own commitment signed when it does, not number 0.
#[test]
fn the_first_commitment_of_ours_ends_nothing_and_there_is_one() {
    let mut node = Node::new();
    node.reserve(0);
    node.approve(&node.commitment(0, ALL, &[]));
    approve(&mut node, 1, ALL - 100_000, &[offer(9, 100_000)]);
    approve(&mut node, 2, ALL - 100_000, &[]);
    assert_eq!(node.approve(&node.own_commitment(2, ALL - 100_000, &[])), ours(&node, 2));
    let older = node.own_commitment(0, ALL, &[]);
    assert!(node.refused(&older).contains("or a later one"));
    assert_eq!(node.channels.open_capacity(), sat(CAPACITY));
    assert_eq!(step(&mut node, 3, ALL - 100_000, &[], true).update.frozen, None);
    // The next one does.
    assert_eq!(node.approve(&node.own_commitment(3, ALL - 100_000, &[])), ours(&node, 3));
    let frozen = step(&mut node, 3, ALL - 100_000, &[], true).update.frozen;
    assert_eq!(frozen, Some(Frozen::OwnCommitment { number: 3 }));
    assert_eq!(node.channels.open_capacity(), sat(0));
    // A frozen channel still signs what ends it.
    assert_eq!(node.spend(&node.own_commitment(4, ALL - 100_000, &[])), ours(&node, 4));
}

/// The same on a channel that the peer funded, where the peer's commitments pay us nothing yet: they are the peer's, since
/// their HTLC transactions are asked for, and what nobody explains is ours.
#[test]
fn before_our_own_first_commitment_the_peers_htlcs_tell_it_from_ours() {
    let mut node = Node::new();
    node.reserve(0);
    node.approve(&node.commitment(0, 0, &[]));
    let commitment = node.commitment_tx(1, 0, &[INCOMING.output(&node)]);
    let request = node.funding_spend(&commitment, 1);
    assert_eq!(node.spend(&request), theirs(&node, 1, 0));
    assert_eq!(unexplained(&node, &request).0, 1, "withheld");
    approve(&mut node, 1, 0, &[INCOMING]);
    assert!(node.as_own(&request).is_none(), "an HTLC transaction was asked for");

    let own = node.own_commitment(1, 0, &[pays(50_000, &stranger(7))]);
    assert_eq!(unexplained(&node, &own).0, 1, "nobody asks for its HTLC transactions");
    assert_eq!(node.approve_as_own(&own), ours(&node, 1));
    assert_eq!(node.channels.open_capacity(), sat(CAPACITY), "it ends nothing");
    approve(&mut node, 2, 50_000, &[]);
    // From now on the peer's script is known.
    assert_eq!(node.approve(&node.own_commitment(2, 50_000, &[])), ours(&node, 2));
    assert_eq!(node.channels.open_capacity(), sat(0));
}

/// Without an HTLC such a commitment of ours passes for the peer's, and is signed as that. Nothing is lost by it.
#[test]
fn our_own_commitment_taken_for_the_peers_is_another_version() {
    let mut node = Node::new();
    node.reserve(0);
    node.approve(&node.commitment(0, 0, &[]));
    approve(&mut node, 1, 0, &[INCOMING]);
    let own = node.own_commitment(1, 0, &[]);
    assert_eq!(node.approve(&own), theirs(&node, 1, 0));
    assert_eq!(approve(&mut node, 2, 50_000, &[]).update.unexplained_outputs, 0);
}

/// The first payment to us is settled in a version that lnd never sent, and number 2 is asked for again with the HTLC still
/// there: it pays us nothing yet, and is the peer's.
#[test]
fn a_number_asked_for_again_before_our_first_balance_is_the_peers() {
    let mut node = Node::with_channel(0);
    let more = Htlc { hash: 4, ..INCOMING };
    approve(&mut node, 1, 0, &[INCOMING]);
    approve(&mut node, 2, 50_000, &[]);
    let again = explained(&mut node, 2, 0, &[INCOMING, more]);
    let request = node.funding_spend(&again, 1);
    assert_eq!(node.spend(&request), theirs(&node, 2, 0));
    node.approve_step(&request, terms(false));
    assert_eq!(step(&mut node, 3, 50_000, &[more], false).update.frozen, None);
    // Once it is sent, our balance stays: what lacks it is ours.
    approve(&mut node, 3, 50_000, &[more]);
    assert_eq!(node.approve(&node.commitment(4, 0, &[])), ours(&node, 4));
    let frozen = step(&mut node, 4, 50_000, &[], false).update.frozen;
    assert_eq!(frozen, Some(Frozen::OwnCommitment { number: 4 }));
}

/// A peer's commitment that pays us nothing, before ours was asked for, keeps its channel in every total.
#[test]
fn a_commitment_that_ends_nothing_keeps_the_channel_counted() {
    let mut node = Node::new();
    node.reserve(0);
    for number in [0, 1] {
        node.approve(&node.commitment(number, 0, &[]));
        assert_eq!(node.channels.open_capacity(), sat(CAPACITY));
    }
    let last = node.commitment(2, 0, &[pays(50_000, &stranger(6))]);
    assert_eq!(node.approve_as_own(&last), ours(&node, 2));
    assert_eq!(node.channels.open_capacity(), sat(CAPACITY));
}

fn key_hash(key: &[u8; 33]) -> ScriptBuf {
    let key = bitcoin::CompressedPublicKey::from_slice(key).expect("a key");
    ScriptBuf::new_p2wpkh(&key.wpubkey_hash())
}

#[test]
fn a_channel_whose_payment_key_changes_is_refused_at_its_opening() {
    let mut node = Node::new();
    node.reserve(0);
    let opening = |script: ScriptBuf| {
        let outputs = vec![pays(400_000, &script), pays(590_000, &delayed_script(0))];
        numbered(node.funding_outpoint(), 0, outputs)
    };
    // The basepoint tweaked by the commitment's point.
    let tweaked = single_tweaked(&node.seed.key(&lightning(3, 0)), scalar(1)).serialize();
    let legacy = node.funding_spend(&opening(key_hash(&tweaked)), 1);
    assert!(node.refused(&legacy).contains("without option_static_remotekey"));
    let fixed = node.funding_spend(&opening(key_hash(&node.seed.bytes(3, 0))), 1);
    assert_eq!(node.spend(&fixed), theirs(&node, 0, 400_000));
}

/// The peer's first balance, made of HTLCs that were too small for an output.
mod first_balance {
    use super::*;

    /// A commitment with so much for us, for the peer and for nobody.
    fn commitment(node: &Node, number: u64, ours: u64, gap: u64) -> Vec<u8> {
        let mut outputs = node.anchors().to_vec();
        outputs.push(pays(ours, &node.to_remote()));
        let peers = CAPACITY - 660 - ours - gap;
        if peers > 0 {
            outputs.push(pays(peers, &delayed_script(number)));
        }
        node.funding_spend(&numbered(node.funding_outpoint(), number, outputs), 1)
    }

    /// We funded it; its peer has nothing, and the gap holds 13,956 sat of fee and 1,226 of small HTLCs.
    fn node() -> (Node, u64) {
        let ours = CAPACITY - 660 - 15_182;
        let mut node = Node::new();
        node.reserve(0);
        node.approve(&commitment(&node, 0, ours + 1_226, 13_956));
        node.approve(&node.own_commitment(0, ours + 1_226, &[]));
        node.approve_step(&commitment(&node, 1, ours, 15_182), terms(true));
        (node, ours)
    }

    fn update(node: &Node, request: &[u8]) -> strongroom_policy::ChannelUpdate {
        let (ask, learned) = node.ask(request);
        node.channels.step(&ask, &learned, terms(true)).expect("a step").update
    }

    #[test]
    fn no_more_than_the_gap_held() {
        let (node, ours) = node();
        // What our balance lost is an HTLC that nobody asked for.
        for moved in [20_000, 400_000] {
            let update = update(&node, &commitment(&node, 2, ours - moved, 15_182));
            assert_eq!((update.unexplained_outputs, update.perhaps_htlcs), (1, 0));
        }
        // The gap may hold as much as our fee was: it is charged.
        let update = update(&node, &commitment(&node, 2, ours - 1_000, 1_182));
        assert_eq!((update.unexplained_outputs, update.perhaps_htlcs), (0, 1));
        assert_eq!(update.unexplained_outflow, sat(15_000));
    }

    #[test]
    fn small_htlcs_paid_are_its_balance() {
        let (mut node, ours) = node();
        let request = commitment(&node, 2, ours, 13_956);
        let paid = update(&node, &request);
        assert_eq!((paid.unexplained_outputs, paid.perhaps_htlcs, paid.awaited()), (0, 1, 1));
        assert_eq!(paid.unexplained_outflow, sat(1_226));
        assert_eq!(paid.peer_balance, (sat(0), sat(1_226)));
        // Others of their kind are offered in the same step.
        let busy = update(&node, &commitment(&node, 2, ours - 900, 13_956 + 900));
        assert_eq!((busy.unexplained_outputs, busy.unexplained_outflow), (0, sat(1_226)));
        node.approve_step(&request, terms(true));
        // From then on it is a balance like others.
        let more = update(&node, &commitment(&node, 3, ours - 500, 13_956));
        assert_eq!((more.unexplained_outputs, more.perhaps_htlcs), (0, 0));
        assert_eq!(more.unexplained_outflow, sat(500));
    }
}

/// A node that was imported, or whose store was lost: nothing is known of the channel.
mod unknown_history {
    use super::*;

    #[test]
    fn only_what_pays_us_nothing_is_read_as_our_own() {
        let node = Node::new();
        assert!(node.as_own(&node.commitment(7, 400_000, &[])).is_none(), "it pays us: the peer's");
        let mut opened = Node::new();
        opened.reserve(0);
        assert!(opened.as_own(&opened.own_commitment(0, 400_000, &[])).is_none(), "its opening was seen");
    }

    #[test]
    fn our_own_commitment_is_signed_and_every_later_one() {
        let mut node = Node::new();
        let own = node.own_commitment(7, 400_000, &[pays(50_000, &stranger(7))]);
        assert!(matches!(node.approve_as_own(&own), Spend::HolderCommitment { .. }));
        let later = node.own_commitment(9, 300_000, &[]);
        assert!(matches!(node.spend(&later), Spend::HolderCommitment { .. }));
    }
}
