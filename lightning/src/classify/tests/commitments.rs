use strongroom_policy::case::{Destination, Evidence, Spend};

use super::channel::*;
use crate::fixture::*;
use crate::script::funding_script;

fn theirs(node: &Node, number: u64, to_remote: u64) -> Spend {
    let channel = node.funding_outpoint();
    Spend::CounterpartyCommitment { channel, number, to_remote: sat(to_remote) }
}

fn ours(node: &Node, number: u64) -> Spend {
    Spend::HolderCommitment { channel: node.funding_outpoint(), number }
}

#[test]
fn the_funding_output_is_the_one_seen_first() {
    let node = Node::with_channel(500_000);
    let next = node.commitment_tx(1, 500_000, &[]);
    let lied = node.funding_spend_of(&next, CAPACITY + 1, 1);
    assert!(node.refused(&lied).contains("1000000 sat"), "{}", node.refused(&lied));
}

#[test]
fn a_multisig_key_belongs_to_one_channel() {
    let node = Node::with_channel(500_000);
    let elsewhere = numbered(outpoint(78), 0, node.commitment_tx(0, 5, &[]).output);
    let told = node.refused(&node.funding_spend(&elsewhere, 1));
    assert!(told.contains("belongs to channel"), "{told}");
    assert!(told.contains("1 keys are taken, the last of them {0/"), "{told}");
}

#[test]
fn commitments_are_signed_with_all_and_nothing_beside() {
    let node = Node::with_channel(500_000);
    let next = node.commitment_tx(1, 500_000, &[]);
    for sighash in [2, 3, 0x81, 0x83] {
        assert!(node.refused(&node.funding_spend(&next, sighash)).contains("SIGHASH_ALL"));
    }
    let mut joined = next.clone();
    joined.input.push(transaction(&[(outpoint(5), 0)], vec![], 0).input.remove(0));
    assert!(node.refused(&node.funding_spend(&joined, 1)).contains("beside other inputs"));
    let mut version = next;
    version.version = bitcoin::transaction::Version::ONE;
    assert!(node.refused(&node.funding_spend(&version, 1)).contains("neither commitment"));
}

#[test]
fn numbers_follow_one_another() {
    let mut node = Node::with_channel(500_000);
    node.approve(&node.commitment(1, 500_000, &[]));
    node.approve(&node.commitment(2, 499_000, &[]));
    for number in [0, 1] {
        let why = node.refused(&node.commitment(number, 600_000, &[]));
        assert!(why.contains("does not follow number 2"), "{why}");
    }
    // lnd may sign the latest number anew.
    assert_eq!(node.approve(&node.commitment(2, 498_000, &[])), theirs(&node, 2, 498_000));
    assert_eq!(node.approve(&node.commitment(3, 498_000, &[])), theirs(&node, 3, 498_000));
    // The very transaction signed before is no step back, and changes nothing.
    let (ask, learned) = node.ask(&node.commitment(1, 500_000, &[]));
    assert_eq!(ask.spend, theirs(&node, 1, 500_000));
    assert!(learned.is_empty());
}

#[test]
fn our_own_commitment_is_not_taken_for_theirs() {
    // We have a balance: what lacks our to_remote is ours.
    let node = Node::with_channel(500_000);
    for number in [0, 1, 7] {
        assert_eq!(node.spend(&node.own_commitment(number, 400_000, &[])), ours(&node, number));
    }
    assert_eq!(node.spend(&node.commitment(1, 0, &[])), ours(&node, 1), "cannot be told, so ours");
    // We had none at the beginning: the peer's constant script tells.
    let mut node = Node::with_channel(0);
    assert_eq!(node.approve(&node.commitment(1, 0, &[])), theirs(&node, 1, 0));
    assert_eq!(node.spend(&node.own_commitment(2, 0, &[])), ours(&node, 2));
    assert_eq!(node.spend(&node.own_commitment(2, 5_000, &[])), ours(&node, 2));
    // Then we have some.
    assert_eq!(node.approve(&node.commitment(2, 9_000, &[])), theirs(&node, 2, 9_000));
    assert_eq!(node.spend(&node.commitment(3, 0, &[])), ours(&node, 3));
}

#[test]
fn there_is_one_commitment_0_of_ours() {
    let mut node = Node::with_channel(500_000);
    assert_eq!(node.approve(&node.own_commitment(0, 500_000, &[])), ours(&node, 0));
    let mut other = node.own_commitment_tx(0, 500_000, &[]);
    other.output.last_mut().unwrap().script_pubkey = stranger(666);
    assert!(node.refused(&node.funding_spend(&other, 1)).contains("another commitment 0"));
    // Asked again after a force close, it does not make the channel open.
    node.approve(&node.own_commitment(1, 400_000, &[]));
    node.approve(&node.own_commitment(0, 500_000, &[]));
    assert_eq!(node.channels.open_capacity(), sat(0));
}

#[test]
fn to_remote_of_another_channel_does_not_count() {
    let mut node = Node::with_channel(500_000);
    node.reserve(1);
    let script = funding_script(&node.seed.bytes(0, 1), &PEER);
    let spent = pays(CAPACITY, &script.to_p2wsh());
    let second = |outputs| {
        let tx = numbered(outpoint(78), 0, outputs);
        let (path, spent) = (lightning(0, 1), spent.clone());
        psbt(&tx, &[signed_input(&spent, &path, &node.seed.key(&path), 1, Some(&script), None)])
    };
    let borrowed = second(vec![pays(400_000, &node.to_remote())]);
    assert!(node.refused(&borrowed).contains("to_remote is that of channel"));
    // A channel's to_remote stays the same.
    let mut other = node.commitment_tx(1, 500_000, &[]);
    let changed = crate::script::to_remote_script(&node.seed.bytes(3, 1)).to_p2wsh();
    for output in other.output.iter_mut().filter(|o| o.script_pubkey == node.to_remote()) {
        output.script_pubkey = changed.clone();
    }
    assert_eq!(node.spend(&node.funding_spend(&other, 1)), ours(&node, 1));
}

#[test]
fn a_channels_life_is_understood() {
    let mut node = Node::new();
    node.reserve(0);
    assert_eq!(node.channels.open_reservations(), 1);
    let first = node.commitment(0, 600_000, &[]);
    let (ask, _) = node.ask(&first);
    assert_eq!(ask.spend, theirs(&node, 0, 600_000));
    assert_eq!(ask.inputs[0].evidence, Evidence::Committed);
    let to: Vec<_> = ask.outputs.iter().map(|output| output.to).collect();
    use Destination::{OwnChannel, Stranger};
    assert_eq!(to, [OwnChannel, OwnChannel, OwnChannel, Stranger]);
    assert_eq!(ask.fee(), Some(sat(2_000)));
    node.approve(&first);
    assert_eq!(node.channels.open_reservations(), 0);
    let channel = node.funding_outpoint();
    assert_eq!(node.channels.capacity(&channel), Some(sat(CAPACITY)));
    assert_eq!(node.channels.open_capacity(), sat(CAPACITY));
    assert_eq!(node.channels.first_to_remote(&channel), Some(sat(600_000)));
    assert_eq!(node.approve(&node.own_commitment(0, 600_000, &[])), ours(&node, 0));
    assert_eq!(node.channels.open_capacity(), sat(CAPACITY), "number 0 closes nothing");
    assert_eq!(node.approve(&node.commitment(1, 500_000, &[])), theirs(&node, 1, 500_000));
    assert_eq!(node.approve(&node.own_commitment(1, 500_000, &[])), ours(&node, 1));
    assert_eq!(node.channels.open_capacity(), sat(0), "a force close does");
    node.approve(&node.commitment(2, 500_000, &[]));
    assert_eq!(node.channels.open_capacity(), sat(0), "and the channel does not go on");
    assert_eq!(node.channels.first_to_remote(&channel), Some(sat(600_000)));
}
