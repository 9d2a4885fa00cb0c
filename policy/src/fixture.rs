//! Cases for the rules' tests.

use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, ScriptBuf, Txid, Weight};

use crate::case::*;
use crate::facts::{Announced, Facts};
use crate::key::{KeyLocator, KeyPath, WalletPath};
use crate::network::Network;
use crate::node_id::NodeId;
use crate::policy::Policy;
use crate::profile::Profile;
use crate::rules;
use crate::update::{ChannelUpdate, Cover, OfferedHtlc};

/// The shipped cautious policy on regtest.
pub(crate) fn cautious() -> Policy {
    Policy::from_toml(&Profile::Cautious.render(Network::Regtest)).expect("the shipped profile is a policy")
}

/// The cautious policy with one line's value replaced, as `edited("network", "\"signet\"")`.
pub(crate) fn edited(table: &str, key: &str, value: impl std::fmt::Display) -> Policy {
    Policy::from_toml(&edited_text(Profile::Cautious.render(Network::Regtest), table, key, value))
        .expect("the edited profile is a policy")
}

/// A policy's text with one key's value replaced.
pub(crate) fn edited_text(text: String, table: &str, key: &str, value: impl std::fmt::Display) -> String {
    let mut now = String::new();
    let mut done = false;
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            if line.starts_with('[') {
                now = line.trim_matches(['[', ']']).to_owned();
            }
            if !done && now == table && line.split_once('=').is_some_and(|(k, _)| k.trim() == key) {
                done = true;
                return format!("{key} = {value}");
            }
            line.to_owned()
        })
        .collect();
    assert!(done, "no {key} in [{table}]");
    lines.join("\n")
}

/// The cautious policy with an allowlisted script.
pub(crate) fn allowing(script: &ScriptBuf) -> Policy {
    let entry = format!("\n[[allowlist]]\nlabel = \"reserve\"\nscript = \"{}\"\n", script.to_hex_string());
    Policy::from_toml(&(Profile::Cautious.render(Network::Regtest) + &entry))
        .expect("one more entry is a policy")
}

/// How often one rule is violated.
pub(crate) fn violations(tag: crate::Tag, policy: &Policy, case: &Case, facts: &Facts) -> usize {
    let mut found = Vec::new();
    (rules::by_tag(tag.0).expect("a rule's own tag").check)(policy, case, facts, &mut found);
    assert!(found.iter().all(|v| v.tag == tag.0), "a rule speaks under its own tag");
    found.len()
}

/// Whether one rule is violated.
pub(crate) fn violated(tag: crate::Tag, policy: &Policy, case: &Case, facts: &Facts) -> bool {
    violations(tag, policy, case, facts) > 0
}

pub(crate) fn sat(n: u64) -> Amount {
    Amount::from_sat(n)
}

pub(crate) fn locator(family: u32, index: u32) -> KeyLocator {
    KeyLocator { family, index }
}

pub(crate) fn key(family: u32) -> KeyPath {
    KeyPath::Lightning(locator(family, 3))
}

pub(crate) fn wallet_path() -> WalletPath {
    WalletPath { purpose: 84, branch: 1, index: 7 }
}

pub(crate) fn wallet() -> KeyPath {
    KeyPath::Wallet(wallet_path())
}

pub(crate) fn outpoint(n: u8) -> OutPoint {
    OutPoint { txid: Txid::from_byte_array([n; 32]), vout: 0 }
}

/// A P2WPKH script.
pub(crate) fn wpkh(n: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_byte_array([n; 20]))
}

/// A P2WSH script.
pub(crate) fn wsh(n: u8) -> ScriptBuf {
    ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::from_byte_array([n; 32]))
}

pub(crate) fn input(n: u8, amount: u64) -> InputFact {
    InputFact {
        outpoint: outpoint(n),
        amount: sat(amount),
        script_pubkey: wpkh(n),
        sequence: 0xffff_fffd,
        evidence: Evidence::Chain,
    }
}

pub(crate) fn output(amount: u64, script: ScriptBuf, to: Destination) -> OutputFact {
    OutputFact { amount: sat(amount), script_pubkey: script, to }
}

pub(crate) fn to_us(amount: u64) -> OutputFact {
    output(amount, wpkh(1), Destination::OwnWallet(wallet_path()))
}

pub(crate) fn to_stranger(amount: u64) -> OutputFact {
    output(amount, wpkh(9), Destination::Stranger)
}

pub(crate) fn to_funding(amount: u64) -> OutputFact {
    output(amount, wsh(5), Destination::MaybeFunding)
}

/// A transaction of a kind, with one input that pays for its outputs and a fee of 1,000 sat, signed as its kind is.
pub(crate) fn spend(spend: Spend, outputs: Vec<OutputFact>) -> SpendAsk {
    let paid: u64 = outputs.iter().map(|o| o.amount.to_sat()).sum();
    let (key, lock, sighash, tweak, sequence) = match &spend {
        Spend::Onchain | Spend::Unknown { .. } => (wallet(), Lock::P2wpkh, 1, Tweak::None, 0xffff_fffd),
        Spend::CounterpartyCommitment { .. } | Spend::HolderCommitment { .. } => {
            (key(KeyLocator::MULTISIG), Lock::P2wsh, 1, Tweak::None, 0x8000_0000)
        }
        Spend::MutualClose { .. } => (key(KeyLocator::MULTISIG), Lock::P2wsh, 1, Tweak::None, 0xffff_ffff),
        Spend::CounterpartyHtlc { .. } => (key(KeyLocator::HTLC_BASE), Lock::P2wsh, 0x83, Tweak::Single, 1),
        Spend::HolderHtlc { .. } => (key(KeyLocator::HTLC_BASE), Lock::P2wsh, 1, Tweak::Single, 1),
        Spend::Sweep(SweepOf::Delayed) => (key(KeyLocator::DELAY_BASE), Lock::P2wsh, 1, Tweak::Single, 144),
        Spend::Sweep(SweepOf::ToRemote) => (key(KeyLocator::PAYMENT_BASE), Lock::P2wsh, 1, Tweak::None, 1),
        Spend::Sweep(SweepOf::CounterpartyHtlc) => {
            (key(KeyLocator::HTLC_BASE), Lock::P2wsh, 1, Tweak::Single, 1)
        }
        Spend::Sweep(SweepOf::Anchor) => (key(KeyLocator::MULTISIG), Lock::P2wsh, 1, Tweak::None, 0),
        Spend::Justice => (key(KeyLocator::REVOCATION_BASE), Lock::P2wsh, 1, Tweak::Double, 0),
    };
    // Channel outputs are P2WSH on anchor channels, the wallet's here P2WPKH.
    let script_pubkey = if lock == Lock::P2wsh { wsh(40) } else { wpkh(40) };
    let mut inputs = vec![InputFact { sequence, script_pubkey, ..input(40, paid + 1_000) }];
    if spend == Spend::Sweep(SweepOf::Anchor) {
        inputs[0].amount = sat(330);
        inputs.push(input(41, paid + 670));
    }
    // What a closing transaction of one input claims is that input; an anchor's bump, what it brings home.
    let claimed = match spend {
        Spend::HolderHtlc { .. } | Spend::MutualClose { .. } | Spend::Sweep(_) | Spend::Justice => {
            sat(paid + 1_000)
        }
        _ => Amount::ZERO,
    };
    SpendAsk {
        txid: Txid::from_byte_array([77; 32]),
        spend,
        signed: vec![SignedInput { index: 0, key, lock, sighash, tweak }],
        inputs,
        outputs,
        weight: Weight::from_wu(600),
        claimed,
    }
}

/// A case of client "lnd" on node "alice".
pub(crate) fn case(ask: Ask) -> Case {
    let operation = match &ask {
        Ask::Spend(_) => Operation::SignPsbt,
        Ask::Message(_) => Operation::SignMessage,
        Ask::Ecdh(_) => Operation::DeriveSharedKey,
        Ask::Musig2(_) => Operation::Musig2,
    };
    let name = "a name of few letters";
    Case { node: "alice".parse().expect(name), client: "lnd".parse().expect(name), operation, ask }
}

pub(crate) fn spend_case(kind: Spend, outputs: Vec<OutputFact>) -> Case {
    case(Ask::Spend(spend(kind, outputs)))
}

pub(crate) fn onchain(outputs: Vec<OutputFact>) -> Case {
    spend_case(Spend::Onchain, outputs)
}

pub(crate) fn theirs(number: u64) -> Spend {
    Spend::CounterpartyCommitment { channel: outpoint(60), number, to_remote: sat(5_000_000) }
}

pub(crate) fn ours(number: u64) -> Spend {
    Spend::HolderCommitment { channel: outpoint(60), number }
}

pub(crate) fn peers_htlc(amount: u64) -> Spend {
    Spend::CounterpartyHtlc {
        channel: outpoint(60),
        commitment: Txid::from_byte_array([61; 32]),
        payment_hash160: "00".repeat(20),
        amount: sat(amount),
    }
}

pub(crate) fn our_htlc() -> Spend {
    Spend::HolderHtlc { commitment: Txid::from_byte_array([62; 32]) }
}

pub(crate) fn mutual_close(our_balance: u64, htlcs_pending: bool) -> Spend {
    Spend::MutualClose {
        channel: outpoint(60),
        our_balance: sat(our_balance),
        peers_balance: Amount::ZERO,
        htlcs_pending,
        by_word: false,
    }
}

/// A close that an operator allowed, which must pay us this.
pub(crate) fn close_by_word(at_least: u64) -> Spend {
    Spend::MutualClose {
        channel: outpoint(60),
        our_balance: sat(at_least),
        peers_balance: Amount::ZERO,
        htlcs_pending: false,
        by_word: true,
    }
}

pub(crate) fn message(key: KeyLocator, kind: MessageKind) -> Case {
    case(Ask::Message(MessageAsk { key, kind, schnorr: false, tap_tweak: false }))
}

pub(crate) fn ecdh(key: KeyLocator, with_own_multisig: Option<KeyLocator>) -> Case {
    case(Ask::Ecdh(EcdhAsk { key, with_own_multisig }))
}

pub(crate) fn musig2(pregenerated_nonce: bool, step: Musig2Step) -> Case {
    case(Ask::Musig2(Musig2Ask { key: locator(0, 3), pregenerated_nonce, step }))
}

/// Facts of a channel that is known, with nothing charged.
pub(crate) fn known() -> Facts {
    Facts { channel_known: true, channel_capacity: Some(sat(10_000_000)), ..Facts::default() }
}

/// A known channel with an update.
pub(crate) fn updating(update: ChannelUpdate) -> Facts {
    Facts { update: Some(update), ..known() }
}

/// A known channel on which one HTLC is new; it times out at block 700,000.
pub(crate) fn offering(amount: u64, cover: Cover) -> Facts {
    let htlc =
        OfferedHtlc { payment_hash160: "00".repeat(20), amount: sat(amount), cltv_expiry: 700_000, cover };
    updating(ChannelUpdate { offered: vec![htlc], ..ChannelUpdate::default() })
}

pub(crate) fn forward(incoming_cltv: u32, provisional: u64) -> Cover {
    let provisional = sat(provisional);
    Cover::Forward { incoming: outpoint(59), incoming_cltv, provisional, again: false, claims_overdue: 0 }
}

/// A node of this number.
pub(crate) fn peer(n: u8) -> NodeId {
    let secret = bitcoin::secp256k1::SecretKey::from_slice(&[n; 32]).expect("a number below the order");
    secret.public_key(&bitcoin::secp256k1::Secp256k1::new()).into()
}

/// The cautious policy with a list of peers.
pub(crate) fn listing(peers: &[u8]) -> Policy {
    let listed: Vec<String> = peers.iter().map(|n| format!("\"{}\"", peer(*n))).collect();
    let text = edited_text(Profile::Cautious.render(Network::Regtest), "peers", "mode", "\"listed\"");
    Policy::from_toml(&edited_text(text, "peers", "listed", format!("[{}]", listed.join(", "))))
        .expect("the edited profile is a policy")
}

/// A channel_announcement that the channel's multisig key is to sign.
pub(crate) fn announcement() -> Case {
    message(locator(0, 3), MessageKind::ChannelAnnouncement { names_key: true })
}

/// What it says: a peer, the one named before, the channel's capacity.
pub(crate) fn announcing(n: u8, named: Option<u8>, capacity: u64) -> Facts {
    let announced =
        Announced { peer: peer(n), named: named.map(peer), capacity: sat(capacity), peer_total: sat(0) };
    Facts { announced: Some(Ok(announced)), ..known() }
}
