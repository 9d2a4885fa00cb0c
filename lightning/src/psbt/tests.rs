//! Deny cases first: each takes a request that is well and breaks one thing.

use bitcoin::hashes::Hash as _;
use bitcoin::key::{CompressedPublicKey, TapTweak as _};
use bitcoin::taproot::{LeafVersion, TapLeafHash};
use bitcoin::{Amount, Script, ScriptBuf, TapNodeHash, Transaction, TxOut};
use secp256k1::{PublicKey, SECP256K1};
use strongroom_policy::KeyPath;

use super::malformed::InputProblem;
use super::*;
use crate::fixture::*;
use crate::script::{funding_script, to_remote_script};

mod answers;

/// A request with one input to sign, in parts, so that a test can break one.
struct One {
    seed: Seed,
    transaction: Transaction,
    fields: Vec<Field>,
}

const PEER: [u8; 33] = [2; 33];

impl One {
    /// A commitment-like spend of a 2-of-2.
    fn funding() -> Self {
        let seed = Seed::new(1);
        let path = lightning(0, 3);
        let script = funding_script(&seed.bytes(0, 3), &PEER);
        Self::p2wsh(seed, &path, &script, None)
    }

    fn p2wsh(seed: Seed, path: &KeyPath, script: &Script, tweak: Option<(u8, [u8; 32])>) -> Self {
        let spent = pays(50_000, &script.to_p2wsh());
        let fields = signed_input(&spent, path, &seed.key(path), 1, Some(script), tweak);
        let transaction = transaction(&[(outpoint(1), 7)], vec![pays(49_000, &stranger(1))], 9);
        Self { seed, transaction, fields }
    }

    fn spending(path: KeyPath, spent: &TxOut, mut more: Vec<Field>) -> Self {
        let seed = Seed::new(1);
        let mut fields = vec![witness_utxo(spent)];
        more.push(derivation(&path, &seed.key(&path)));
        fields.append(&mut more);
        let transaction = transaction(&[(outpoint(1), 7)], vec![pays(49_000, &stranger(1))], 9);
        Self { seed, transaction, fields }
    }

    fn set(mut self, kind: u8, value: Vec<u8>) -> Self {
        self.fields.retain(|(key, _)| key != &[kind]);
        self.fields.push((vec![kind], value));
        self
    }

    fn without(mut self, kind: u8) -> Self {
        self.fields.retain(|(key, _)| key[0] != kind);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        psbt(&self.transaction, std::slice::from_ref(&self.fields))
    }

    fn parse(&self) -> Result<SignRequest, Malformed> {
        parse(&self.bytes(), &self.seed.accounts())
    }

    fn problem(&self) -> InputProblem {
        match self.parse() {
            Err(Malformed::Input { index: 0, problem }) => problem,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("parsed"),
        }
    }

    fn reason(&self) -> String {
        match self.parse() {
            Err(Malformed::NothingToSign { reason }) => reason,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("parsed"),
        }
    }
}

fn p2wpkh(key: &PublicKey) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&CompressedPublicKey(*key).wpubkey_hash())
}

#[test]
fn limits_are_named() {
    let one = One::funding();
    let accounts = one.seed.accounts();
    let bytes = one.bytes();
    let limited = |limits| SignRequest::parse(&bytes, &accounts, &limits).err();
    let full = Limits::default();
    let (found, limit) = (bytes.len(), bytes.len() - 1);
    assert_eq!(limited(Limits { bytes: limit, ..full }), Some(Malformed::TooManyBytes { found, limit }));
    let error = limited(Limits { inputs: 0, ..full }).expect("one input is too many");
    assert_eq!(error.to_string(), "transaction has 1 inputs: at most 0");
    let found = Some(Malformed::TooManyOutputs { found: 1, limit: 0 });
    assert_eq!(limited(Limits { outputs: 0, ..full }), found);
    assert_eq!(limited(Limits { bytes: bytes.len(), inputs: 1, outputs: 1 }), None);
}

#[test]
fn broken_framing_is_refused() {
    let one = One::funding();
    let accounts = one.seed.accounts();
    let bytes = one.bytes();
    for end in 0..bytes.len() {
        assert!(parse(&bytes[..end], &accounts).is_err(), "cut at {end}");
    }
    let trailing = [&bytes[..], &[0]].concat();
    let refused = parse(&trailing, &accounts).err();
    assert_eq!(refused, Some(Malformed::NotPsbt("bytes follow its end")));
    // Lengths longer than need be.
    let mut long = b"psbt\xff\xfd\x01\x00\x00".to_vec();
    long.extend(&bytes[7..]);
    let reason = "a length is not in its shortest form";
    assert_eq!(parse(&long, &accounts).err(), Some(Malformed::NotPsbt(reason)));
}

#[test]
fn transactions_that_cannot_be_meant_are_refused() {
    let duplicate = {
        let mut one = One::funding();
        let input = one.transaction.input[0].clone();
        one.transaction.input.push(input);
        psbt(&one.transaction, &[one.fields.clone(), one.fields])
    };
    let accounts = Seed::new(1).accounts();
    assert_eq!(parse(&duplicate, &accounts).err(), Some(Malformed::DuplicateInput(outpoint(1))));

    let mut signed = One::funding();
    signed.transaction.input[0].script_sig = ScriptBuf::from(vec![0]);
    assert!(matches!(signed.parse().err(), Some(Malformed::Transaction(_))));

    let mut empty = One::funding();
    empty.transaction.output.clear();
    assert!(matches!(empty.parse().err(), Some(Malformed::Transaction(_))));

    let mut witness = One::funding();
    witness.transaction.input[0].witness.push([1]);
    assert!(matches!(witness.parse().err(), Some(Malformed::Transaction(_))));

    let mut rich = One::funding();
    rich.transaction.output[0].value = Amount::MAX_MONEY;
    rich.transaction.output.push(pays(1, &stranger(2)));
    assert!(matches!(rich.parse().err(), Some(Malformed::Amount(_))));
}

#[test]
fn fields_twice_or_misshapen_are_refused() {
    for kind in [1, 3, 5] {
        let mut one = One::funding();
        let again = one.fields.iter().find(|(key, _)| key == &[kind]).unwrap().clone();
        one.fields.push(again);
        assert_eq!(one.problem(), InputProblem::Field(kind), "{kind:#x} twice");
    }
    assert_eq!(One::funding().set(3, vec![1, 0, 0]).problem(), InputProblem::Field(3));
    let mut one = One::funding();
    one.fields.last_mut().unwrap().1.push(0);
    assert_eq!(one.problem(), InputProblem::Field(6));
}

#[test]
fn a_channel_key_other_than_derived_is_refused() {
    let mut one = One::funding();
    let path = lightning(0, 4);
    one.fields.retain(|(key, _)| key[0] != 6);
    one.fields.push(derivation(&path, &one.seed.key(&lightning(0, 3))));
    assert!(matches!(one.problem(), InputProblem::WrongKey { path: p, .. } if p == path));
}

#[test]
fn nothing_to_sign_is_an_error_that_says_why() {
    assert_eq!(One::funding().without(6).reason(), "input 0 names no key");
    let mut foreign = One::funding().without(6);
    foreign.fields.push(derivation(&lightning(10, 3), &foreign.seed.key(&lightning(0, 3))));
    assert_eq!(foreign.reason(), "input 0 names a key path outside this node's accounts");
    for kind in [7, 8] {
        assert_eq!(One::funding().set(kind, vec![0]).reason(), "input 0 is final already");
    }
    let mut signed = One::funding();
    let key = [&[2][..], &signed.seed.bytes(0, 3)].concat();
    signed.fields.push((key, vec![1]));
    assert_eq!(signed.reason(), "input 0 carries our signature already");
    // Another wallet's key on the same standard path.
    let path = wallet(84, 0, 1);
    let other = Seed::new(2).key(&path);
    let mut one = One::spending(path, &pays(50_000, &p2wpkh(&other)), vec![]).without(6);
    one.fields.push(derivation(&path, &other));
    assert!(one.reason().contains("is not this node's m/84'/0'/0'/0/1"), "{}", one.reason());
}

#[test]
fn an_input_without_its_utxo_is_refused() {
    assert_eq!(One::funding().without(1).problem(), InputProblem::NoUtxo);
}

#[test]
fn the_previous_transaction_must_be_the_one_spent() {
    let path = wallet(84, 1, 2);
    let spent = pays(50_000, &p2wpkh(&Seed::new(1).key(&path)));
    let previous = transaction(&[(outpoint(9), 1)], vec![pays(7, &stranger(3)), spent.clone()], 0);
    let with = |txid, vout, stated: &TxOut| {
        let bytes = bitcoin::consensus::serialize(&previous);
        let mut one = One::spending(path, stated, vec![(vec![0], bytes)]);
        one.transaction.input[0].previous_output = bitcoin::OutPoint { txid, vout };
        one
    };
    let txid = previous.compute_txid();
    let wrong = |one: One| matches!(one.problem(), InputProblem::PreviousTransaction(_));
    assert!(wrong(with(outpoint(1).txid, 1, &spent)));
    assert!(wrong(with(txid, 2, &spent)));
    let less = TxOut { value: sat(49_999), ..spent.clone() };
    assert_eq!(with(txid, 1, &less).problem(), InputProblem::UtxosDiffer);
    assert_eq!(with(txid, 0, &spent).problem(), InputProblem::UtxosDiffer);
    let parsed = with(txid, 1, &spent).parse().expect("all fits");
    assert!(parsed.spent()[0].with_transaction);
}

#[test]
fn script_and_key_must_belong_to_the_output() {
    let seed = Seed::new(1);
    let other = funding_script(&seed.bytes(0, 3), &[3; 33]);
    assert_eq!(One::funding().set(5, other.to_bytes()).problem(), InputProblem::ScriptMismatch);
    assert_eq!(One::funding().without(5).problem(), InputProblem::ScriptMismatch);
    let strangers = funding_script(&PEER, &[3; 33]);
    let one = One::p2wsh(Seed::new(1), &lightning(0, 3), &strangers, None);
    assert_eq!(one.problem(), InputProblem::KeyNotInScript);
    let one = One::funding().set(4, vec![0x51]);
    assert!(matches!(one.problem(), InputProblem::Unsupported(_)));
    // The key is in the script, but the tweaked one is not.
    let one = One::funding().set(0x51, scalar(1).to_vec());
    assert_eq!(one.problem(), InputProblem::KeyNotInScript);
    let path = wallet(84, 0, 0);
    let foreign = pays(50_000, &p2wpkh(&seed.key(&wallet(84, 0, 1))));
    assert_eq!(One::spending(path, &foreign, vec![]).problem(), InputProblem::KeyNotInScript);
    let legacy = ScriptBuf::new_p2pkh(&CompressedPublicKey(seed.key(&path)).pubkey_hash());
    let one = One::spending(path, &pays(50_000, &legacy), vec![]);
    assert!(matches!(one.problem(), InputProblem::Unsupported(_)));
}

#[test]
fn tweaks_are_one_of_32_bytes() {
    for value in [vec![], vec![1; 31], vec![1; 33], vec![0xff; 32]] {
        for kind in [0x51, 0xd0] {
            let one = One::funding().set(kind, value.clone());
            assert!(matches!(one.problem(), InputProblem::Tweak(_)), "{kind:#x} {value:02x?}");
        }
    }
    let both = One::funding().set(0x51, scalar(1).to_vec()).set(0xd0, scalar(2).to_vec());
    assert!(matches!(both.problem(), InputProblem::Tweak(_)));
}

#[test]
fn sighashes_that_sign_nothing_known_are_refused() {
    for sighash in [0u32, 4, 0x80, 0x84, 0x101, u32::MAX] {
        let one = One::funding().set(3, sighash.to_le_bytes().to_vec());
        assert_eq!(one.problem(), InputProblem::Sighash(sighash));
    }
    // SINGLE needs an output at the input's place.
    let mut one = One::funding().set(3, 3u32.to_le_bytes().to_vec());
    one.transaction.input.insert(0, transaction(&[(outpoint(5), 0)], vec![], 0).input.remove(0));
    let fields = [vec![witness_utxo(&pays(5, &stranger(5)))], one.fields.clone()];
    let refused = parse(&psbt(&one.transaction, &fields), &one.seed.accounts()).err();
    let problem = InputProblem::Sighash(3);
    assert_eq!(refused, Some(Malformed::Input { index: 1, problem }));
    for sighash in [1u32, 2, 3, 0x81, 0x82, 0x83] {
        assert!(One::funding().set(3, sighash.to_le_bytes().to_vec()).parse().is_ok());
    }
    let missing = One::funding().without(3).parse().expect("BIP 174: ALL");
    assert_eq!(missing.to_sign()[0].sighash, 1);
}

struct Tap {
    path: KeyPath,
    spent: TxOut,
    fields: Vec<Field>,
}

fn tap_key(root: Option<TapNodeHash>) -> Tap {
    let path = wallet(86, 0, 3);
    let key = Seed::new(1).key(&path);
    let (output, _) = key.x_only_public_key().0.tap_tweak(SECP256K1, root);
    let spent = pays(50_000, &ScriptBuf::new_p2tr_tweaked(output));
    Tap { path, spent, fields: vec![tap_derivation(&path, &key, &[])] }
}

fn tap_leaf(leaf: &Script, stated: [u8; 32]) -> Tap {
    let path = lightning(2, 1);
    let key = Seed::new(1).key(&path);
    let spent = pays(50_000, &ScriptBuf::new_p2tr(SECP256K1, key.x_only_public_key().0, None));
    let mut control = vec![0x15, 0xc0];
    control.extend(key.x_only_public_key().0.serialize());
    let mut value = leaf.to_bytes();
    value.push(0xc0);
    Tap { path, spent, fields: vec![(control, value), tap_derivation(&path, &key, &[stated])] }
}

impl Tap {
    fn one(self) -> One {
        One::spending(self.path, &self.spent, self.fields)
    }
}

#[test]
fn taproot_fields_must_fit_together() {
    let root = TapNodeHash::all_zeros();
    assert_eq!(tap_key(Some(root)).one().problem(), InputProblem::KeyNotInScript);
    let taproot = |one: One| matches!(one.problem(), InputProblem::Taproot(_));
    assert!(taproot(tap_key(None).one().without(0x16)));
    assert!(taproot(tap_key(None).one().set(0x18, vec![0; 31])));
    let mut other = tap_key(None);
    other.fields = vec![tap_derivation(&other.path, &Seed::new(2).key(&other.path), &[])];
    assert!(taproot(other.one()));
    let mut two = tap_key(None);
    two.fields.push(tap_derivation(&two.path, &Seed::new(2).key(&two.path), &[]));
    assert!(taproot(two.one()));

    let key = Seed::new(1).key(&lightning(2, 1)).x_only_public_key().0;
    let leaf = ScriptBuf::builder().push_x_only_key(&key).into_script();
    let hash = TapLeafHash::from_script(&leaf, LeafVersion::TapScript).to_byte_array();
    assert!(taproot(tap_leaf(&leaf, scalar(1)).one()));
    assert!(taproot(tap_leaf(&leaf, hash).one().without(0x15)));
    let foreign = to_remote_script(&PEER);
    let hash_of_foreign = TapLeafHash::from_script(&foreign, LeafVersion::TapScript).to_byte_array();
    assert_eq!(tap_leaf(&foreign, hash_of_foreign).one().problem(), InputProblem::KeyNotInScript);
    assert!(tap_leaf(&leaf, hash).one().parse().is_ok());
}
