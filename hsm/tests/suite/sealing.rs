//! Sealing binds a secret to its context and its token.

use strongroom_hsm::{HsmError, SealContext, SealedBlob, provision_token};

use crate::bed::{isolated, pin, refused, so_pin};

#[test]
fn another_context_does_not_open_it() {
    isolated("sealing::another_context_does_not_open_it", |bed| {
        let token = bed.initialise();
        let context = SealContext::new("seed", "alice", 1, 7).unwrap();
        let blob = token.seal(&context, b"entropy").unwrap();
        let others = [
            SealContext::new("store", "alice", 1, 7),
            SealContext::new("seed", "bob", 1, 7),
            SealContext::new("seed", "alice", 2, 7),
            SealContext::new("seed", "alice", 1, 6),
            SealContext::new("seed", "alice", 1, 8),
            SealContext::new("seeda", "lice", 1, 7),
        ];
        for other in others {
            let other = other.unwrap();
            let error = refused(token.unseal(&other, &blob));
            assert!(matches!(error, HsmError::Integrity), "{other:?}: {error}");
        }
        assert_eq!(&*token.unseal(&context, &blob).unwrap(), b"entropy");
    });
}

#[test]
fn a_flipped_bit_anywhere_does_not_open() {
    isolated("sealing::a_flipped_bit_anywhere_does_not_open", |bed| {
        let token = bed.initialise();
        let context = SealContext::new("seed", "alice", 1, 0).unwrap();
        let bytes = token.seal(&context, b"0123456789abcdef").unwrap().to_bytes();
        // IV, ciphertext and tag; the four bytes of length between are the parser's.
        for at in (6..18).chain(22..bytes.len()) {
            for bit in [0, 7] {
                let mut altered = bytes.clone();
                altered[at] ^= 1 << bit;
                let altered = SealedBlob::from_bytes(&altered).unwrap();
                let error = refused(token.unseal(&context, &altered));
                assert!(matches!(error, HsmError::Integrity), "byte {at}: {error}");
            }
        }
        // Shortened to its tag's length and lengthened, with the length put right.
        for body in [&bytes[22..38], &[&bytes[22..], &[0]].concat()] {
            let mut altered = bytes[..18].to_vec();
            altered.extend_from_slice(&(body.len() as u32).to_be_bytes());
            altered.extend_from_slice(body);
            let altered = SealedBlob::from_bytes(&altered).unwrap();
            assert!(matches!(refused(token.unseal(&context, &altered)), HsmError::Integrity));
        }
        token.heartbeat().unwrap();
        let blob = SealedBlob::from_bytes(&bytes).unwrap();
        assert_eq!(&*token.unseal(&context, &blob).unwrap(), b"0123456789abcdef");
    });
}

#[test]
fn secrets_of_every_length_come_back_and_no_iv_repeats() {
    isolated("sealing::secrets_of_every_length_come_back_and_no_iv_repeats", |bed| {
        let token = bed.initialise();
        let context = SealContext::new("seed", "alice", 1, 0).unwrap();
        let mut ivs = std::collections::BTreeSet::new();
        for length in (0..=66).chain([255, 256, 4095, SealedBlob::MAX_SECRET]) {
            let secret: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let blob = token.seal(&context, &secret).unwrap();
            let bytes = blob.to_bytes();
            assert!(ivs.insert(bytes[6..18].to_vec()));
            let blob = SealedBlob::from_bytes(&bytes).unwrap();
            assert_eq!(&*token.unseal(&context, &blob).unwrap(), secret.as_slice());
        }
        let long = vec![0; SealedBlob::MAX_SECRET + 1];
        let error = refused(token.seal(&context, &long));
        assert!(matches!(error, HsmError::Limit { value: 4097, limit: 4096, .. }), "{error}");
    });
}

#[test]
fn what_was_sealed_opens_after_a_restart_of_the_module() {
    isolated("sealing::what_was_sealed_opens_after_a_restart_of_the_module", |bed| {
        let context = SealContext::new("seed", "alice", 1, 0).unwrap();
        let token = bed.initialise();
        let blob = token.seal(&context, b"entropy").unwrap();
        let public = *token.audit_public_key();
        token.close();
        let token = bed.open();
        assert_eq!(token.appliance(), "vault");
        assert_eq!(*token.audit_public_key(), public);
        assert_eq!(&*token.unseal(&context, &blob).unwrap(), b"entropy");
    });
}

#[test]
fn another_token_does_not_open_it() {
    isolated("sealing::another_token_does_not_open_it", |bed| {
        let context = SealContext::new("seed", "alice", 1, 0).unwrap();
        let blob = bed.initialise().seal(&context, b"entropy").unwrap();
        match bed.kind {
            // Its configuration has one slot: a second token is a second process's business.
            crate::bed::Kind::Kryoptic => {
                let module = bed.uri.module_path();
                let error = refused(provision_token(module, "other", &so_pin(), &pin()));
                assert!(matches!(error, HsmError::NoToken { .. }), "{error}");
            }
            crate::bed::Kind::SoftHsm => {
                let module = bed.uri.module_path();
                let other = provision_token(module, "other", &so_pin(), &pin()).unwrap();
                let other = strongroom_hsm::initialise(&other, &pin(), "vault").ok().unwrap();
                let error = refused(other.token.unseal(&context, &blob));
                assert!(matches!(error, HsmError::Integrity), "{error}");
            }
        }
    });
}

#[test]
fn audit_signatures_verify_and_are_low_s() {
    isolated("sealing::audit_signatures_verify_and_are_low_s", |bed| {
        let token = bed.initialise();
        let key = *token.audit_public_key();
        // Half of all raw signatures are high: 32 that are all low are no accident.
        for i in 0..32 {
            let digest = [i; 32];
            let signature = token.sign_audit(&digest).unwrap();
            assert!(key.verify(&digest, &signature), "verify takes low s only");
            assert!(!key.verify(&[i + 1; 32], &signature));
        }
    });
}
