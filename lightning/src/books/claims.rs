//! What we are owed for forwards: claims that are due, and incoming HTLCs let go for nothing. What costs us most comes first.

use strongroom_policy::Cover;

use super::tests::*;
use super::{Step, Terms};
use crate::classify::tests::channel::*;
use crate::fixture::*;

const INCOMING: Htlc = Htlc { by_us: false, hash: 3, amount: 51_000, cltv: 700_100 };

/// An incoming HTLC on channel 1, paid on by channel 0.
fn forwarding(incoming: &[Htlc]) -> Node {
    let mut node = Node::with_two_channels(500_000);
    node.at = 1;
    approve(&mut node, 1, 500_000, incoming);
    node.at = 0;
    approve(&mut node, 1, 450_000, &[offer(3, 50_000)]);
    node
}

/// The same, and the outgoing HTLC was paid.
fn paid(incoming: &[Htlc]) -> Node {
    let mut node = forwarding(incoming);
    approve(&mut node, 2, 450_000, &[]);
    node.at = 1;
    node
}

fn unpaid(step: &Step) -> Vec<u64> {
    step.update.unpaid.iter().map(|unpaid| unpaid.amount.to_sat()).collect()
}

#[test]
fn an_incoming_htlc_let_go_after_its_outgoing_one_was_paid_is_unpaid() {
    let mut node = paid(&[INCOMING]);
    assert_eq!(unpaid(&step(&mut node, 2, 500_000, &[], false)), [51_000]);
    // A part of it is nothing; nor is it hidden by an HTLC that came in beside it.
    assert_eq!(unpaid(&step(&mut node, 2, 540_000, &[], false)), [51_000]);
    assert_eq!(unpaid(&step(&mut node, 2, 500_000, &[Htlc { hash: 4, ..INCOMING }], true)), [51_000]);
    assert!(unpaid(&step(&mut node, 2, 551_000, &[], false)).is_empty());
    assert!(unpaid(&step(&mut node, 2, 500_000, &[INCOMING], false)).is_empty(), "still there");
}

#[test]
fn whatever_is_in_doubt_is_not_called_unpaid() {
    // The outgoing HTLC came back, or has not gone yet.
    for balance in [None, Some(500_000)] {
        let mut node = forwarding(&[INCOMING]);
        if let Some(balance) = balance {
            approve(&mut node, 2, balance, &[]);
        }
        node.at = 1;
        assert!(unpaid(&step(&mut node, 2, 500_000, &[], false)).is_empty());
    }
    // Another part of the payment: which of the two was forwarded?
    let mut node = paid(&[INCOMING, Htlc { amount: 52_000, ..INCOMING }]);
    assert!(unpaid(&step(&mut node, 2, 500_000, &[Htlc { amount: 52_000, ..INCOMING }], false)).is_empty());
    // The gap may hold what came in: a fee that rose, or dust of ours.
    let node = paid(&[INCOMING]);
    let mut commitment = node.commitment_tx(2, 500_000, &[]);
    let last = commitment.output.len() - 1;
    commitment.output[last].value = sat(commitment.output[last].value.to_sat() - 51_000);
    let (ask, learned) = node.ask(&node.funding_spend(&commitment, 1));
    let step = node.channels.step(&ask, &learned, terms(false)).expect("a step");
    assert!(unpaid(&step).is_empty());
}

#[test]
fn a_second_part_casts_doubt_on_the_first() {
    let mut node = forwarding(&[INCOMING]);
    node.at = 1;
    let second = Htlc { amount: 30_000, ..INCOMING };
    approve(&mut node, 2, 500_000, &[INCOMING, second]);
    node.at = 0;
    approve(&mut node, 2, 421_000, &[offer(3, 50_000), offer(3, 29_000)]);
    approve(&mut node, 3, 421_000, &[offer(3, 29_000)]);
    node.at = 1;
    assert!(unpaid(&step(&mut node, 3, 500_000, &[second], false)).is_empty());
}

fn at(now: u64) -> Terms {
    Terms { now, ..terms(false) }
}

/// Takes a step of channel 1 at `now`, its balance unchanged.
fn go_on(node: &mut Node, number: u64, now: u64, htlcs: &[Htlc]) {
    let commitment = explained(node, number, 500_000, htlcs);
    let request = node.funding_spend(&commitment, 1);
    node.approve_step(&request, at(now));
}

pub(super) fn overdue(node: &Node, now: u64) -> u64 {
    let claims = node.channels.overdue_claims(now, WINDOW, 600);
    let sum = claims.iter().map(|claim| claim.amount.to_sat()).sum();
    let views = node.channels.views(now, WINDOW, 600);
    assert_eq!(views.iter().map(|view| view.claims_overdue.to_sat()).sum::<u64>(), sum);
    sum
}

/// Claims that stand in the way of one more forward, by channel 0.
fn in_the_way(node: &mut Node) -> u32 {
    node.at = 0;
    let step = step(node, 3, 430_000, &[offer(5, 20_000)], false);
    node.at = 1;
    match step.update.offered[0].cover {
        Cover::Forward { claims_overdue, .. } => claims_overdue,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_channel_that_goes_on_without_its_claims_is_told_of() {
    let more = Htlc { hash: 5, amount: 21_000, ..INCOMING };
    let mut node = paid(&[INCOMING]);
    assert_eq!(overdue(&node, NOW + 599), 0);
    assert_eq!(overdue(&node, NOW + 600), 51_000);
    // In time, and once when late: the claim may have come just after.
    for (number, now, passed) in [(2, NOW + 599, 0), (3, NOW + 600, 0), (4, NOW + 601, 1), (5, NOW + 602, 1)]
    {
        go_on(&mut node, number, now, &[INCOMING, more]);
        assert_eq!(in_the_way(&mut node), passed, "commitment {number}");
    }
    // Told of for as long as it is there.
    assert_eq!(overdue(&node, NOW + 2 * WINDOW), 51_000);
    approve(&mut node, 6, 551_000, &[more]);
    assert_eq!((in_the_way(&mut node), overdue(&node, NOW + 2 * WINDOW)), (0, 0));
}

#[test]
fn a_peer_that_is_away_stands_in_nobodys_way() {
    let more = Htlc { hash: 5, amount: 21_000, ..INCOMING };
    let mut node = paid(&[INCOMING]);
    // Back after a day; lnd claims with the second commitment, and the new HTLC is forwarded before that.
    go_on(&mut node, 2, NOW + WINDOW, &[INCOMING, more]);
    assert_eq!(in_the_way(&mut node), 0);
    approve(&mut node, 3, 551_000, &[more]);
    assert_eq!(in_the_way(&mut node), 0);
    // A channel that never came back is told of for a window only: the chain may have settled it.
    let node = paid(&[INCOMING]);
    assert_eq!((overdue(&node, NOW + WINDOW - 1), overdue(&node, NOW + WINDOW)), (51_000, 0));
}

#[test]
fn a_forward_whose_channel_shows_no_end_stops_counting_when_every_htlc_has_ended() {
    let node = paid(&[INCOMING]);
    let at_risk = |now| node.channels.provisional(now, WINDOW).to_sat();
    assert_eq!(at_risk(NOW + WINDOW), 50_000);
    let ended = NOW + WINDOW + 2_160 * 600;
    assert_eq!((at_risk(ended - 1), at_risk(ended)), (50_000, 0));
}
