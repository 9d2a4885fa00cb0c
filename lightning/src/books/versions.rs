//! A number signed again after lnd stopped. What costs us most comes first.

use strongroom_policy::Cover;

use super::claims::overdue;
use super::tests::*;
use crate::classify::tests::channel::*;
use crate::fixture::*;

const INCOMING: Htlc = Htlc { by_us: false, hash: 3, amount: 51_000, cltv: 700_100 };

/// An incoming HTLC on channel 1; channel 0 comes next.
fn incoming() -> Node {
    let mut node = Node::with_two_channels(500_000);
    node.at = 1;
    approve(&mut node, 1, 500_000, &[INCOMING]);
    node.at = 0;
    node
}

/// The same, and channel 0 pays it on.
fn forwarding() -> Node {
    let mut node = incoming();
    approve(&mut node, 1, 450_000, &[offer(3, 50_000)]);
    node
}

/// What the incoming channel's next commitment would have unpaid, the HTLC being gone for nothing.
fn unpaid(node: &mut Node) -> usize {
    node.at = 1;
    let unpaid = step(node, 2, 500_000, &[], false).update.unpaid.len();
    node.at = 0;
    unpaid
}

fn provisional(node: &Node) -> u64 {
    node.channels.provisional(NOW, WINDOW).to_sat()
}

fn covers(node: &mut Node, number: u64, ours: u64, htlcs: &[Htlc]) -> Vec<Cover> {
    step(node, number, ours, htlcs, false).update.offered.into_iter().map(|offered| offered.cover).collect()
}

#[test]
fn a_version_given_up_stays_charged() {
    let mut node = Node::with_channel(500_000);
    node.authorize(authorized(3, 50_000, 1), NOW);
    approve(&mut node, 1, 450_000, &[offer(3, 50_000)]);
    approve(&mut node, 1, 500_000, &[]);
    // The peer has both versions: another HTLC of the hash, on whatever channel, is another attempt.
    assert!(matches!(covers(&mut node, 2, 450_000, &[offer(3, 50_000)])[..], [Cover::Beyond { .. }]));
    // What was moved to the peer in either version is lost in each.
    let lost =
        |node: &mut Node, number, ours| step(node, number, ours, &[], false).update.unexplained_outflow;
    assert_eq!(lost(&mut node, 1, 400_000), sat(100_000));
    assert_eq!(lost(&mut node, 2, 400_000), sat(100_000));
}

#[test]
fn what_a_version_given_up_brought_back_is_at_risk_again() {
    let mut node = forwarding();
    // It comes back, and the incoming one is let go: nothing is at risk.
    approve(&mut node, 2, 500_000, &[]);
    node.at = 1;
    approve(&mut node, 2, 500_000, &[]);
    assert_eq!(provisional(&node), 0);
    // But it did not come back.
    node.at = 0;
    approve(&mut node, 2, 450_000, &[offer(3, 50_000)]);
    assert_eq!(provisional(&node), 50_000);
    // Nor does the next number end it without its amount.
    approve(&mut node, 3, 450_000, &[]);
    assert_eq!(provisional(&node), 50_000);
}

#[test]
fn a_claim_in_a_version_given_up_is_none() {
    let mut node = forwarding();
    approve(&mut node, 2, 450_000, &[]);
    node.at = 1;
    approve(&mut node, 2, 551_000, &[]);
    assert_eq!(provisional(&node), 0);
    approve(&mut node, 2, 500_000, &[INCOMING]);
    assert_eq!(provisional(&node), 50_000);
    let again = step(&mut node, 2, 500_000, &[], false);
    assert_eq!(again.update.unexplained_outflow, sat(0), "the claim is no loss: it was not made");
}

/// lnd asked for a commitment with the outgoing HTLC, was told to stop before it sent it, and never offered it.
#[test]
fn an_htlc_that_only_a_version_given_up_offered_was_not_paid() {
    let mut node = forwarding();
    approve(&mut node, 1, 500_000, &[]);
    assert_eq!(unpaid(&mut node), 0);
    // The peer has that version: until the forward is over it stays at risk.
    assert_eq!(provisional(&node), 50_000);
}

#[test]
fn an_htlc_offered_again_is_the_same_forward() {
    let mut node = forwarding();
    approve(&mut node, 1, 500_000, &[]);
    for (number, ours) in [(1, 449_999), (2, 450_000)] {
        let covers = covers(&mut node, number, ours, &[offer(3, 50_000)]);
        assert!(matches!(covers[..], [Cover::Forward { again: true, .. }]), "{number}: {covers:?}");
        // One only.
        let two =
            step(&mut node, number, 400_000, &[offer(3, 50_000), offer(3, 50_000)], false).update.offered;
        assert!(matches!(two[1].cover, Cover::Own), "{number}: {two:?}");
    }
    approve(&mut node, 2, 450_000, &[offer(3, 50_000)]);
    assert_eq!(provisional(&node), 50_000);
    approve(&mut node, 3, 450_000, &[]);
    assert_eq!(unpaid(&mut node), 1, "now it was paid");
}

#[test]
fn an_htlc_paid_in_a_version_given_up_may_still_come_back() {
    let mut node = forwarding();
    approve(&mut node, 2, 450_000, &[]);
    assert_eq!(unpaid(&mut node), 1);
    approve(&mut node, 2, 450_000, &[offer(3, 50_000)]);
    assert_eq!(unpaid(&mut node), 0);
    approve(&mut node, 3, 500_000, &[]);
    assert_eq!(unpaid(&mut node), 0);
    node.at = 1;
    approve(&mut node, 2, 500_000, &[]);
    assert_eq!(provisional(&node), 0);
}

/// The first version shows amounts that came in, and the second does not yet; a second later they come in all the same.
#[test]
fn neither_version_is_a_loss_beside_the_other() {
    let mut node = Node::with_channel(500_000);
    let (pays, keeps) = (Htlc { by_us: false, ..offer(7, 20_000) }, offer(8, 30_000));
    approve(&mut node, 1, 470_000, &[pays, keeps]);
    let first = approve(&mut node, 2, 520_000, &[]);
    let second = approve(&mut node, 2, 470_000, &[pays, keeps]);
    let third = approve(&mut node, 2, 490_000, &[keeps, offer(9, 1_000)]);
    for step in [first, second] {
        assert_eq!((step.update.unexplained_outflow, step.update.offered.len()), (sat(0), 0));
    }
    // The HTLC that is new beside both versions is charged, and its amount is missing.
    assert_eq!((third.update.unexplained_outflow, third.update.offered.len()), (sat(0), 1));
}

/// Offers the HTLCs on channel 0 once all that its last number carried was paid; answers what each is paid from.
fn paid_then_offered(node: &mut Node, number: u64, ours: u64, htlcs: &[Htlc]) -> Vec<Cover> {
    approve(node, number, ours, &[]);
    covers(node, number + 1, ours - htlcs.iter().map(|htlc| htlc.amount).sum::<u64>(), htlcs)
}

#[test]
fn twins_that_are_paid_at_once_end_a_forward_each() {
    let mut node = Node::with_two_channels(500_000);
    node.at = 1;
    approve(&mut node, 1, 500_000, &[INCOMING, INCOMING]);
    node.at = 0;
    let twins = [offer(3, 50_000), offer(3, 50_000)];
    approve(&mut node, 1, 400_000, &twins);
    assert_eq!(provisional(&node), 100_000);
    let again = paid_then_offered(&mut node, 2, 400_000, &twins);
    assert!(matches!(again[..], [Cover::Own, Cover::Own]), "{again:?}");
    assert_eq!(provisional(&node), 100_000);
    // Both claims are owed.
    assert_eq!(overdue(&node, NOW + 600), 102_000);
}

/// Its incoming HTLC is claimed, its outgoing one paid, and then the claim is taken back by another version.
#[test]
fn a_forward_that_a_version_reopens_pays_for_nothing_more() {
    let mut node = forwarding();
    node.at = 1;
    approve(&mut node, 2, 551_000, &[]);
    node.at = 0;
    approve(&mut node, 2, 450_000, &[]);
    assert_eq!(provisional(&node), 0);
    node.at = 1;
    let reopened = step(&mut node, 2, 500_000, &[INCOMING], false).update.reopened.expect("at risk again");
    assert_eq!((reopened.total, reopened.channels.len()), (sat(50_000), 1));
    approve(&mut node, 2, 500_000, &[INCOMING]);
    assert_eq!(provisional(&node), 50_000);
    node.at = 0;
    let again = covers(&mut node, 3, 400_000, &[offer(3, 50_000)]);
    assert!(matches!(again[..], [Cover::Own]), "{again:?}");
}

/// A forward that was closed keeps its number for as long as a version may bring it back.
#[test]
fn a_reopened_forward_is_not_taken_for_a_later_one() {
    let mut node = forwarding();
    node.at = 1;
    let other = Htlc { hash: 4, ..INCOMING };
    approve(&mut node, 2, 551_000, &[other]);
    node.at = 0;
    approve(&mut node, 2, 410_000, &[offer(3, 50_000), offer(4, 40_000)]);
    assert_eq!(provisional(&node), 40_000);
    node.at = 1;
    approve(&mut node, 2, 500_000, &[INCOMING, other]);
    assert_eq!(provisional(&node), 90_000);
}

/// What the peer may take of either version is at risk until the forward is over, and no HTLC that is new takes its place.
#[test]
fn only_what_was_given_up_is_offered_again() {
    let mut node = forwarding();
    let mut twin = covers(&mut node, 2, 400_000, &[offer(3, 50_000), offer(3, 50_000)]);
    assert!(matches!(twin[..], [Cover::Own]), "the HTLC is there, its twin is another: {twin:?}");
    approve(&mut node, 1, 500_000, &[]);
    twin = covers(&mut node, 2, 400_000, &[offer(3, 50_000), offer(3, 50_000)]);
    assert!(matches!(twin[..], [Cover::Forward { again: true, .. }, Cover::Own]), "{twin:?}");
    approve(&mut node, 2, 450_000, &[offer(3, 50_000)]);
    twin = covers(&mut node, 3, 400_000, &[offer(3, 50_000), offer(3, 50_000)]);
    assert!(matches!(twin[..], [Cover::Own]), "{twin:?}");
}

/// A part of an authorised payment that lnd gave up with its version is not in flight beside the one that it sent.
#[test]
fn a_version_given_up_is_not_in_flight_beside_the_other() {
    let mut node = Node::with_channel(500_000);
    node.authorize(authorized(3, 50_000, 2), NOW);
    approve(&mut node, 1, 450_000, &[offer(3, 50_000)]);
    let later = Htlc { cltv: 700_001, ..offer(3, 50_000) };
    assert_eq!(covers(&mut node, 1, 450_000, &[later]), [Cover::Authorized]);
}

/// The HTLC given up was our own beside the forward's, which goes on as before.
#[test]
fn a_twin_given_up_leaves_the_forward_where_it_is() {
    let mut node = forwarding();
    approve(&mut node, 2, 400_000, &[offer(3, 50_000), offer(3, 50_000)]);
    approve(&mut node, 2, 450_000, &[offer(3, 50_000)]);
    let again = covers(&mut node, 3, 400_000, &[offer(3, 50_000), offer(3, 50_000)]);
    assert!(matches!(again[..], [Cover::Own]), "{again:?}");
}
