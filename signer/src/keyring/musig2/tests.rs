//! BIP327's own vectors, and sessions that must not sign.

use std::time::Duration;

use secp256k1::{PublicKey, SECP256K1};
use serde_json::Value;
use strongroom_policy::{KeyLocator, Network};

use super::arithmetic::{Point, Residue};
use super::key_aggregation::CombinedKey;
use super::nonce::{PublicNonce, SecretNonce};
use super::partial::Signing;
use super::*;
use crate::keyring::Seed;
use crate::keyring::secret::Secret;

fn bytes(hex: &Value) -> Vec<u8> {
    hex::decode(hex.as_str().unwrap()).unwrap()
}

fn array<const N: usize>(hex: &Value) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

fn cases<'a>(vectors: &'a Value, name: &str) -> &'a [Value] {
    vectors[name].as_array().unwrap()
}

/// The entries of `from` that `case[indices]` names.
fn picked<'a>(vectors: &'a Value, from: &str, case: &'a Value, indices: &str) -> Vec<&'a Value> {
    let indices = case[indices].as_array().unwrap().iter();
    indices.map(|index| &vectors[from][index.as_u64().unwrap() as usize]).collect()
}

fn keys(vectors: &Value, case: &Value) -> Vec<PublicKey> {
    picked(vectors, "pubkeys", case, "key_indices")
        .into_iter()
        .map(|key| PublicKey::from_slice(&bytes(key)).unwrap())
        .collect()
}

fn tweaks(vectors: &Value, case: &Value) -> Musig2Tweaks {
    if case.get("tweak_indices").is_none() {
        return Musig2Tweaks::Generic(vec![]);
    }
    let x_only = case["is_xonly"].as_array().unwrap().iter().map(|x_only| x_only.as_bool().unwrap());
    let tweaks = picked(vectors, "tweaks", case, "tweak_indices").into_iter().map(array);
    Musig2Tweaks::Generic(tweaks.zip(x_only).collect())
}

/// Combined in the order given, as the vectors have it.
fn combined(vectors: &Value, case: &Value, own: usize) -> Result<CombinedKey, SessionError> {
    let keys = keys(vectors, case);
    let version = Musig2Version::V100Rc2;
    let encoded: Vec<_> = keys.iter().map(|key| (version.encode(key), key)).collect();
    CombinedKey::aggregate_ordered(SECP256K1, version, &encoded, &keys[own], &tweaks(vectors, case))
}

/// A sum of nonces, which may be infinity.
fn aggregate(hex: &Value) -> PublicNonce {
    let bytes = bytes(hex);
    let point = |half: &[u8]| Point((half != [0; 33]).then(|| PublicKey::from_slice(half).unwrap()));
    PublicNonce([point(&bytes[..33]), point(&bytes[33..])])
}

#[test]
fn bip327_key_aggregation() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/key_agg.json")).unwrap();
    for case in cases(&vectors, "error_test_cases") {
        let signers = picked(&vectors, "pubkeys", case, "key_indices");
        let fields = SessionFields {
            version: 2,
            key: KeyLocator { family: 0, index: 0 },
            all_signer_pubkeys: vec![],
            other_signer_public_nonces: vec![],
            tweaks: vec![],
            taproot_tweak: None,
            pregenerated_local_nonce: &[],
        };
        let signers: Vec<_> = signers.into_iter().map(bytes).collect();
        // At least two are needed to get as far as the keys.
        let all = signers.iter().chain(&signers).map(|key| &key[..]).collect();
        match CreateSession::parse(&SessionFields { all_signer_pubkeys: all, ..fields }) {
            Err(SessionError::SignerKey { .. }) => assert_eq!(case["error"]["contrib"], "pubkey"),
            Err(other) => panic!("{other}"),
            Ok(_) => {
                let refused = combined(&vectors, case, 0).err();
                assert!(matches!(refused, Some(SessionError::TweakRange | SessionError::Infinity)), "{case}");
            }
        }
    }
    for case in cases(&vectors, "valid_test_cases") {
        assert_eq!(combined(&vectors, case, 0).unwrap().x(), array(&case["expected"]));
    }
}

#[test]
fn bip327_nonce_aggregation() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/nonce_agg.json")).unwrap();
    for case in cases(&vectors, "error_test_cases") {
        let nonces = picked(&vectors, "pnonces", case, "pnonce_indices");
        assert!(nonces.into_iter().any(|nonce| PublicNonce::parse(&bytes(nonce)).is_err()), "{case}");
    }
    for case in cases(&vectors, "valid_test_cases") {
        let nonces = picked(&vectors, "pnonces", case, "pnonce_indices");
        let sum = nonces
            .into_iter()
            .map(|nonce| PublicNonce::parse(&bytes(nonce)).unwrap())
            .fold(PublicNonce([Point::INFINITY; 2]), PublicNonce::add);
        assert_eq!(sum.serialize(), array(&case["expected"]));
    }
}

fn secret_nonce(hex: &Value) -> SecretNonce {
    SecretNonce::from_bytes(bytes(hex)[..64].try_into().unwrap()).unwrap()
}

#[test]
fn bip327_partial_signatures() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/sign_verify.json")).unwrap();
    let secret = Secret::from_bytes(&array(&vectors["sk"])).unwrap();
    let mut signed = 0;
    for case in cases(&vectors, "valid_test_cases") {
        // lnd signs messages of 32 bytes only.
        let Ok(message) = bytes(&vectors["msgs"][case["msg_index"].as_u64().unwrap() as usize]).try_into()
        else {
            continue;
        };
        let key = combined(&vectors, case, case["signer_index"].as_u64().unwrap() as usize).unwrap();
        let aggregate = aggregate(&vectors["aggnonces"][case["aggnonce_index"].as_u64().unwrap() as usize]);
        let signing = Signing::new(SECP256K1, &key, &aggregate, message).unwrap();
        let nonce = secret_nonce(&vectors["secnonces"][0]);
        let signature = signing.sign(SECP256K1, &key, &secret, nonce).unwrap();
        assert_eq!(signature.to_bytes(), array(&case["expected"]));
        signed += 1;
    }
    assert_eq!(signed, 4);
    for case in cases(&vectors, "verify_fail_test_cases") {
        let own = case["signer_index"].as_u64().unwrap() as usize;
        let key = combined(&vectors, case, own).unwrap();
        let nonces: Vec<_> = picked(&vectors, "pnonces", case, "nonce_indices")
            .into_iter()
            .map(|nonce| PublicNonce::parse(&bytes(nonce)).unwrap())
            .collect();
        let sum = nonces.iter().copied().reduce(PublicNonce::add).unwrap();
        let message = array(&vectors["msgs"][case["msg_index"].as_u64().unwrap() as usize]);
        let signing = Signing::new(SECP256K1, &key, &sum, message).unwrap();
        let verifies = Residue::parse(array(&case["sig"])).is_some_and(|signature| {
            signing.verifies(SECP256K1, &key, &keys(&vectors, case)[own], &nonces[own], signature)
        });
        assert!(!verifies, "{case}");
    }
}

#[test]
fn bip327_tweaks() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/tweak.json")).unwrap();
    for case in cases(&vectors, "error_test_cases") {
        assert_eq!(combined(&vectors, case, 0).err(), Some(SessionError::TweakRange));
    }
    let secret = Secret::from_bytes(&array(&vectors["sk"])).unwrap();
    for case in cases(&vectors, "valid_test_cases") {
        let key = combined(&vectors, case, case["signer_index"].as_u64().unwrap() as usize).unwrap();
        let aggregate = aggregate(&vectors["aggnonce"]);
        let signing = Signing::new(SECP256K1, &key, &aggregate, array(&vectors["msg"])).unwrap();
        let signature = signing.sign(SECP256K1, &key, &secret, secret_nonce(&vectors["secnonce"])).unwrap();
        assert_eq!(signature.to_bytes(), array(&case["expected"]), "{}", case["comment"]);
    }
}

#[test]
fn bip327_final_signatures() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/sig_agg.json")).unwrap();
    for case in cases(&vectors, "error_test_cases") {
        let partial = picked(&vectors, "psigs", case, "psig_indices");
        assert!(partial.into_iter().any(|partial| Residue::parse(array(partial)).is_none()));
    }
    for case in cases(&vectors, "valid_test_cases") {
        let key = combined(&vectors, case, 0).unwrap();
        let signing =
            Signing::new(SECP256K1, &key, &aggregate(&case["aggnonce"]), array(&vectors["msg"])).unwrap();
        let sum = picked(&vectors, "psigs", case, "psig_indices")
            .into_iter()
            .map(|partial| Residue::parse(array(partial)).unwrap())
            .fold(Residue::ZERO, Residue::add);
        assert_eq!(signing.combine(SECP256K1, &key, sum), Some(array(&case["expected"])));
        assert_eq!(signing.combine(SECP256K1, &key, sum.add(Residue::one())), None);
    }
}

#[test]
fn hashes_beyond_the_group_order_are_reduced() {
    let mut beyond = secp256k1::constants::CURVE_ORDER;
    assert_eq!(Residue::reduce(beyond).to_bytes(), [0; 32]);
    assert!(Residue::parse(beyond).is_none());
    beyond[31] += 1;
    assert_eq!(Residue::reduce(beyond).to_bytes(), Residue::one().to_bytes());
    let mut expected = [0xff; 32];
    for (byte, order) in expected.iter_mut().zip(secp256k1::constants::CURVE_ORDER) {
        *byte -= order;
    }
    assert_eq!(Residue::reduce([0xff; 32]).to_bytes(), expected);
}

const ALICE: KeyLocator = KeyLocator { family: 0, index: 0 };
const BOB: KeyLocator = KeyLocator { family: 0, index: 1 };

fn keyring(sessions: usize, lifetime: Duration) -> Keyring {
    let seed = Seed::generate(&mut [0; 16], std::time::SystemTime::now()).unwrap();
    Keyring::open(&seed, Network::Regtest, SessionLimits { sessions, lifetime }).unwrap()
}

fn public_key(keyring: &Keyring, key: KeyLocator) -> Vec<u8> {
    let key = keyring.branches.secret(&KeyPath::Lightning(key)).unwrap();
    key.public_key(SECP256K1).serialize().to_vec()
}

fn create(keyring: &Keyring, key: KeyLocator, secret_nonce: &[u8]) -> Result<SessionInfo, KeyringError> {
    let keys = [ALICE, BOB].map(|key| public_key(keyring, key));
    let create = CreateSession::parse(&SessionFields {
        version: 2,
        key,
        all_signer_pubkeys: keys.iter().map(|key| &key[..]).collect(),
        other_signer_public_nonces: vec![],
        tweaks: vec![],
        taproot_tweak: Some((&[], true)),
        pregenerated_local_nonce: secret_nonce,
    })?;
    keyring.musig2_create(Approved::for_test(keyring.musig2_create_request(create)))
}

fn sign(keyring: &Keyring, id: SessionId, cleanup: bool) -> Result<[u8; 32], KeyringError> {
    let request = keyring.musig2_sign_request(id, &[7; 32], cleanup)?;
    keyring.musig2_sign(Approved::for_test(request))
}

fn refused(outcome: Result<impl Sized, KeyringError>) -> SessionError {
    match outcome {
        Err(KeyringError::Session(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused"),
    }
}

#[test]
fn a_nonce_serves_one_signature() {
    let keyring = keyring(10, Duration::from_secs(60));
    let alice = create(&keyring, ALICE, &[]).unwrap();
    let bob = create(&keyring, BOB, &[]).unwrap();
    assert_eq!(refused(sign(&keyring, alice.id, false)), SessionError::NoncesMissing { have: 1, need: 2 });
    assert!(keyring.musig2_register_nonces(alice.id, &[&bob.local_public_nonces]).unwrap());
    assert_eq!(
        refused(keyring.musig2_register_nonces(alice.id, &[&bob.local_public_nonces])),
        SessionError::TooManyNonces { given: 1, missing: 0 }
    );
    let combined = keyring.musig2_combined_nonce(alice.id).unwrap();
    keyring.musig2_register_combined_nonce(bob.id, &combined).unwrap();

    // Two approvals for one session: the second finds the nonce gone.
    let approvals = [0, 1].map(|_| keyring.musig2_sign_request(alice.id, &[7; 32], false).unwrap());
    let [first, second] = approvals.map(Approved::for_test);
    let by_alice = keyring.musig2_sign(first).unwrap();
    assert_eq!(refused(keyring.musig2_sign(second)), SessionError::Signed);
    assert_eq!(refused(keyring.musig2_combine(bob.id, &[&by_alice])), SessionError::NotSigned);

    let by_bob = sign(&keyring, bob.id, true).unwrap();
    assert!(matches!(refused(sign(&keyring, bob.id, true)), SessionError::Unknown { .. }));
    // A wrong partial signature is forgotten, and the right one still completes.
    assert_eq!(refused(keyring.musig2_combine(alice.id, &[&[1; 32]])), SessionError::Combined);
    let signature = keyring.musig2_combine(alice.id, &[&by_bob]).unwrap().unwrap();
    let key = secp256k1::XOnlyPublicKey::from_slice(&alice.combined_key).unwrap();
    let signature = secp256k1::schnorr::Signature::from_slice(&signature).unwrap();
    SECP256K1.verify_schnorr(&signature, &secp256k1::Message::from_digest([7; 32]), &key).unwrap();
    assert!(matches!(refused(keyring.musig2_cleanup(alice.id)), SessionError::Unknown { .. }));
}

#[test]
fn a_pregenerated_nonce_is_marked_and_its_new_session_replaces_the_old() {
    let keyring = keyring(10, Duration::from_secs(60));
    let mut nonce = [[5; 32].to_vec(), [6; 32].to_vec(), public_key(&keyring, ALICE)].concat();
    let session = create(&keyring, ALICE, &nonce).unwrap();
    // lnd brings the same nonce again after a restart: the new session takes the old one's place.
    assert_eq!(create(&keyring, ALICE, &nonce).unwrap().id, session.id);
    assert_eq!(refused(create(&keyring, BOB, &nonce)), SessionError::PregeneratedNonce);
    nonce[..32].fill(0);
    assert_eq!(refused(create(&keyring, ALICE, &nonce)), SessionError::PregeneratedNonce);
    assert_eq!(
        refused(create(&keyring, ALICE, &nonce[..64])),
        SessionError::NonceLength { given: 64, expected: 97 }
    );
    let request = keyring.musig2_sign_request(session.id, &[7; 32], false).unwrap();
    assert!(request.ask().pregenerated_nonce);

    // Another key's session under the same id is not what was approved.
    keyring.musig2_cleanup(session.id).unwrap();
    let nonce = [[5; 32].to_vec(), [6; 32].to_vec(), public_key(&keyring, BOB)].concat();
    assert_eq!(create(&keyring, BOB, &nonce).unwrap().id, session.id);
    keyring.musig2_register_nonces(session.id, &[&session.local_public_nonces]).unwrap();
    assert!(matches!(
        refused(keyring.musig2_sign(Approved::for_test(request))),
        SessionError::Unknown { .. }
    ));
}

#[test]
fn a_new_session_ends_the_one_unused_for_longest() {
    let keyring = keyring(2, Duration::from_secs(60));
    let first = create(&keyring, ALICE, &[]).unwrap();
    let second = create(&keyring, ALICE, &[]).unwrap();
    // First is used, so second is the oldest.
    refused(sign(&keyring, first.id, false));
    create(&keyring, ALICE, &[]).unwrap();
    assert!(matches!(refused(keyring.musig2_cleanup(second.id)), SessionError::Unknown { .. }));
    keyring.musig2_cleanup(first.id).unwrap();
    for _ in 0..10 {
        create(&keyring, ALICE, &[]).unwrap();
    }
    let limits = SessionFields {
        version: 1,
        key: ALICE,
        all_signer_pubkeys: vec![&[2; 32]; 2],
        other_signer_public_nonces: vec![],
        tweaks: vec![],
        taproot_tweak: None,
        pregenerated_local_nonce: &[],
    };
    assert_eq!(keyring.musig2_create_request(CreateSession::parse(&limits).unwrap()).open_sessions(), 2);
}

#[test]
fn sessions_expire_and_can_be_switched_off() {
    let brief = keyring(10, Duration::ZERO);
    let session = create(&brief, ALICE, &[]).unwrap();
    assert!(matches!(refused(sign(&brief, session.id, false)), SessionError::Unknown { .. }));
    let off = keyring(0, Duration::from_secs(60));
    assert_eq!(refused(create(&off, ALICE, &[])), SessionError::Off);
}

#[test]
fn wiped_sessions_neither_sign_nor_begin() {
    let keyring = keyring(10, Duration::from_secs(60));
    let session = create(&keyring, ALICE, &[]).unwrap();
    let request = {
        let nonce = create(&keyring, BOB, &[]).unwrap().local_public_nonces;
        keyring.musig2_register_nonces(session.id, &[&nonce]).unwrap();
        keyring.musig2_sign_request(session.id, &[7; 32], false).unwrap()
    };
    let keys = [ALICE, BOB].map(|key| public_key(&keyring, key));
    keyring.wipe();
    assert!(keyring.musig2_sign(Approved::for_test(request)).is_err());
    let create = CreateSession::parse(&SessionFields {
        version: 2,
        key: ALICE,
        all_signer_pubkeys: keys.iter().map(|key| &key[..]).collect(),
        other_signer_public_nonces: vec![],
        tweaks: vec![],
        taproot_tweak: None,
        pregenerated_local_nonce: &[],
    })
    .unwrap();
    let request = keyring.musig2_create_request(create);
    assert!(matches!(keyring.musig2_create(Approved::for_test(request)), Err(KeyringError::Sealed)));
}

#[test]
fn requests_that_lnd_would_bend_are_refused() {
    let key = [[2; 32].to_vec()].concat();
    let base = || SessionFields {
        version: 1,
        key: ALICE,
        all_signer_pubkeys: vec![&key, &key],
        other_signer_public_nonces: vec![],
        tweaks: vec![],
        taproot_tweak: None,
        pregenerated_local_nonce: &[],
    };
    let refusal = |fields: SessionFields<'_>| CreateSession::parse(&fields).err().unwrap();
    assert_eq!(refusal(SessionFields { version: 0, ..base() }), SessionError::Version(0));
    assert_eq!(
        refusal(SessionFields { all_signer_pubkeys: vec![&key], ..base() }),
        SessionError::Signers { given: 1, limit: 256 }
    );
    assert_eq!(
        refusal(SessionFields { version: 2, ..base() }),
        SessionError::SignerKey { index: 0, expected: 33 }
    );
    assert_eq!(
        refusal(SessionFields { tweaks: vec![(&[1; 31], true)], ..base() }),
        SessionError::TweakLength { what: "tweak", given: 31 }
    );
    assert_eq!(
        refusal(SessionFields { taproot_tweak: Some((&[], false)), ..base() }),
        SessionError::TweakLength { what: "merkle root", given: 0 }
    );
    assert_eq!(
        refusal(SessionFields { tweaks: vec![(&[1; 32], true)], taproot_tweak: Some((&[], true)), ..base() }),
        SessionError::TweakKinds
    );
    assert_eq!(
        refusal(SessionFields { pregenerated_local_nonce: &[1; 97], ..base() }),
        SessionError::PregeneratedNonceVersion
    );
    assert_eq!(
        refusal(SessionFields { other_signer_public_nonces: vec![&[2; 66]; 2], ..base() }),
        SessionError::TooManyNonces { given: 2, missing: 1 }
    );
    assert_eq!(
        refusal(SessionFields { other_signer_public_nonces: vec![&[0; 66]], ..base() }),
        SessionError::Nonce
    );
}
