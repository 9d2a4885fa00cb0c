//! What a token can do, found out by doing it: mechanism lists promise what modules refuse.

use std::fmt;
use std::time::Instant;

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use serde::Serialize;

use crate::audit_key::{AuditCurve, AuditPublicKey};
use crate::error::HsmError;
use crate::object::public_key;
use crate::seal::SealedBlob;
use crate::token::{decrypt, encrypt};

/// Something this product may ask of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Random numbers.
    Rng,
    /// AES-256-GCM that refuses altered ciphertext and other additional data.
    AesGcm256,
    /// AES key wrap (RFC 3394) between two keys in the token.
    AesKeyWrap,
    /// HMAC-SHA-256.
    HmacSha256,
    /// ECDSA on P-256 over a digest.
    EcdsaP256,
    /// ECDSA on secp256k1 over a digest.
    EcdsaSecp256k1,
    /// ECDH on P-256.
    EcdhP256,
    /// ECDH on secp256k1.
    EcdhSecp256k1,
}

impl Capability {
    /// All of them, in the order they are tried and shown.
    pub const ALL: [Self; 8] = [
        Self::Rng,
        Self::AesGcm256,
        Self::AesKeyWrap,
        Self::HmacSha256,
        Self::EcdsaP256,
        Self::EcdsaSecp256k1,
        Self::EcdhP256,
        Self::EcdhSecp256k1,
    ];
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rng => "random numbers",
            Self::AesGcm256 => "AES-256-GCM",
            Self::AesKeyWrap => "AES key wrap",
            Self::HmacSha256 => "HMAC-SHA-256",
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaSecp256k1 => "ECDSA secp256k1",
            Self::EcdhP256 => "ECDH P-256",
            Self::EcdhSecp256k1 => "ECDH secp256k1",
        })
    }
}

/// How a try went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It worked.
    Present {
        /// The median time of one operation, in microseconds.
        micros: u64,
    },
    /// It did not.
    Absent {
        /// What the token answered.
        reason: String,
    },
}

/// One capability and how its try went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// What was tried.
    pub capability: Capability,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of a token's self-test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Token and module in words.
    pub token: String,
    /// One entry for each of [`Capability::ALL`].
    pub probes: Vec<Probe>,
}

impl Capabilities {
    /// Whether the token can do it.
    pub fn has(&self, capability: Capability) -> bool {
        self.probes
            .iter()
            .any(|probe| probe.capability == capability && matches!(probe.outcome, Outcome::Present { .. }))
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.token)?;
        for Probe { capability, outcome } in &self.probes {
            match outcome {
                Outcome::Present { micros } => writeln!(f, "  {capability:<16} {micros:>8} µs")?,
                Outcome::Absent { reason } => writeln!(f, "  {capability:<16}   absent   {reason}")?,
            }
        }
        Ok(())
    }
}

/// Tries every capability, each on a session of its own whose keys vanish with it.
pub(crate) fn probe_all(pkcs11: &Pkcs11, slot: Slot) -> Vec<Probe> {
    let outcome = |capability| match probe(pkcs11, slot, capability) {
        Ok(micros) => Outcome::Present { micros },
        Err(error) => Outcome::Absent { reason: error.to_string() },
    };
    Capability::ALL.map(|capability| Probe { capability, outcome: outcome(capability) }).into()
}

fn probe(pkcs11: &Pkcs11, slot: Slot, capability: Capability) -> Result<u64, HsmError> {
    let session = pkcs11.open_rw_session(slot)?;
    match capability {
        Capability::Rng => probe_rng(&session),
        Capability::AesGcm256 => probe_gcm(&session),
        Capability::AesKeyWrap => probe_key_wrap(&session),
        Capability::HmacSha256 => probe_hmac(&session),
        Capability::EcdsaP256 => probe_ecdsa(&session, AuditCurve::P256),
        Capability::EcdsaSecp256k1 => probe_ecdsa(&session, AuditCurve::Secp256k1),
        Capability::EcdhP256 => probe_ecdh(&session, AuditCurve::P256),
        Capability::EcdhSecp256k1 => probe_ecdh(&session, AuditCurve::Secp256k1),
    }
}

/// The median time of five runs after one that does not count, in microseconds.
fn median_micros(mut run: impl FnMut() -> Result<(), HsmError>) -> Result<u64, HsmError> {
    run()?;
    let mut times = [0; 5];
    for time in &mut times {
        let start = Instant::now();
        run()?;
        *time = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    }
    times.sort_unstable();
    Ok(times[2])
}

fn wrong(capability: Capability, reason: &str) -> HsmError {
    HsmError::Missing { capability, reason: reason.to_owned() }
}

fn probe_rng(session: &Session) -> Result<u64, HsmError> {
    let mut last = vec![0; 32];
    median_micros(|| {
        let drawn = session.generate_random_vec(32)?;
        if drawn == last || drawn.iter().all(|byte| *byte == 0) {
            return Err(wrong(Capability::Rng, "it repeats itself"));
        }
        last = drawn;
        Ok(())
    })
}

/// A secret session key with the given uses.
fn session_key(
    session: &Session,
    mechanism: &Mechanism,
    uses: &[Attribute],
) -> Result<ObjectHandle, HsmError> {
    let kind = match mechanism {
        Mechanism::AesKeyGen => KeyType::AES,
        _ => KeyType::GENERIC_SECRET,
    };
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(kind),
        Attribute::ValueLen(32.into()),
        Attribute::Token(false),
        Attribute::Sensitive(true),
    ];
    template.extend_from_slice(uses);
    Ok(session.generate_key(mechanism, &template)?)
}

const ENCRYPTS: [Attribute; 3] =
    [Attribute::Encrypt(true), Attribute::Decrypt(true), Attribute::Extractable(false)];

fn probe_gcm(session: &Session) -> Result<u64, HsmError> {
    let key = session_key(session, &Mechanism::AesKeyGen, &ENCRYPTS)?;
    let plain = [0x37; 64];
    let blob = encrypt(session, key, b"aad", &plain)?;
    if *decrypt(session, key, b"aad", &blob)? != plain {
        return Err(wrong(Capability::AesGcm256, "it does not decrypt what it encrypted"));
    }
    let micros = median_micros(|| encrypt(session, key, b"aad", &plain).map(drop))?;
    let mut ciphertext = blob.ciphertext().to_vec();
    ciphertext[0] ^= 1;
    let altered = SealedBlob::new(blob.iv().to_vec(), ciphertext)
        .map_err(|error| wrong(Capability::AesGcm256, &error.to_string()))?;
    if decrypt(session, key, b"aad", &altered).is_ok() {
        return Err(wrong(Capability::AesGcm256, "it accepts altered ciphertext"));
    }
    Ok(micros)
}

fn probe_key_wrap(session: &Session) -> Result<u64, HsmError> {
    let wrapping = [Attribute::Wrap(true), Attribute::Unwrap(true), Attribute::Extractable(false)];
    let wrapping = session_key(session, &Mechanism::AesKeyGen, &wrapping)?;
    let mut uses = ENCRYPTS.to_vec();
    uses[2] = Attribute::Extractable(true);
    let inner = session_key(session, &Mechanism::AesKeyGen, &uses)?;
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrap, wrapping, inner)?;
    let blob = encrypt(session, inner, b"", b"by the original")?;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ];
    let back = session.unwrap_key(&Mechanism::AesKeyWrap, wrapping, &wrapped, &template)?;
    if *decrypt(session, back, b"", &blob)? != b"by the original" {
        return Err(wrong(Capability::AesKeyWrap, "another key came back"));
    }
    median_micros(|| Ok(session.wrap_key(&Mechanism::AesKeyWrap, wrapping, inner).map(drop)?))
}

fn probe_hmac(session: &Session) -> Result<u64, HsmError> {
    let uses = [Attribute::Sign(true), Attribute::Verify(true)];
    let key = session_key(session, &Mechanism::GenericSecretKeyGen, &uses)?;
    let mac = session.sign(&Mechanism::Sha256Hmac, key, b"message")?;
    session.verify(&Mechanism::Sha256Hmac, key, b"message", &mac)?;
    if mac.len() != 32 || session.sign(&Mechanism::Sha256Hmac, key, b"other")? == mac {
        return Err(wrong(Capability::HmacSha256, "it is no MAC"));
    }
    median_micros(|| Ok(session.sign(&Mechanism::Sha256Hmac, key, b"message").map(drop)?))
}

/// A session key pair with the given use of its private half.
fn session_pair(
    session: &Session,
    curve: AuditCurve,
    usage: Attribute,
) -> Result<(AuditPublicKey, ObjectHandle), HsmError> {
    let public = [
        Attribute::Token(false),
        Attribute::KeyType(KeyType::EC),
        Attribute::EcParams(curve.ec_params().into()),
    ];
    let private = [Attribute::Token(false), Attribute::Sensitive(true), usage];
    let (public, private) = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
    let key =
        public_key(session, public)?.ok_or_else(|| wrong(ecdsa(curve), "its public point is invalid"))?;
    Ok((key, private))
}

fn ecdsa(curve: AuditCurve) -> Capability {
    match curve {
        AuditCurve::P256 => Capability::EcdsaP256,
        AuditCurve::Secp256k1 => Capability::EcdsaSecp256k1,
    }
}

fn probe_ecdsa(session: &Session, curve: AuditCurve) -> Result<u64, HsmError> {
    let (public, private) = session_pair(session, curve, Attribute::Sign(true))?;
    let digest = [0xc3; 32];
    let sign = || session.sign(&Mechanism::Ecdsa, private, &digest);
    public.accept(&digest, &sign()?)?;
    median_micros(|| Ok(sign().map(drop)?))
}

fn probe_ecdh(session: &Session, curve: AuditCurve) -> Result<u64, HsmError> {
    let (ours, our_private) = session_pair(session, curve, Attribute::Derive(true))?;
    let (theirs, their_private) = session_pair(session, curve, Attribute::Derive(true))?;
    let shared = |private: ObjectHandle, public: &AuditPublicKey| {
        let params = Ecdh1DeriveParams::new(EcKdf::null(), public.sec1());
        // The value is read back only because both key pairs live for this test alone.
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::ValueLen(32.into()),
            Attribute::Token(false),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
        ];
        let key = session.derive_key(&Mechanism::Ecdh1Derive(params), private, &template)?;
        let value = session.get_attributes(key, &[AttributeType::Value])?;
        session.destroy_object(key)?;
        Ok::<_, HsmError>(value)
    };
    let (one, other) = (shared(our_private, &theirs)?, shared(their_private, &ours)?);
    if one != other || !matches!(one.as_slice(), [Attribute::Value(x)] if x.len() == 32) {
        let capability = match curve {
            AuditCurve::P256 => Capability::EcdhP256,
            AuditCurve::Secp256k1 => Capability::EcdhSecp256k1,
        };
        return Err(wrong(capability, "the two sides do not agree"));
    }
    median_micros(|| shared(our_private, &theirs).map(drop))
}
