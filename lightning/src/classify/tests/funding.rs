use bitcoin::{OutPoint, TxOut};
use strongroom_policy::WalletPath;
use strongroom_policy::case::{Destination, Evidence, Spend};

use super::channel::*;
use crate::fixture::*;

fn coins(node: &Node, amount: u64) -> TxOut {
    pays(amount, &node.wallet_script(0, 0))
}

fn pay(node: &Node, outputs: Vec<TxOut>) -> Vec<u8> {
    let tx = transaction(&[(outpoint(1), 0)], outputs, 0);
    node.spend_wallet(&tx, &[coins(node, 2_000_000)], 0)
}

#[test]
fn without_reservation_a_script_hash_is_a_strangers() {
    let node = Node::new();
    let paid = pay(&node, vec![pays(5, &stranger(1))]);
    assert_eq!(node.spend(&paid), Spend::Onchain);
    assert_eq!(node.destinations(&paid), [Destination::Stranger]);
}

#[test]
fn no_more_fundings_than_reservations() {
    let mut node = Node::new();
    node.reserve(0);
    let two = pay(&node, vec![pays(5, &stranger(1)), pays(6, &stranger(2))]);
    assert_eq!(node.destinations(&two), [Destination::Stranger; 2]);
    node.reserve(1);
    assert_eq!(node.destinations(&two), [Destination::MaybeFunding; 2]);
    node.approve(&two);
    assert_eq!(node.channels.unmatched_funding(), (sat(11), 2));
}

#[test]
fn ecdh_with_a_strangers_point_reserves_nothing() {
    let node = Node::new();
    let key = strongroom_policy::KeyLocator { family: 5, index: 1 };
    let point = Seed::new(2).key(&lightning(0, 0));
    let (ask, learned) = node.channels.classify_ecdh(key, &point, &node.accounts);
    assert_eq!((ask.with_own_multisig, learned.is_empty()), (None, true));
    let other = strongroom_policy::KeyLocator { family: 6, index: 0 };
    let own = node.seed.key(&lightning(0, 0));
    let (ask, learned) = node.channels.classify_ecdh(other, &own, &node.accounts);
    assert_eq!((ask.with_own_multisig, learned.is_empty()), (None, true));
}

#[test]
fn a_commitment_must_spend_the_funding_as_we_made_it() {
    let mut node = Node::new();
    node.reserve(0);
    let funding = node.funding_script().to_p2wsh();
    let tx = transaction(&[(outpoint(1), 0)], vec![pays(CAPACITY, &funding)], 0);
    node.approve(&node.spend_wallet(&tx, &[coins(&node, 2_000_000)], 0));
    assert_eq!(node.channels.unmatched_funding(), (sat(CAPACITY), 1));

    let outpoint = OutPoint { txid: tx.compute_txid(), vout: 0 };
    let commitment = numbered(outpoint, 0, node.commitment_tx(0, 600_000, &[]).output);
    let lied = node.funding_spend_of(&commitment, CAPACITY + 1, 1);
    assert!(node.refused(&lied).contains("which we signed as 1000000 sat"));
    let first = node.funding_spend(&commitment, 1);
    let (ask, _) = node.ask(&first);
    assert_eq!(ask.inputs[0].evidence, Evidence::Ledger);
    node.approve(&first);
    assert_eq!(node.channels.unmatched_funding(), (sat(0), 0));
    // Asked again for another input or fee bump, the funding is known.
    let again = node.spend_wallet(&tx, &[coins(&node, 2_000_000)], 0);
    let multisig = strongroom_policy::KeyLocator { family: 0, index: 0 };
    assert_eq!(node.destinations(&again), [Destination::OwnFunding(multisig)]);
}

#[test]
fn a_funding_known_by_its_commitment_is_the_channels_own() {
    let mut node = Node::new();
    node.reserve(0);
    let funding = node.funding_script().to_p2wsh();
    let tx = transaction(&[(outpoint(1), 0)], vec![pays(CAPACITY, &funding), pays(7, &funding)], 0);
    let at = OutPoint { txid: tx.compute_txid(), vout: 0 };
    let first = numbered(at, 0, node.commitment_tx(0, 600_000, &[]).output);
    node.approve(&node.funding_spend(&first, 1));
    let paid = node.spend_wallet(&tx, &[coins(&node, 2_000_000)], 0);
    let multisig = strongroom_policy::KeyLocator { family: 0, index: 0 };
    // Coins sent to the 2-of-2 a second time fund nothing.
    let expected = [Destination::OwnFunding(multisig), Destination::Stranger];
    assert_eq!(node.destinations(&paid), expected);
}

#[test]
fn channel_keys_hold_no_change() {
    let node = Node::new();
    let multisig = bitcoin::key::CompressedPublicKey(node.seed.key(&lightning(0, 0)));
    let channel = bitcoin::ScriptBuf::new_p2wpkh(&multisig.wpubkey_hash());
    let nothing = bitcoin::ScriptBuf::new_op_return([1; 4]);
    let change = node.wallet_script(1, 3);
    let paid = pay(&node, vec![pays(5, &channel), pays(0, &nothing), pays(6, &change)]);
    let own = WalletPath { purpose: 84, branch: 1, index: 3 };
    let expected = [Destination::Stranger, Destination::Unspendable, Destination::OwnWallet(own)];
    assert_eq!(node.destinations(&paid), expected);
}

#[test]
fn amounts_beside_the_signed_one_are_claims() {
    let node = Node::new();
    let tx = transaction(&[(outpoint(1), 0), (outpoint(2), 0)], vec![pays(5, &stranger(1))], 0);
    let spent = [coins(&node, 7), coins(&node, 8)];
    let evidence = |index| {
        let (ask, _) = node.ask(&node.spend_wallet(&tx, &spent, index));
        ask.inputs.iter().map(|input| input.evidence).collect::<Vec<_>>()
    };
    assert_eq!(evidence(0), [Evidence::Committed, Evidence::Claimed]);
    assert_eq!(evidence(1), [Evidence::Claimed, Evidence::Committed]);
    // Both signed at once: neither signature commits to the other's amount.
    let path = wallet(84, 0, 0);
    let field = |spent| signed_input(spent, &path, &node.seed.key(&path), 1, None, None);
    let (ask, _) = node.ask(&psbt(&tx, &[field(&spent[0]), field(&spent[1])]));
    let evidence: Vec<_> = ask.inputs.iter().map(|input| input.evidence).collect();
    assert_eq!(evidence, [Evidence::Claimed, Evidence::Claimed]);
}
