//! Keys as real lnds derive them, and what must not be signed.

use std::time::SystemTime;

use bitcoin::bip32::{DerivationPath, Xpriv};
use bitcoin::hashes::{Hash as _, sha256};
use secp256k1::{SECP256K1, SecretKey};
use strongroom_lightning::psbt::TapSpend;
use strongroom_lightning::{Accounts, SpendSignature, ToSign, TweakData};
use strongroom_policy::WalletPath;
use strongroom_policy::case::{Lock, MessageKind};

use super::*;
use crate::journal::Approved;

/// Master keys under which a hardened key is short, found by search, and SHA256 of what
/// `lncli wallet accounts list` of a real lnd v0.21.3 with that key prints.
const SHORT: [(&str, &str, &str); 3] = [
    (
        "purpose 1017' and coin 1' short",
        "tprv8ZgxMBicQKsPfEA1jwTzAXJM5eAUTsbHipBft7dCB7a698kEvd6Yd7cmQusrq49SDYR9xazBRk5APYNreHsUWXNXCToac5TyTDB2Sp2vDiC",
        "c85031b23b04b58424492dd863ec12914246a3832343f31ac7eb91a538968190",
    ),
    (
        "purpose 84' and coin 0' of 86' short",
        "tprv8ZgxMBicQKsPeV6HvS3Pf9mH8tqxHSqGPBu1GsCkpKVXonKNfESCDk1xVgnvpznqMo3uDEJs7m5upuWqJBCXAz1DmCDosMNVE63rXszfAfw",
        "2a55d72c214526af6bd46fe1c7de2f3b99f05576d5fefb7d7f9affd6dba18edc",
    ),
    (
        "the master key and coin 0' of 49' short",
        "tprv8ZgxMBicQKsPeMax41TQWQU9BpYTGbSbnfi4VRgPipTYE7aKKEHwm1vd6uVyVkQ2tmkxhCXkVdZDfrvxeizc5BmFcV28knRZ8NNGjecGdjN",
        "0e76a7fca3a6598d065976c89901fb15112b5bde326dc1c27a3e634865d0c418",
    ),
];

fn keyring(tprv: &str) -> Keyring {
    let seed = Seed::from_extended_key(tprv, Network::Regtest).unwrap();
    Keyring::open(&seed, Network::Regtest, SessionLimits::default()).unwrap()
}

#[test]
fn short_keys_are_derived_as_lnd_does_and_not_as_bip32() {
    for (what, tprv, digest) in SHORT {
        let keyring = keyring(tprv);
        let printed = keyring.accounts_json().unwrap();
        assert_eq!(sha256::Hash::hash(printed.as_bytes()).to_string(), digest, "{what}");
        let master: Xpriv = tprv.parse().unwrap();
        let differ = keyring
            .accounts()
            .iter()
            .filter(|account| {
                let path: DerivationPath = account.path.to_string().parse().unwrap();
                Xpub::from_priv(SECP256K1, &master.derive_priv(SECP256K1, &path).unwrap()) != account.xpub
            })
            .count();
        assert!(differ > 0, "{what}: nothing here tells the two derivations apart");
    }
}

#[test]
fn accounts_are_written_as_each_networks_lnd_writes_them() {
    // SHA256 of what a real lnd of that network prints, with the first seed above.
    let testnets = SHORT[0].2;
    for (network, digest) in [
        (Network::Mainnet, "030b5cbcf4c2e658527bb9c598c3b87625bda335e71ac03fe38958dbde1c0ed3"),
        (Network::Testnet, testnets),
        (Network::Testnet4, testnets),
        (Network::Signet, testnets),
        (Network::Regtest, testnets),
        (Network::Simnet, "0e64340ddd1bf2467669515b4af06efca68fab36274b137c2efe5f17d148e83e"),
    ] {
        let seed = Seed::from_extended_key(SHORT[0].1, Network::Regtest).unwrap();
        let keyring = Keyring::open(&seed, network, SessionLimits::default()).unwrap();
        let printed = keyring.accounts_json().unwrap();
        assert_eq!(sha256::Hash::hash(printed.as_bytes()).to_string(), digest, "{network}");
    }
}

#[test]
fn secret_keys_belong_to_the_exported_accounts() {
    let keyring = keyring(SHORT[0].1);
    let accounts = Accounts::with_lookahead(keyring.account_xpubs(), 1).unwrap();
    let wallet = |purpose, branch, index| KeyPath::Wallet(WalletPath { purpose, branch, index });
    let lightning = |family, index| KeyPath::Lightning(KeyLocator { family, index });
    for path in [
        wallet(49, 0, 0),
        wallet(49, 1, 7),
        wallet(84, 0, 1 << 20),
        wallet(84, 1, 0),
        wallet(86, 0, 3),
        wallet(86, 1, (1 << 31) - 1),
        lightning(0, 0),
        lightning(6, 0),
        lightning(9, 12_345),
        lightning(255, 1),
    ] {
        let secret = keyring.branches.secret(&path).unwrap();
        assert_eq!(secret.public_key(SECP256K1), accounts.public_key(&path).unwrap(), "{path}");
    }
    assert_eq!(keyring.node_id(), accounts.public_key(&lightning(6, 0)).unwrap());
    for path in [
        wallet(44, 0, 0),
        wallet(84, 2, 0),
        wallet(84, 0, 1 << 31),
        lightning(256, 0),
        lightning(u32::MAX, 0),
        lightning(0, 1 << 31),
    ] {
        assert!(matches!(keyring.branches.secret(&path), Err(KeyringError::UnknownKey(_))), "{path}");
    }
}

const KEY: KeyLocator = KeyLocator { family: 0, index: 5 };

fn to_sign(public_key: PublicKey, tweak: TweakData, tap: Option<TapSpend>) -> ToSign {
    ToSign {
        index: 3,
        key: KeyPath::Lightning(KEY),
        public_key,
        lock: Lock::P2wsh,
        sighash: 1,
        tweak,
        digest: [8; 32],
        tap,
        script: bitcoin::ScriptBuf::new(),
    }
}

#[test]
fn a_signature_under_another_key_than_was_decided_is_withheld() {
    let keyring = keyring(SHORT[0].1);
    let other = keyring.node_id();
    let script = TapSpend::Script { leaf: bitcoin::TapLeafHash::all_zeros(), stated_key: [0; 32] };
    for tap in [None, Some(TapSpend::Key(None)), Some(script)] {
        let outcome = keyring.sign_input(&to_sign(other, TweakData::None, tap));
        assert!(matches!(outcome, Err(KeyringError::DoesNotVerify(_))));
    }
    let own = keyring.branches.secret(&KeyPath::Lightning(KEY)).unwrap().public_key(SECP256K1);
    let outcome = keyring.sign_input(&to_sign(own, TweakData::Single([1; 32]), None));
    assert!(matches!(outcome, Err(KeyringError::DoesNotVerify(_))));
}

#[test]
fn each_kind_of_spend_is_signed() {
    let keyring = keyring(SHORT[0].1);
    let own = keyring.branches.secret(&KeyPath::Lightning(KEY)).unwrap().public_key(SECP256K1);
    let single = secp256k1::Scalar::from_be_bytes([1; 32]).unwrap();
    let tweaked = own.add_exp_tweak(SECP256K1, &single).unwrap();
    let script = TapSpend::Script { leaf: bitcoin::TapLeafHash::all_zeros(), stated_key: [0; 32] };
    let root = TapSpend::Key(Some(bitcoin::TapNodeHash::from_byte_array([2; 32])));
    for (public_key, tweak) in [(own, None), (tweaked, Some([1; 32]))] {
        for tap in [None, Some(TapSpend::Key(None)), Some(root), Some(script)] {
            let tweak = tweak.map_or(TweakData::None, TweakData::Single);
            let signature = keyring.sign_input(&to_sign(public_key, tweak, tap)).unwrap();
            assert_eq!(matches!(signature, SpendSignature::Schnorr(_)), tap.is_some());
        }
    }
    for impossible in [[0xff; 32], secp256k1::constants::CURVE_ORDER] {
        let outcome = keyring.sign_input(&to_sign(own, TweakData::Single(impossible), None));
        assert!(matches!(outcome, Err(KeyringError::NoKey(_))));
        let outcome = keyring.sign_input(&to_sign(own, TweakData::Double(Zeroizing::new(impossible)), None));
        assert!(matches!(outcome, Err(KeyringError::NoKey(_))));
    }
}

#[test]
fn the_revocation_key_is_bolt_3s() {
    let key = |text: &str| secret::Secret::new(text.parse::<SecretKey>().unwrap());
    let base = key("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let commitment = key("1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100");
    let revocation = tweak::revocation_key(&Secp256k1::new(), &base, &commitment).unwrap();
    let expected = key("d09ffff62ddb2297ab000cc85bcb4283fdeb6aa052affbc9dddcf33b61078110");
    assert!(*revocation == *expected);
}

fn message(fields: MessageFields) -> Result<MessageRequest, RequestError> {
    MessageRequest::new(KEY, MessageFields { msg: b"a message".to_vec(), ..fields })
}

#[test]
fn contradictory_message_options_are_refused() {
    let tag = |tag: &str| tag.as_bytes().to_vec();
    for fields in [
        MessageFields { schnorr_sig: true, compact_sig: true, ..Default::default() },
        MessageFields { tag: tag("a tag"), ..Default::default() },
        MessageFields { tag: tag("a tag"), compact_sig: true, ..Default::default() },
        MessageFields { schnorr_sig: true, tag: tag("a tag"), double_hash: true, ..Default::default() },
        MessageFields { schnorr_sig: true, tag: tag("BIP0340/challenge"), ..Default::default() },
        MessageFields { schnorr_sig: true, tag: tag("TapSighash"), ..Default::default() },
        MessageFields { schnorr_sig_tap_tweak: vec![1; 32], ..Default::default() },
        MessageFields { schnorr_sig: true, schnorr_sig_tap_tweak: vec![1; 31], ..Default::default() },
    ] {
        assert!(message(fields.clone()).is_err(), "{fields:?}");
    }
}

/// Made by a real lnd v0.21.3 with the first seed above: options, signature.
#[test]
fn messages_are_signed_as_lnd_does() {
    let keyring = keyring(SHORT[0].1);
    let sign =
        |fields| hex::encode(keyring.sign_message(Approved::for_test(message(fields).unwrap())).unwrap());
    let double_hash = true;
    let compact_sig = true;
    assert_eq!(sign(MessageFields::default()), SIGNED[0]);
    assert_eq!(sign(MessageFields { double_hash, ..Default::default() }), SIGNED[1]);
    assert_eq!(sign(MessageFields { compact_sig, ..Default::default() }), SIGNED[2]);
    assert_eq!(sign(MessageFields { compact_sig, double_hash, ..Default::default() }), SIGNED[3]);
}

#[test]
fn each_request_has_its_own_digest() {
    let kinds = [
        MessageFields::default(),
        MessageFields { double_hash: true, ..Default::default() },
        MessageFields { compact_sig: true, ..Default::default() },
        MessageFields { schnorr_sig: true, ..Default::default() },
        MessageFields { schnorr_sig: true, tag: b"tag".to_vec(), ..Default::default() },
        MessageFields { schnorr_sig: true, schnorr_sig_tap_tweak: vec![1; 32], ..Default::default() },
    ];
    let digests: std::collections::HashSet<_> =
        kinds.iter().map(|fields| message(fields.clone()).unwrap().digest()).collect();
    assert_eq!(digests.len(), kinds.len());
    let plain = message(MessageFields::default()).unwrap();
    assert_eq!(plain.ask(), None);
    let ask = plain.recognised_as(MessageKind::LightningSignedMessage).ask().unwrap();
    assert!(ask.key == KEY && !ask.schnorr && !ask.tap_tweak);
}

#[test]
fn our_key_is_found_by_its_public_key_with_index_zero_only() {
    let keyring = keyring(SHORT[0].1);
    let accounts = Accounts::with_lookahead(keyring.account_xpubs(), 10).unwrap();
    let found = KeyLocator { family: 5, index: 4 };
    let raw = accounts.public_key(&KeyPath::Lightning(found)).unwrap().serialize();
    let point = keyring.node_id().serialize();
    let resolve = |locator, raw: &[u8], point: &[u8]| EcdhRequest::resolve(&accounts, locator, raw, point);
    let family = |family| Some(KeyLocator { family, index: 0 });
    assert_eq!(resolve(Some(found), &raw, &point), Err(RequestError::KeyTwice(4)));
    assert_eq!(resolve(family(6), &raw, &point), Err(RequestError::NotOurs { family: 6 }));
    assert_eq!(resolve(family(200), &raw, &point), Err(RequestError::NotOurs { family: 200 }));
    assert!(matches!(resolve(family(5), &raw[..32], &point), Err(RequestError::PublicKey { .. })));
    assert!(matches!(resolve(family(5), &raw, &[0; 33]), Err(RequestError::PublicKey { .. })));
    assert_eq!(resolve(family(5), &raw, &point).unwrap().key(), found);
    assert_eq!(resolve(Some(found), &[], &point).unwrap().key(), found);
    assert_eq!(resolve(None, &[], &point).unwrap().key(), KeyLocator { family: 6, index: 0 });
}

#[test]
fn both_sides_share_a_secret() {
    let keyring = keyring(SHORT[0].1);
    let other = SecretKey::from_slice(&[3; 32]).unwrap();
    let request = EcdhRequest::new(KeyLocator { family: 6, index: 0 }, other.public_key(SECP256K1));
    let ours = keyring.derive_shared_key(Approved::for_test(request)).unwrap();
    let theirs = keyring.node_id().mul_tweak(SECP256K1, &other.into()).unwrap();
    assert_eq!(*ours, sha256::Hash::hash(&theirs.serialize()).to_byte_array());
}

#[test]
fn a_wiped_keyring_signs_nothing() {
    let seed = Seed::generate(&mut [0; 16], SystemTime::now()).unwrap();
    let keyring = Keyring::open(&seed, Network::Regtest, SessionLimits::default()).unwrap();
    let own = keyring.branches.secret(&KeyPath::Lightning(KEY)).unwrap().public_key(SECP256K1);
    keyring.wipe();
    assert!(keyring.is_wiped());
    let sealed = |outcome: Result<(), KeyringError>| assert!(matches!(outcome, Err(KeyringError::Sealed)));
    sealed(keyring.sign_input(&to_sign(own, TweakData::None, None)).map(drop));
    sealed(keyring.sign_message(Approved::for_test(message(MessageFields::default()).unwrap())).map(drop));
    sealed(keyring.derive_shared_key(Approved::for_test(EcdhRequest::new(KEY, own))).map(drop));
    assert_eq!(keyring.accounts().len(), 259);
}

const SIGNED: [&str; 4] = [
    "3045022100843410c51894b6a1ef425d6621239f559ae7dfd92047fb93268bbec1a5097f7d022023e167404dcb89b67d7e095980e3e7337b03c4c0d596fccb883736180d429af0",
    "304402205e17e65dc2ab1bb4f0904fcd713483969ca1983804e4c7017c46229ad6960d5d02202ec86d3a6fd1b460be8f70f6c744c1bb1759873f55e9342eaa9dccd5a4afafd4",
    "20843410c51894b6a1ef425d6621239f559ae7dfd92047fb93268bbec1a5097f7d23e167404dcb89b67d7e095980e3e7337b03c4c0d596fccb883736180d429af0",
    "1f5e17e65dc2ab1bb4f0904fcd713483969ca1983804e4c7017c46229ad6960d5d2ec86d3a6fd1b460be8f70f6c744c1bb1759873f55e9342eaa9dccd5a4afafd4",
];
