//! A signer whose record of a channel is older than lnd's, or that never saw it: the channel only closes.

use bitcoin::TxOut;
use strongroom_policy::Frozen;
use strongroom_policy::case::Spend;

use super::channel::*;
use crate::books::tests::{Htlc, approve, offer, terms};
use crate::channels::CloseAllowance;
use crate::fixture::*;

const INCOMING: Htlc = Htlc { by_us: false, hash: 3, amount: 50_000, cltv: 700_100 };

/// A channel of which commitments 1 and 2 were signed, the latter paying us 400,000.
fn used() -> Node {
    let mut node = Node::with_channel(500_000);
    approve(&mut node, 1, 400_000, &[offer(9, 100_000)]);
    approve(&mut node, 2, 400_000, &[]);
    node
}

fn frozen(node: &Node, number: u64, ours: u64, htlcs: &[TxOut]) -> Option<Frozen> {
    let (ask, learned) = node.ask(&node.commitment(number, ours, htlcs));
    let step = node.channels.step(&ask, &learned, terms(true)).expect("a step");
    step.update.frozen
}

fn close(node: &Node) -> Vec<u8> {
    let outputs = vec![pays(390_000, &node.wallet_script(0, 1)), pays(500_000, &stranger(1))];
    node.funding_spend(&transaction(&[(node.funding_outpoint(), u32::MAX)], outputs, 0), 1)
}

/// Lets the node learn what a refusal shows, as the journal does.
fn refuse(node: &mut Node, number: u64) -> bool {
    let (ask, learned) = node.ask(&node.commitment(number, 300_000, &[]));
    assert!(learned.is_empty(), "it teaches nothing as a commitment");
    let noticed = node.channels.fell_behind(&ask);
    let new = !noticed.is_empty();
    node.learn(noticed);
    new
}

#[test]
fn a_number_further_on_ends_the_channels_updates() {
    for asked in [4, 9, 1 << 40] {
        let mut node = used();
        let behind = Some(Frozen::Behind { signed: 2, asked });
        assert_eq!(frozen(&node, asked, 300_000, &[]), behind);
        assert_eq!(node.channels.behind_count(), 0, "before it is refused");
        assert!(refuse(&mut node, asked));
        assert!(!refuse(&mut node, asked + 1), "it is told of once");
        assert_eq!(node.channels.behind_count(), 1);
        // Also the number that would have followed, and the latest again with other contents.
        for number in [2, 3, asked, asked + 1] {
            assert_eq!(frozen(&node, number, 300_000, &[]), behind, "{number}");
        }
        let htlc = INCOMING;
        let commitment = node.commitment_tx(asked, 300_000, &[htlc.output(&node)]);
        let asked_for = htlc.request(&node, &commitment, 2, &delayed_script(3));
        assert!(node.refused(&asked_for).contains("without this signer"));
    }
}

#[test]
fn what_follows_or_comes_before_shows_nothing() {
    let mut node = used();
    for number in [2, 3] {
        assert_eq!(frozen(&node, number, 300_000, &[]), None);
        let (ask, _) = node.ask(&node.commitment(number, 300_000, &[]));
        assert!(node.channels.fell_behind(&ask).is_empty());
    }
    assert!(node.refused(&node.commitment(1, 300_000, &[])).contains("does not follow"));
    // A request that is none of the channel's.
    let (ask, _) = node.ask(&close(&node));
    assert!(node.channels.fell_behind(&ask).is_empty());
    // Where a close was signed, that stays the reason.
    node.approve(&close(&node));
    assert!(!refuse(&mut node, 9));
    assert_eq!(frozen(&node, 9, 300_000, &[]), Some(Frozen::MutualClose));
    assert_eq!(node.channels.behind_count(), 0);
}

/// By force with any number that is further on; by agreement with what an operator says, not with the balance of then.
#[test]
fn a_channel_that_is_behind_closes() {
    let mut node = used();
    assert!(matches!(node.spend(&close(&node)), Spend::MutualClose { by_word: false, .. }));
    refuse(&mut node, 9);
    let command = format!("channel allow-close NODE {}", node.funding_outpoint());
    assert!(node.refused(&close(&node)).contains(&command));
    let word = CloseAllowance { at_least: sat(290_000), expires: 2_000, created: 0 };
    node.allow_close(node.funding_outpoint(), word, 1_000);
    assert_eq!(
        node.spend(&close(&node)),
        Spend::MutualClose {
            channel: node.funding_outpoint(),
            our_balance: sat(290_000),
            peers_balance: sat(0),
            htlcs_pending: false,
            by_word: true
        }
    );
    let channel = node.funding_outpoint();
    assert_eq!(
        node.approve(&node.own_commitment(9, 300_000, &[])),
        Spend::HolderCommitment { channel, number: 9 }
    );
    assert_eq!(node.channels.behind_count(), 0, "closing");
}

/// One that was never seen has no balance to hold anything to. What opens under our eyes has its reservation.
#[test]
fn a_channel_whose_opening_was_not_seen_does_not_go_on() {
    let mut node = Node::new();
    for number in [0, 7] {
        assert_eq!(frozen(&node, number, 300_000, &[]), Some(Frozen::Unseen));
    }
    // Nor after our own commitment was signed, by which it is known.
    node.approve_as_own(&node.own_commitment(7, 300_000, &[]));
    assert_eq!(frozen(&node, 8, 300_000, &[]), Some(Frozen::Unseen));
    let mut node = Node::new();
    node.reserve(0);
    assert_eq!(frozen(&node, 0, 300_000, &[]), None);
}
