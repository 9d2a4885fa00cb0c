//! Makes a token ours, once: sealing key, audit key, self-test.

use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;

use crate::audit_key::{AuditCurve, AuditPublicKey};
use crate::capability::{Capabilities, Capability};
use crate::error::HsmError;
use crate::object::{self, Keys, Name};
use crate::pin::Pin;
use crate::seal::check_name;
use crate::token::{Link, Token, decrypt, encrypt};
use crate::uri::TokenUri;

/// What [`initialise`] found and did.
pub struct Initialised {
    /// The open token.
    pub token: Token,
    /// The self-test's outcome.
    pub capabilities: Capabilities,
    /// Whether the sealing key is new; otherwise it was there, whole, and is kept.
    pub sealing_key_created: bool,
    /// Whether the audit key is new.
    pub audit_key_created: bool,
    /// How many half-written objects were swept away.
    pub swept: usize,
}

/// The longest appliance label, in characters.
const MAX_APPLIANCE: usize = 32;

/// Makes the sealing key (AES-256, sensitive, never extractable, encrypts and decrypts only)
/// and the audit key (ECDSA on P-256, else on secp256k1) on a token that has its user PIN, and
/// tests the token by doing. Keys that are there are found again, never replaced: running this
/// twice, or again after a crash, is safe.
///
/// # Errors
/// Those of [`Token::open`]; [`HsmError::OtherAppliance`] if the keys carry another label;
/// [`HsmError::Missing`] if the token lacks AES-256-GCM or ECDSA on both curves;
/// [`HsmError::Name`] unless the label is 1 to 32 printable ASCII characters without spaces.
pub fn initialise(uri: &TokenUri, pin: &Pin, appliance: &str) -> Result<Initialised, HsmError> {
    check_name("appliance label", appliance, MAX_APPLIANCE)?;
    let link = Link::open(uri, pin)?;
    let swept = link.call(|_, session| object::sweep(session))?;

    let sealing = link.call(|_, session| object::sealing(session))?;
    if let Some(key) = sealing {
        let found = link.call(|_, session| object::appliance(session, key))?;
        if found != appliance {
            return Err(HsmError::OtherAppliance { found, wanted: appliance.to_owned() });
        }
    }
    let audit = link.call(|_, session| object::audit(session))?;

    let (sealing, sealing_key_created) = match sealing {
        Some(key) => (key, false),
        None => {
            link.call(|_, session| make_sealing(session, appliance))?;
            let made = link.call(|_, session| object::sealing(session))?;
            (made.ok_or(HsmError::NotInitialised(Name::Sealing.label()))?, true)
        }
    };
    let ((audit, audit_public), audit_key_created) = match audit {
        Some(key) => (key, false),
        None => {
            make_audit(&link, appliance)?;
            let made = link.call(|_, session| object::audit(session))?;
            (made.ok_or(HsmError::NotInitialised(Name::Audit.label()))?, true)
        }
    };

    let keys = Keys { sealing, audit, audit_public };
    let token = Token::with_keys(link, keys, appliance.to_owned())?;
    token.sign_audit(&[0x5a; 32])?;
    let capabilities = token.self_test()?;
    Ok(Initialised { token, capabilities, sealing_key_created, audit_key_created, swept })
}

fn make_sealing(session: &cryptoki::session::Session, appliance: &str) -> Result<(), HsmError> {
    let key = object::generate_sealing(session, appliance).map_err(missing)?;
    let trial = (|| {
        let plain = b"tried before it is trusted";
        let blob = encrypt(session, key, b"trial", plain)?;
        if *decrypt(session, key, b"trial", &blob)? != plain {
            return Err(HsmError::Integrity);
        }
        Ok(())
    })();
    // An untried key must not stay behind under any name.
    if let Err(error) = trial {
        let _ = session.destroy_object(key);
        return Err(missing(error));
    }
    object::name(session, key, Name::Sealing)
}

/// Says in one word what is lacking, where the token says that it lacks something.
fn missing(error: HsmError) -> HsmError {
    use RvError as R;
    match error.code() {
        Some(R::MechanismInvalid | R::MechanismParamInvalid | R::KeySizeRange | R::FunctionNotSupported) => {
            HsmError::Missing { capability: Capability::AesGcm256, reason: error.to_string() }
        }
        _ => error,
    }
}

/// P-256 first: a token that refuses it is asked for secp256k1.
fn make_audit(link: &Link, appliance: &str) -> Result<(), HsmError> {
    let mut refusals = Vec::new();
    for curve in [AuditCurve::P256, AuditCurve::Secp256k1] {
        match link.call(|_, session| make_audit_on(session, curve, appliance)) {
            Ok(()) => return Ok(()),
            Err(error) if refuses_curve(&error) => {
                refusals.push(format!("{}: {error}", curve.name()));
            }
            Err(error) => return Err(error),
        }
    }
    Err(HsmError::Missing { capability: Capability::EcdsaP256, reason: refusals.join("; ") })
}

fn refuses_curve(error: &HsmError) -> bool {
    use RvError as R;
    matches!(
        error.code(),
        Some(
            R::CurveNotSupported
                | R::DomainParamsInvalid
                | R::MechanismInvalid
                | R::MechanismParamInvalid
                | R::AttributeValueInvalid
                | R::TemplateInconsistent
                | R::FunctionNotSupported
                | R::FunctionFailed
                | R::GeneralError
        )
    )
}

fn make_audit_on(
    session: &cryptoki::session::Session,
    curve: AuditCurve,
    appliance: &str,
) -> Result<(), HsmError> {
    let (public, private) = object::generate_audit(session, curve, appliance)?;
    let trial = (|| {
        let digest = [0xa5; 32];
        let key: AuditPublicKey = object::public_key(session, public)?.ok_or(HsmError::BadKey {
            key: Name::Audit.label(),
            reason: "its public point is invalid".to_owned(),
        })?;
        key.accept(&digest, &session.sign(&Mechanism::Ecdsa, private, &digest)?)
    })();
    if let Err(error) = trial {
        let _ = session.destroy_object(private);
        let _ = session.destroy_object(public);
        return Err(error);
    }
    // The private key last: it is by that name that the pair is found.
    object::name(session, public, Name::Audit)?;
    object::name(session, private, Name::Audit)
}
