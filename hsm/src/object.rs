//! This product's objects on a token: their names, their templates, and what must hold of them.
//!
//! A key is made under an *unfinished* name, tried, and only then given its final one. So an
//! object with a final name is whole and has worked, and one with an unfinished name has never
//! protected anything and may be destroyed.

use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::audit_key::{AuditCurve, AuditPublicKey};
use crate::error::HsmError;

/// A name on the token (CKA_LABEL). CKA_ID holds the appliance's label.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Sealing,
    SealingUnfinished,
    Audit,
    AuditUnfinished,
}

impl Name {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Sealing => "strongroom sealing key",
            Self::SealingUnfinished => "strongroom sealing key, new",
            Self::Audit => "strongroom audit key",
            Self::AuditUnfinished => "strongroom audit key, new",
        }
    }

    fn attribute(self) -> Attribute {
        Attribute::Label(self.label().into())
    }
}

/// The keys of a token that has been initialised.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) sealing: ObjectHandle,
    pub(crate) audit: ObjectHandle,
    pub(crate) audit_public: AuditPublicKey,
}

/// All objects of a class and name.
pub(crate) fn find(session: &Session, class: ObjectClass, name: Name) -> Result<Vec<ObjectHandle>, HsmError> {
    let wanted = [Attribute::Token(true), Attribute::Class(class), name.attribute()];
    Ok(session.find_objects(&wanted)?)
}

fn find_one(session: &Session, class: ObjectClass, name: Name) -> Result<Option<ObjectHandle>, HsmError> {
    let found = find(session, class, name)?;
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        several => Err(HsmError::BadKey {
            key: name.label(),
            reason: format!("{} objects carry its name", several.len()),
        }),
    }
}

/// Makes the sealing key: AES-256 that encrypts and decrypts, and nothing else. A key that
/// could also wrap would give away by decryption whatever it wraps.
pub(crate) fn generate_sealing(session: &Session, appliance: &str) -> Result<ObjectHandle, HsmError> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(32.into()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Id(appliance.into()),
        Name::SealingUnfinished.attribute(),
    ];
    Ok(session.generate_key(&Mechanism::AesKeyGen, &template)?)
}

/// Makes the audit key pair: it signs, and nothing else. The public object is kept, because
/// some tokens cannot tell the point from the private one.
pub(crate) fn generate_audit(
    session: &Session,
    curve: AuditCurve,
    appliance: &str,
) -> Result<(ObjectHandle, ObjectHandle), HsmError> {
    let public = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::EcParams(curve.ec_params().into()),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Id(appliance.into()),
        Name::AuditUnfinished.attribute(),
    ];
    let private = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Id(appliance.into()),
        Name::AuditUnfinished.attribute(),
    ];
    Ok(session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?)
}

/// Gives a tried object its final name.
pub(crate) fn name(session: &Session, object: ObjectHandle, name: Name) -> Result<(), HsmError> {
    Ok(session.update_attributes(object, &[name.attribute()])?)
}

/// The sealing key with its final name, its attributes checked.
pub(crate) fn sealing(session: &Session) -> Result<Option<ObjectHandle>, HsmError> {
    let Some(key) = find_one(session, ObjectClass::SECRET_KEY, Name::Sealing)? else {
        return Ok(None);
    };
    let seen = attributes(session, key)?;
    let rules = [
        (seen.contains(&Attribute::KeyType(KeyType::AES)), "is not an AES key"),
        (seen.contains(&Attribute::ValueLen(32.into())), "is not 256 bits long"),
        (seen.contains(&Attribute::Encrypt(true)), "may not encrypt"),
        (seen.contains(&Attribute::Decrypt(true)), "may not decrypt"),
        (seen.contains(&Attribute::Wrap(false)), "may wrap other keys"),
        (seen.contains(&Attribute::Unwrap(false)), "may unwrap other keys"),
    ];
    check(Name::Sealing, &seen, &rules)?;
    Ok(Some(key))
}

/// The audit key with its final name, its attributes checked, and its public half.
pub(crate) fn audit(session: &Session) -> Result<Option<(ObjectHandle, AuditPublicKey)>, HsmError> {
    let Some(key) = find_one(session, ObjectClass::PRIVATE_KEY, Name::Audit)? else {
        return Ok(None);
    };
    let seen = attributes(session, key)?;
    let rules = [
        (seen.contains(&Attribute::KeyType(KeyType::EC)), "is not an elliptic curve key"),
        (seen.contains(&Attribute::Sign(true)), "may not sign"),
        (!seen.contains(&Attribute::Derive(true)), "may derive shared secrets"),
        (!seen.contains(&Attribute::Unwrap(true)), "may unwrap other keys"),
        (!seen.contains(&Attribute::Decrypt(true)), "may decrypt"),
    ];
    check(Name::Audit, &seen, &rules)?;
    let bad = |reason: &str| HsmError::BadKey { key: Name::Audit.label(), reason: reason.into() };
    let public = find_one(session, ObjectClass::PUBLIC_KEY, Name::Audit)?
        .ok_or_else(|| bad("its public object is missing"))?;
    let public = public_key(session, public)?.ok_or_else(|| bad("its public point is invalid"))?;
    Ok(Some((key, public)))
}

/// The public key in a public object; none if its curve or point is not one we know.
pub(crate) fn public_key(
    session: &Session,
    object: ObjectHandle,
) -> Result<Option<AuditPublicKey>, HsmError> {
    let wanted = [AttributeType::EcParams, AttributeType::EcPoint];
    let (mut params, mut point) = (Vec::new(), Vec::new());
    for attribute in session.get_attributes(object, &wanted)? {
        match attribute {
            Attribute::EcParams(bytes) => params = bytes,
            Attribute::EcPoint(bytes) => point = bytes,
            _ => {}
        }
    }
    let curve = AuditCurve::from_ec_params(&params);
    Ok(curve.and_then(|curve| AuditPublicKey::from_ec_point(curve, &point)))
}

/// The appliance's label on an object.
pub(crate) fn appliance(session: &Session, object: ObjectHandle) -> Result<String, HsmError> {
    let seen = session.get_attributes(object, &[AttributeType::Id])?;
    match seen.as_slice() {
        [Attribute::Id(id)] => Ok(String::from_utf8_lossy(id).into_owned()),
        _ => Ok(String::new()),
    }
}

/// Destroys what an interrupted [`initialise`](crate::initialise) left behind: objects with an
/// unfinished name, nameless keys without key material (SoftHSM leaves them when killed), and
/// a public audit key without its private one. Returns how many.
pub(crate) fn sweep(session: &Session) -> Result<usize, HsmError> {
    let (secret, private, public) =
        (ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY);
    let mut rubbish = find(session, secret, Name::SealingUnfinished)?;
    rubbish.extend(find(session, private, Name::AuditUnfinished)?);
    rubbish.extend(find(session, public, Name::AuditUnfinished)?);
    if find(session, private, Name::Audit)?.is_empty() {
        rubbish.extend(find(session, public, Name::Audit)?);
    }
    for class in [secret, private, public] {
        let nameless = [Attribute::Token(true), Attribute::Class(class), Attribute::Label(vec![])];
        for object in session.find_objects(&nameless)? {
            if is_hollow(session, object)? {
                rubbish.push(object);
            }
        }
    }
    let mut swept = 0;
    for object in rubbish {
        match session.destroy_object(object).map_err(HsmError::from) {
            Ok(()) => swept += 1,
            Err(error) if error.says_gone() && error.code() != Some(RvError::ObjectHandleInvalid) => {
                return Err(error);
            }
            // Some wreckage cannot even be destroyed. It has no name that is looked for, so it
            // is no reason not to start.
            Err(_) => {}
        }
    }
    Ok(swept)
}

/// Whether a key object has neither an identifier nor any sign of key material. A whole key,
/// be it ever so nameless, shows its length or its curve.
fn is_hollow(session: &Session, object: ObjectHandle) -> Result<bool, HsmError> {
    let signs = [
        AttributeType::Id,
        AttributeType::ValueLen,
        AttributeType::EcParams,
        AttributeType::Modulus,
        AttributeType::Value,
    ];
    // One by one: a half-written object can fail one question and answer another.
    for sign in signs {
        match session.get_attributes(object, &[sign]) {
            Ok(seen) => {
                let empty = seen.iter().all(|attribute| match attribute {
                    Attribute::ValueLen(length) => **length == 0,
                    Attribute::Id(bytes)
                    | Attribute::EcParams(bytes)
                    | Attribute::Modulus(bytes)
                    | Attribute::Value(bytes) => bytes.is_empty(),
                    _ => false,
                });
                if !empty {
                    return Ok(false);
                }
            }
            Err(error) => {
                let error = HsmError::from(error);
                if error.says_gone() {
                    return Err(error);
                }
            }
        }
    }
    Ok(true)
}

fn attributes(session: &Session, key: ObjectHandle) -> Result<Vec<Attribute>, HsmError> {
    let wanted = [
        AttributeType::KeyType,
        AttributeType::ValueLen,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::AlwaysSensitive,
        AttributeType::NeverExtractable,
        AttributeType::Encrypt,
        AttributeType::Decrypt,
        AttributeType::Sign,
        AttributeType::Wrap,
        AttributeType::Unwrap,
        AttributeType::Derive,
    ];
    Ok(session.get_attributes(key, &wanted)?)
}

/// Holds a key to its rules, and to those of every private key here: sensitive and not
/// extractable, from its first day.
fn check(name: Name, seen: &[Attribute], rules: &[(bool, &str)]) -> Result<(), HsmError> {
    let common = [
        (seen.contains(&Attribute::Sensitive(true)), "is not sensitive"),
        (seen.contains(&Attribute::Extractable(false)), "is extractable"),
        (!seen.contains(&Attribute::AlwaysSensitive(false)), "was not always sensitive"),
        (!seen.contains(&Attribute::NeverExtractable(false)), "has been extractable"),
    ];
    match common.iter().chain(rules).find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, reason)) => Err(HsmError::BadKey { key: name.label(), reason: format!("it {reason}") }),
    }
}
