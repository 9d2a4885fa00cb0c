//! What the keys must refuse, tried by somebody who has the PIN.

use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use strongroom_hsm::{AuditCurve, HsmError, Token, initialise};

use crate::bed::{AUDIT, Bed, Raw, SEALING, code, isolated, pin, refused};

fn both(raw: &Raw) -> [ObjectHandle; 2] {
    [raw.only(ObjectClass::SECRET_KEY, SEALING), raw.only(ObjectClass::PRIVATE_KEY, AUDIT)]
}

/// A session key that may be wrapped.
fn extractable(raw: &Raw) -> ObjectHandle {
    let template = [Attribute::ValueLen(32.into()), Attribute::Token(false), Attribute::Extractable(true)];
    raw.session.generate_key(&Mechanism::AesKeyGen, &template).unwrap()
}

#[test]
fn no_key_can_be_read_wrapped_or_loosened() {
    isolated("keys::no_key_can_be_read_wrapped_or_loosened", |bed| {
        let _token = bed.initialise();
        let raw = bed.raw();
        let session = &raw.session;
        let kek = session
            .generate_key(
                &Mechanism::AesKeyGen,
                &[
                    Attribute::ValueLen(32.into()),
                    Attribute::Token(false),
                    Attribute::Wrap(true),
                    Attribute::Encrypt(true),
                    Attribute::Decrypt(true),
                ],
            )
            .unwrap();
        for key in both(&raw) {
            let value = session.get_attributes(key, &[AttributeType::Value]).unwrap();
            assert!(value.is_empty(), "CKA_VALUE was given out");
            let info = session.get_attribute_info(key, &[AttributeType::Value]).unwrap();
            assert!(format!("{info:?}").contains("Sensitive"), "{info:?}");
            for wrap in [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad] {
                code(session.wrap_key(&wrap, kek, key));
            }
            for loosened in [Attribute::Extractable(true), Attribute::Sensitive(false)] {
                code(session.update_attributes(key, std::slice::from_ref(&loosened)));
                code(session.copy_object(key, &[loosened]));
            }
        }
        // The wrapping key is not at fault: it wraps a key that is extractable.
        let answer = code(session.wrap_key(&Mechanism::AesKeyWrap, kek, both(&raw)[0]));
        assert_eq!(answer, RvError::KeyUnextractable);
        session.wrap_key(&Mechanism::AesKeyWrap, kek, extractable(&raw)).unwrap();
    });
}

#[test]
fn each_key_does_its_own_work_only() {
    isolated("keys::each_key_does_its_own_work_only", |bed| {
        let _token = bed.initialise();
        let raw = bed.raw();
        let [sealing, audit] = both(&raw);
        let session = &raw.session;
        let not_permitted = |answer: RvError| {
            use RvError as R;
            assert!(
                matches!(
                    answer,
                    R::KeyFunctionNotPermitted
                        | R::WrappingKeyHandleInvalid
                        | R::UnwrappingKeyHandleInvalid
                        | R::KeyTypeInconsistent
                        | R::WrappingKeyTypeInconsistent
                        | R::UnwrappingKeyTypeInconsistent
                        | R::MechanismInvalid
                ),
                "{answer:?}"
            );
        };
        // A sealing key that wrapped could be made to decrypt what it wrapped.
        not_permitted(code(session.wrap_key(&Mechanism::AesKeyWrap, sealing, extractable(&raw))));
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(false),
        ];
        not_permitted(code(session.unwrap_key(&Mechanism::AesKeyWrap, sealing, &[0; 40], &template)));
        not_permitted(code(session.sign(&Mechanism::Sha256Hmac, sealing, b"x")));
        let mut iv = [0; 12];
        let gcm = Mechanism::AesGcm(GcmParams::new(&mut iv, b"", 128.into()).unwrap());
        not_permitted(code(session.encrypt(&gcm, audit, b"x")));
        not_permitted(code(session.sign(&Mechanism::Ecdsa, sealing, &[0; 32])));
    });
}

#[test]
fn initialising_again_keeps_the_keys() {
    isolated("keys::initialising_again_keeps_the_keys", |bed| {
        let first = initialise(&bed.uri, &pin(), "vault").ok().unwrap();
        assert!(first.sealing_key_created && first.audit_key_created && first.swept == 0);
        assert_eq!(first.token.audit_public_key().curve(), AuditCurve::P256);
        let public = *first.token.audit_public_key();
        let context = strongroom_hsm::SealContext::new("seed", "alice", 1, 0).unwrap();
        let blob = first.token.seal(&context, b"entropy").unwrap();
        drop(first);
        let again = initialise(&bed.uri, &pin(), "vault").ok().unwrap();
        assert!(!again.sealing_key_created && !again.audit_key_created && again.swept == 0);
        assert_eq!(*again.token.audit_public_key(), public);
        assert_eq!(&*again.token.unseal(&context, &blob).unwrap(), b"entropy");
        drop(again);
        let error = refused(initialise(&bed.uri, &pin(), "other"));
        assert!(matches!(error, HsmError::OtherAppliance { .. }), "{error}");
        let error = refused(initialise(&bed.uri, &pin(), "two words"));
        assert!(matches!(error, HsmError::Name { .. }), "{error}");
    });
}

/// A key of the sealing key's name that this crate would not have made.
fn forge(bed: &Bed, change: &[Attribute]) {
    let raw = bed.raw();
    let mut template = vec![
        Attribute::ValueLen(32.into()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Label(SEALING.into()),
        Attribute::Id(b"vault".to_vec()),
    ];
    for changed in change {
        template.retain(|kept| kept.attribute_type() != changed.attribute_type());
        template.push(changed.clone());
    }
    raw.session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    raw.finish();
}

#[test]
fn a_key_that_is_not_what_it_must_be_is_refused_and_kept() {
    isolated("keys::a_key_that_is_not_what_it_must_be_is_refused_and_kept", |bed| {
        let forgeries = [
            (vec![Attribute::Extractable(true)], "is extractable"),
            (vec![Attribute::Sensitive(false)], "is not sensitive"),
            (vec![Attribute::Wrap(true)], "may wrap"),
            (vec![Attribute::Unwrap(true)], "may unwrap"),
            (vec![Attribute::Decrypt(false)], "may not decrypt"),
            (vec![Attribute::ValueLen(16.into())], "not 256 bits"),
        ];
        for (change, reason) in forgeries {
            forge(bed, &change);
            for error in
                [refused(Token::open(&bed.uri, &pin())), refused(initialise(&bed.uri, &pin(), "vault"))]
            {
                assert!(matches!(error, HsmError::BadKey { .. }), "{reason}: {error}");
                assert!(error.to_string().contains(reason), "{reason}: {error}");
            }
            let raw = bed.raw();
            let key = raw.only(ObjectClass::SECRET_KEY, SEALING);
            raw.session.destroy_object(key).unwrap();
            raw.finish();
        }
        // The forgery unchanged is a sound key: the rules refuse no more than they must.
        forge(bed, &[]);
        let made = initialise(&bed.uri, &pin(), "vault").unwrap_or_else(|error| panic!("{error}"));
        assert!(!made.sealing_key_created);
        drop(made);
        forge(bed, &[]);
        let error = refused(Token::open(&bed.uri, &pin()));
        assert!(error.to_string().contains("2 objects carry its name"), "{error}");
    });
}

#[test]
fn an_audit_key_without_its_public_half_is_refused() {
    isolated("keys::an_audit_key_without_its_public_half_is_refused", |bed| {
        drop(bed.initialise());
        let raw = bed.raw();
        raw.session.destroy_object(raw.only(ObjectClass::PUBLIC_KEY, AUDIT)).unwrap();
        raw.finish();
        let error = refused(Token::open(&bed.uri, &pin()));
        assert!(error.to_string().contains("public object is missing"), "{error}");
    });
}
