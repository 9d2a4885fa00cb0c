//! Requests that are well, and their answers.

use bitcoin::hashes::Hash as _;
use bitcoin::key::TapTweak as _;
use bitcoin::taproot::{LeafVersion, TapLeafHash};
use bitcoin::{Script, ScriptBuf, ScriptHash, TapNodeHash};
use proptest::prelude::*;
use secp256k1::{Keypair, Message, PublicKey, SECP256K1};
use strongroom_policy::case::{Lock, Tweak};

use super::super::*;
use super::{One, p2wpkh, tap_key, tap_leaf};
use crate::accounts::DerivedKey;
use crate::fixture::*;
use crate::script::to_remote_script;

/// Signs what a request asks for, as the keyring does.
fn sign(seed: &Seed, to_sign: &ToSign) -> SpendSignature {
    let secret = seed.secret(&to_sign.key);
    let secret = match &to_sign.tweak {
        TweakData::None => secret,
        TweakData::Single(tweak) => {
            secret.add_tweak(&secp256k1::Scalar::from_be_bytes(*tweak).unwrap()).unwrap()
        }
        TweakData::Double(_) => panic!("tested apart"),
    };
    assert_eq!(secret.public_key(SECP256K1), to_sign.public_key);
    let message = Message::from_digest(to_sign.digest);
    let keypair = Keypair::from_secret_key(SECP256K1, &secret);
    match to_sign.tap {
        None => SpendSignature::Ecdsa(SECP256K1.sign_ecdsa(&message, &secret)),
        Some(TapSpend::Key(root)) => {
            let keypair = keypair.tap_tweak(SECP256K1, root).to_keypair();
            SpendSignature::Schnorr(SECP256K1.sign_schnorr_no_aux_rand(&message, &keypair))
        }
        Some(TapSpend::Script { .. }) => {
            SpendSignature::Schnorr(SECP256K1.sign_schnorr_no_aux_rand(&message, &keypair))
        }
    }
}

fn every_kind() -> Vec<(One, Lock, Tweak)> {
    let seed = || Seed::new(1);
    let tweaked = single_tweaked(&seed().key(&lightning(2, 5)), scalar(7));
    let tweaked_script = to_remote_script(&tweaked.serialize());
    let segwit = seed().key(&wallet(84, 1, 0));
    let nested = p2wpkh(&seed().key(&wallet(49, 0, 0)));
    let nested_spent = pays(50_000, &ScriptBuf::new_p2sh(&ScriptHash::hash(nested.as_bytes())));
    let program = p2wpkh(&segwit);
    let both = |script: &Script| vec![(vec![4], script.to_bytes()), (vec![5], script.to_bytes())];
    let root = TapNodeHash::from_byte_array(scalar(3));
    let mut rooted = tap_key(Some(root));
    rooted.fields.push((vec![0x18], root.to_byte_array().to_vec()));
    let key = seed().key(&lightning(2, 1)).x_only_public_key().0;
    let leaf = ScriptBuf::builder().push_x_only_key(&key).into_script();
    let hash = TapLeafHash::from_script(&leaf, LeafVersion::TapScript).to_byte_array();
    let (path, tweak) = (lightning(2, 5), Some((0x51, scalar(7))));
    vec![
        (One::funding(), Lock::P2wsh, Tweak::None),
        (One::p2wsh(seed(), &path, &tweaked_script, tweak), Lock::P2wsh, Tweak::Single),
        (One::spending(wallet(84, 1, 0), &pays(50_000, &program), both(&program)), Lock::P2wpkh, Tweak::None),
        (One::spending(wallet(49, 0, 0), &nested_spent, both(&nested)), Lock::P2shP2wpkh, Tweak::None),
        (tap_key(None).one(), Lock::TaprootKeyBip86, Tweak::None),
        (rooted.one(), Lock::TaprootKeyTweaked, Tweak::None),
        (tap_leaf(&leaf, hash).one(), Lock::TaprootScript, Tweak::None),
    ]
}

#[test]
fn every_kind_is_understood_and_its_answer_parses_again() {
    for (one, lock, tweak) in every_kind() {
        let request = one.parse().unwrap_or_else(|error| panic!("{lock:?}: {error}"));
        let [to_sign] = request.to_sign() else { panic!("one signature") };
        assert_eq!((to_sign.lock, to_sign.tweak.kind()), (lock, tweak));
        assert_eq!(request.signed_inputs(), [0]);
        let answer = request.answer(&[(0, sign(&one.seed, to_sign))]).expect("it fits");
        // The signature is all that was added, and the answer asks for no more.
        let added = answer.len() - one.bytes().len();
        assert!((66..=142).contains(&added), "{lock:?}: {added} bytes");
        assert!(matches!(parse(&answer, &one.seed.accounts()).err(), Some(Malformed::NothingToSign { .. })));
    }
}

#[test]
fn signatures_that_do_not_fit_are_not_spliced() {
    let one = One::funding();
    let request = one.parse().unwrap();
    let ecdsa = sign(&one.seed, &request.to_sign()[0]);
    let tap = tap_key(None).one();
    let schnorr = sign(&tap.seed, &tap.parse().unwrap().to_sign()[0]);
    assert_eq!(request.answer(&[]), Err(AnswerError::Count { wanted: 1, given: 0 }));
    assert_eq!(request.answer(&[(1, ecdsa)]), Err(AnswerError::Mismatch(1)));
    assert_eq!(request.answer(&[(0, schnorr)]), Err(AnswerError::Mismatch(0)));
}

#[test]
fn the_revocation_key_is_that_of_bolt_3() {
    // Vectors of BOLT 3, appendix E.
    let point = |text: &str| PublicKey::from_slice(&hex::decode(text).unwrap()).unwrap();
    let base = point("036d6caac248af96f6afa7f904f550253a0f3ef3f5aa2fe6838a95b216691468e2");
    let secret = hex::decode("1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100");
    let secret = TweakData::Double(zeroize::Zeroizing::new(secret.unwrap().try_into().unwrap()));
    let revocation = point("02916e326636d19c33f13e8c0c3a03dd157f332f3e99c317c141dd865eb01f8ff0");
    assert_eq!(tweak::tweaked(&DerivedKey::new(base), &secret), Ok(revocation));
}

#[test]
fn nested_inputs_make_the_final_id_another() {
    let seed = Seed::new(1);
    let path = wallet(49, 0, 0);
    let redeem = p2wpkh(&seed.key(&path));
    let spent = pays(50_000, &ScriptBuf::new_p2sh(&ScriptHash::hash(redeem.as_bytes())));
    let own = pays(50_000, &p2wpkh(&seed.key(&wallet(84, 0, 0))));
    let mut unsigned = transaction(&[(outpoint(1), 0), (outpoint(2), 0)], vec![pays(9, &stranger(1))], 0);
    // The nested input stands beside the one to sign, with nothing but its output.
    let signed = signed_input(&own, &wallet(84, 0, 0), &seed.key(&wallet(84, 0, 0)), 1, None, None);
    let bytes = psbt(&unsigned, &[vec![witness_utxo(&spent)], signed]);
    let request = parse(&bytes, &seed.accounts()).unwrap();
    assert_ne!(request.txid(), unsigned.compute_txid());
    let push = [&[22][..], redeem.as_bytes()].concat();
    unsigned.input[0].script_sig = ScriptBuf::from(push);
    assert_eq!(request.txid(), unsigned.compute_txid());
}

#[test]
fn a_thousand_inputs_take_no_quadratic_time() {
    let seed = Seed::new(1);
    let path = wallet(84, 0, 0);
    let spent = pays(50_000, &p2wpkh(&seed.key(&path)));
    let many = |count: u32| {
        let outpoints: Vec<_> =
            (0..count).map(|vout| (bitcoin::OutPoint { vout, ..outpoint(1) }, 0)).collect();
        let transaction = transaction(&outpoints, vec![pays(1, &stranger(1))], 0);
        let fields = signed_input(&spent, &path, &seed.key(&path), 1, None, None);
        psbt(&transaction, &vec![fields; count as usize])
    };
    let accounts = seed.accounts();
    let started = std::time::Instant::now();
    assert_eq!(parse(&many(1_000), &accounts).unwrap().to_sign().len(), 1_000);
    // A quadratic sighash would hash 1,000 × 41 kB; linear work is some milliseconds.
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
    let refused = parse(&many(1_001), &accounts).err();
    assert_eq!(refused, Some(Malformed::TooManyInputs { found: 1_001, limit: 1_000 }));
}

#[test]
fn the_digest_is_the_bytes() {
    let one = One::funding();
    assert_eq!(one.parse().unwrap().digest(), one.parse().unwrap().digest());
    let other = One::funding().set(3, 2u32.to_le_bytes().to_vec());
    assert_ne!(one.parse().unwrap().digest(), other.parse().unwrap().digest());
}

fn kinds_and_accounts() -> &'static (Vec<Vec<u8>>, crate::accounts::Accounts) {
    static KINDS: std::sync::OnceLock<(Vec<Vec<u8>>, crate::accounts::Accounts)> = std::sync::OnceLock::new();
    KINDS
        .get_or_init(|| (every_kind().iter().map(|(one, ..)| one.bytes()).collect(), Seed::new(1).accounts()))
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_, accounts) = kinds_and_accounts();
        let _ = parse(&bytes, accounts);
        let _ = parse(&[b"psbt\xff", &bytes[..]].concat(), accounts);
    }

    #[test]
    fn no_changed_request_panics(kind in 0..7usize, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: Option<prop::sample::Index>) {
        let (kinds, accounts) = kinds_and_accounts();
        let mut bytes = kinds[kind].clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = parse(&bytes, accounts);
    }

    #[test]
    fn unknown_fields_survive_the_answer(
        kind in 0..7usize,
        fields in prop::collection::btree_map(0x20..=0x50u8, prop::collection::vec(any::<u8>(), 0..300), 0..6),
        at: prop::sample::Index,
    ) {
        let (mut one, ..) = every_kind().swap_remove(kind);
        for (name, value) in fields {
            let at = at.index(one.fields.len() + 1);
            one.fields.insert(at, (vec![name, 1], value));
        }
        let request = parse(&one.bytes(), &kinds_and_accounts().1).unwrap();
        let answer = request.answer(&[(0, sign(&one.seed, &request.to_sign()[0]))]).unwrap();
        // Taking the added bytes out again gives what came.
        let bytes = one.bytes();
        let added = answer.len() - bytes.len();
        let same = bytes.iter().zip(&answer).take_while(|(a, b)| a == b).count();
        prop_assert!((0..=same).any(|at| answer[..at] == bytes[..at] && answer[at + added..] == bytes[at..]));
    }
}
