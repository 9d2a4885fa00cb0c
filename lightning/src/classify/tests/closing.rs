use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut};
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};
use strongroom_policy::case::{Destination, Spend, SweepOf};
use strongroom_policy::{KeyPath, WalletPath};

use super::channel::*;
use super::htlcs::{TWEAK, offered};
use crate::channels::{CloseAllowance, CloseAllowanceError};
use crate::fixture::*;
use crate::script::{anchor_script, to_remote_script};

fn close(node: &Node, sequence: u32, lock_time: u32, outputs: usize) -> Vec<u8> {
    let own = pays(500_000, &node.wallet_script(0, 1));
    let outputs = [vec![own], vec![pays(100_000, &stranger(1)); outputs - 1]].concat();
    let tx = transaction(&[(node.funding_outpoint(), sequence)], outputs, lock_time);
    node.funding_spend(&tx, 1)
}

#[test]
fn closes_of_unknown_channels_or_forms_are_refused() {
    let node = Node::new();
    assert!(node.refused(&close(&node, u32::MAX, 0, 2)).contains("no commitment was seen"));
    let node = Node::with_channel(500_000);
    assert!(node.refused(&close(&node, u32::MAX, 5, 2)).contains("neither commitment"));
    assert!(node.refused(&close(&node, 0xffff_fffe, 0, 2)).contains("neither commitment"));
    assert!(node.refused(&close(&node, u32::MAX, 0, 3)).contains("neither commitment"));
    let tx = transaction(&[(node.funding_outpoint(), u32::MAX)], vec![pays(5, &stranger(1))], 0);
    assert!(node.refused(&node.funding_spend(&tx, 0x81)).contains("SIGHASH_ALL"));
    assert!(node.refused(&node.funding_spend_of(&tx, CAPACITY - 1, 1)).contains("not 999999 sat"));
}

#[test]
fn closes_tell_what_is_ours_and_what_is_pending() {
    let mut node = Node::with_channel(500_000);
    let channel = node.funding_outpoint();
    let expected = |our_balance, peers_balance, htlcs_pending| Spend::MutualClose {
        channel,
        our_balance: sat(our_balance),
        peers_balance: sat(peers_balance),
        htlcs_pending,
        by_word: false,
    };
    for (sequence, lock_time) in [(u32::MAX, 0), (0xffff_fffd, 0), (0xffff_fffd, 800_000)] {
        let close = close(&node, sequence, lock_time, 2);
        assert_eq!(node.spend(&close), expected(500_000, CAPACITY - 500_000 - 660 - 2_000, false));
        let own = Destination::OwnWallet(WalletPath { purpose: 84, branch: 0, index: 1 });
        assert_eq!(node.destinations(&close), [own, Destination::Stranger]);
    }
    node.approve(&close(&node, u32::MAX, 0, 2));
    assert_eq!(node.channels.open_capacity(), sat(0));
    node.approve(&node.commitment(1, 400_000, &[pays(90_000, &stranger(8))]));
    assert_eq!(
        node.spend(&close(&node, u32::MAX, 0, 2)),
        expected(400_000, CAPACITY - 400_000 - 660 - 2_000, true)
    );
}

fn word(at_least: u64) -> CloseAllowance {
    CloseAllowance { at_least: sat(at_least), expires: 2_000, created: 0 }
}

fn by_word(node: &Node, at_least: u64) -> Spend {
    let (channel, our_balance) = (node.funding_outpoint(), sat(at_least));
    Spend::MutualClose { channel, our_balance, peers_balance: sat(0), htlcs_pending: false, by_word: true }
}

#[test]
fn without_an_operators_word_a_close_with_no_balance_names_the_command() {
    let mut node = Node::new();
    let command = format!("channel allow-close NODE {} --at-least SAT", node.funding_outpoint());
    assert!(node.refused(&close(&node, u32::MAX, 0, 2)).contains(&command));
    // Our own commitment alone says nothing of what is ours either.
    let own = node.own_commitment(3, 500_000, &[]);
    node.approve_as_own(&own);
    assert!(node.refused(&close(&node, u32::MAX, 0, 2)).contains(&command));
    // A word on another channel, one that is over, and other forms.
    node.allow_close(outpoint(1), word(400_000), 1_000);
    assert!(node.refused(&close(&node, u32::MAX, 0, 2)).contains(&command));
    node.allow_close(node.funding_outpoint(), word(400_000), 1_000);
    node.channels.tell_time(2_000);
    assert!(node.refused(&close(&node, u32::MAX, 0, 2)).contains(&command));
    node.channels.tell_time(1_999);
    assert!(node.refused(&close(&node, u32::MAX, 5, 2)).contains("neither commitment"));
    assert!(node.refused(&close(&node, u32::MAX, 0, 3)).contains("neither commitment"));
    let tx = transaction(&[(node.funding_outpoint(), u32::MAX)], vec![pays(5, &stranger(1))], 0);
    assert!(node.refused(&node.funding_spend(&tx, 0x81)).contains("SIGHASH_ALL"));
    node.channels.tell_time(0);
}

#[test]
fn a_word_is_of_one_channel_and_holds_for_a_time() {
    let node = Node::with_channel(500_000);
    let (channel, expires) = (node.funding_outpoint(), |expires| CloseAllowance { expires, ..word(5) });
    for wrong in [1_000, 999, 1_001 + 31 * 24 * 3_600] {
        let found = node.channels.allow_close(channel, expires(wrong), 1_000);
        assert!(matches!(found, Err(CloseAllowanceError::Expiry(_))), "{wrong}");
    }
    let found = node.channels.allow_close(channel, word(CAPACITY + 1), 1_000);
    assert!(matches!(found, Err(CloseAllowanceError::TooMuch { capacity: CAPACITY, .. })));
}

/// One that is not known, one whose latest commitment has HTLCs that lnd never sent, and one that is frozen.
#[test]
fn a_close_is_held_to_what_an_operator_said() {
    let mut node = Node::new();
    node.allow_close(node.funding_outpoint(), word(400_000), 1_000);
    // Each fee that lnd and its peer try.
    for outputs in [1, 2] {
        let close = close(&node, u32::MAX, 0, outputs);
        assert_eq!(node.approve(&close), by_word(&node, 400_000));
    }
    assert!(node.channels.is_empty(), "nothing is learned of a channel by its end");

    let mut node = Node::with_channel(500_000);
    node.approve(&node.commitment(1, 400_000, &[pays(90_000, &stranger(8))]));
    node.allow_close(node.funding_outpoint(), word(450_000), 1_000);
    node.allow_close(node.funding_outpoint(), word(490_000), 1_001);
    assert_eq!(node.approve(&close(&node, u32::MAX, 0, 2)), by_word(&node, 490_000));
    assert_eq!(node.channels.open_capacity(), sat(0));
    node.allow_close(node.funding_outpoint(), word(480_000), 1_002);
    assert_eq!(node.spend(&close(&node, u32::MAX, 0, 1)), by_word(&node, 480_000));
    // What is over goes with the next word.
    node.allow_close(outpoint(1), CloseAllowance { expires: 3_000, ..word(5) }, 2_000);
    assert_eq!(node.channels.close_allowances(0).count(), 1);
}

/// `to_local` of ours or of a cheater.
pub(super) fn delayed(revocation: &PublicKey, delayed: &PublicKey) -> ScriptBuf {
    let script = [
        &[0x63, 33][..],
        &revocation.serialize(),
        &[0x67, 0x02, 0x90, 0x00, 0xb2, 0x75, 33],
        &delayed.serialize(),
        &[0x68, 0xac],
    ];
    ScriptBuf::from(script.concat())
}

fn collect(node: &Node, path: KeyPath, script: &ScriptBuf, tweak: Option<(u8, [u8; 32])>) -> Vec<u8> {
    let tx = transaction(&[(outpoint(9), 144)], vec![pays(900, &node.wallet_script(1, 1))], 0);
    node.spend_p2wsh(&tx, &[pays(1_000, &script.to_p2wsh())], path, script, tweak, 1)
}

#[test]
fn keys_collect_only_in_their_own_place() {
    let node = Node::new();
    let other = Seed::new(2).key(&lightning(0, 0));
    let tweak = Some((0x51, scalar(TWEAK)));
    let tweaked = |family| single_tweaked(&node.seed.key(&lightning(family, 0)), scalar(TWEAK));
    let misplaced = |path, script: &ScriptBuf, tweak| {
        let why = node.refused(&collect(&node, path, script, tweak));
        assert!(why.contains("where lnd never puts it"), "{why}");
    };
    // The delayed key in the revocation's place, and other families in the delayed place.
    misplaced(lightning(4, 0), &delayed(&tweaked(4), &other), tweak);
    for family in [0, 1, 2, 3, 6] {
        misplaced(lightning(family, 0), &delayed(&other, &tweaked(family)), tweak);
    }
    let plain = |family| node.seed.bytes(family, 0);
    misplaced(lightning(4, 0), &delayed(&other, &node.seed.key(&lightning(4, 0))), None);
    misplaced(lightning(3, 0), &anchor_script(&plain(3)), None);
    misplaced(lightning(0, 0), &to_remote_script(&plain(0)), None);
    misplaced(lightning(6, 0), &to_remote_script(&plain(6)), None);
    misplaced(wallet(84, 0, 0), &to_remote_script(&node.seed.key(&wallet(84, 0, 0)).serialize()), None);
    let custom = ScriptBuf::builder().push_slice(plain(0)).push_opcode(bitcoin::opcodes::all::OP_CHECKSIG);
    misplaced(lightning(0, 0), &custom.into_script(), None);

    let sweep = |of| Spend::Sweep(of);
    let spend = |path, script: &ScriptBuf, tweak| node.spend(&collect(&node, path, script, tweak));
    assert_eq!(spend(lightning(4, 0), &delayed(&other, &tweaked(4)), tweak), sweep(SweepOf::Delayed));
    assert_eq!(spend(lightning(3, 0), &to_remote_script(&plain(3)), None), sweep(SweepOf::ToRemote));
    assert_eq!(spend(lightning(0, 0), &anchor_script(&plain(0)), None), sweep(SweepOf::Anchor));
}

#[test]
fn a_revocation_secret_punishes() {
    let node = Node::new();
    let secret = scalar(11);
    let revocation = revocation_key(&node.seed.key(&lightning(1, 0)), secret);
    let script = delayed(&revocation, &Seed::new(2).key(&lightning(4, 0)));
    let request = collect(&node, lightning(1, 0), &script, Some((0xd0, secret)));
    assert_eq!(node.spend(&request), Spend::Justice);
    // Another family's key with a secret is no revocation basepoint.
    let revocation = revocation_key(&node.seed.key(&lightning(3, 0)), secret);
    let script = delayed(&revocation, &Seed::new(2).key(&lightning(4, 0)));
    let request = collect(&node, lightning(3, 0), &script, Some((0xd0, secret)));
    assert!(node.refused(&request).contains("where lnd never puts it"));
}

fn revocation_key(base: &PublicKey, secret: [u8; 32]) -> PublicKey {
    use bitcoin::hashes::{Hash as _, sha256};
    let point = SecretKey::from_slice(&secret).unwrap().public_key(SECP256K1);
    let weigh = |a: &PublicKey, b: &PublicKey| {
        let hash = sha256::Hash::hash(&[a.serialize(), b.serialize()].concat());
        a.mul_tweak(SECP256K1, &Scalar::from_be_bytes(hash.to_byte_array()).unwrap()).unwrap()
    };
    weigh(base, &point).combine(&weigh(&point, base)).unwrap()
}

/// A node that has force-closed at number 1 with an HTLC at output 2.
fn force_closed() -> (Node, ScriptBuf, Transaction) {
    let mut node = Node::with_channel(500_000);
    let script = offered(&node, true, true);
    let commitment = node.own_commitment_tx(1, 400_000, &[pays(40_000, &script.to_p2wsh())]);
    node.approve(&node.funding_spend(&commitment, 1));
    (node, script, commitment)
}

fn second_level(
    commitment: &Transaction,
    to: &ScriptBuf,
    coins: u64,
    change: Option<TxOut>,
) -> (Transaction, Vec<TxOut>) {
    let htlc = OutPoint { txid: commitment.compute_txid(), vout: 2 };
    let mut outputs = vec![pays(40_000, to)];
    outputs.extend(change);
    let tx = transaction(&[(htlc, 1), (outpoint(4), 0)], outputs, 700_000);
    let coins = pays(coins, &Node::new().wallet_script(0, 0));
    (tx, vec![commitment.output[2].clone(), coins])
}

#[test]
fn second_level_outputs_pay_nobody_who_is_known() {
    let (node, script, commitment) = force_closed();
    let (path, tweak) = (lightning(2, 0), Some((0x51, scalar(TWEAK))));
    let change = pays(8_000, &node.wallet_script(1, 0));
    let asked = |to: &ScriptBuf| {
        let (tx, spent) = second_level(&commitment, to, 10_000, Some(change.clone()));
        let by_htlc_key = node.spend_p2wsh(&tx, &spent, path, &script, tweak, 1);
        [by_htlc_key, node.spend_wallet(&tx, &spent, 1)]
    };
    let expected = Spend::HolderHtlc { commitment: commitment.compute_txid() };
    let own = Destination::OwnWallet(WalletPath { purpose: 84, branch: 1, index: 0 });
    // The HTLC's own script, and the peer's to_remote.
    let peer = to_remote_script(&[3; 33]).to_p2wsh();
    for to in [script.to_p2wsh(), peer] {
        for request in asked(&to) {
            assert_eq!(node.spend(&request), expected);
            assert_eq!(node.destinations(&request), [Destination::Stranger, own]);
        }
    }
    for request in asked(&own_delayed(1)) {
        assert_eq!(node.spend(&request), expected);
        assert_eq!(node.destinations(&request), [Destination::OwnChannel, own]);
    }
}

#[test]
fn second_level_transactions_have_their_form() {
    let (node, script, commitment) = force_closed();
    let (path, tweak) = (lightning(2, 0), Some((0x51, scalar(TWEAK))));
    let (tx, spent) = second_level(&commitment, &own_delayed(1), 10_000, None);
    let request = |tx: &Transaction, sighash| node.spend_p2wsh(tx, &spent, path, &script, tweak, sighash);
    let mut elsewhere = tx.clone();
    elsewhere.input[0].previous_output.txid = outpoint(6).txid;
    let mut other_output = tx.clone();
    other_output.input[0].previous_output.vout = 7;
    assert!(node.refused(&request(&other_output, 1)).contains("does not have"));
    assert!(node.refused(&request(&tx, 0x83)).contains("is signed with ALL"));
    let mut paid_out = tx.clone();
    paid_out.output[0].script_pubkey = node.wallet_script(0, 0);
    assert!(node.refused(&request(&paid_out, 1)).contains("does not pay a delayed output"));
    // Of a commitment that is not known too; what the input is, its script shows.
    let commitment = elsewhere.input[0].previous_output.txid;
    assert_eq!(node.spend(&request(&elsewhere, 1)), Spend::HolderHtlc { commitment });
    elsewhere.output[0].script_pubkey = node.wallet_script(0, 0);
    assert!(node.refused(&request(&elsewhere, 1)).contains("does not pay a delayed output"));
}

#[test]
fn coins_that_bump_a_commitment_are_part_of_that() {
    let (node, _, commitment) = force_closed();
    let spent = [commitment.output[0].clone(), pays(9_000, &node.wallet_script(0, 0))];
    let bump = |txid| {
        let inputs = [(OutPoint { txid, vout: 0 }, 0), (outpoint(4), 0)];
        let tx = transaction(&inputs, vec![pays(5_000, &node.wallet_script(0, 1))], 0);
        node.spend(&node.spend_wallet(&tx, &spent, 1))
    };
    assert_eq!(bump(outpoint(5).txid), Spend::Onchain);
    assert_eq!(bump(commitment.compute_txid()), Spend::Sweep(SweepOf::Anchor));
}
