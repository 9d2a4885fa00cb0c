//! An open token: seals, unseals, signs for the audit log, and shows that it is alive.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use zeroize::{Zeroize, Zeroizing};

use crate::audit_key::AuditPublicKey;
use crate::capability::{self, Capabilities, Capability};
use crate::error::HsmError;
use crate::locked::LockedBytes;
use crate::module::{Entered, Module, gone_or};
use crate::object::{self, Keys};
use crate::pin::Pin;
use crate::seal::{SealContext, SealedBlob};
use crate::uri::TokenUri;

/// An open token with its keys. `Send + Sync`; calls to one module wait for each other.
///
/// Calls block for as long as the module does. A forked child would share the login: never fork
/// a process that holds a token. Dropping a token logs out and closes it.
pub struct Token {
    link: Link,
    keys: Keys,
    canary: Canary,
    appliance: String,
}

/// A logged-in session, valid for one generation of its module.
pub(crate) struct Link {
    module: Arc<Module>,
    generation: u64,
    slot: Slot,
    description: String,
    session: Mutex<Option<Session>>,
}

/// A blob sealed when the token was opened; opening it again proves that the sealing key is
/// there and works, without using up an IV each time.
struct Canary {
    blob: SealedBlob,
    plain: [u8; 16],
}

const CANARY_AAD: &[u8] = b"strongroom heartbeat v1";

impl Token {
    /// Opens an initialised token: logs in once, sweeps half-written objects, finds and checks
    /// the keys, and tries the sealing key.
    ///
    /// # Errors
    /// [`HsmError::WrongPin`] and [`HsmError::PinLocked`] after exactly one try;
    /// [`HsmError::NotInitialised`] before [`initialise`](crate::initialise);
    /// [`HsmError::BadKey`] when a key is not what it must be; [`HsmError::AlreadyOpen`];
    /// [`HsmError::NoToken`], [`HsmError::NoModule`] or [`HsmError::Gone`] when it is not there.
    pub fn open(uri: &TokenUri, pin: &Pin) -> Result<Self, HsmError> {
        let link = Link::open(uri, pin)?;
        link.call(|_, session| object::sweep(session))?;
        let (keys, appliance) = link.call(|_, session| {
            let sealing =
                object::sealing(session)?.ok_or(HsmError::NotInitialised(object::Name::Sealing.label()))?;
            let (audit, audit_public) =
                object::audit(session)?.ok_or(HsmError::NotInitialised(object::Name::Audit.label()))?;
            let appliance = object::appliance(session, sealing)?;
            Ok((Keys { sealing, audit, audit_public }, appliance))
        })?;
        Self::with_keys(link, keys, appliance)
    }

    pub(crate) fn with_keys(link: Link, keys: Keys, appliance: String) -> Result<Self, HsmError> {
        let canary = link.call(|_, session| {
            let mut plain = [0; 16];
            random(session, &mut plain)?;
            Ok(Canary { blob: encrypt(session, keys.sealing, CANARY_AAD, &plain)?, plain })
        })?;
        let token = Self { link, keys, canary, appliance };
        token.heartbeat()?;
        Ok(token)
    }

    /// The appliance's label, given to [`initialise`](crate::initialise).
    pub fn appliance(&self) -> &str {
        &self.appliance
    }

    /// Module and token in words, for people.
    pub fn description(&self) -> &str {
        &self.link.description
    }

    /// Encrypts a secret under the sealing key, inside the token, bound to its context.
    ///
    /// # Errors
    /// [`HsmError::Limit`] above [`SealedBlob::MAX_SECRET`]; [`HsmError::Gone`].
    pub fn seal(&self, context: &SealContext, secret: &[u8]) -> Result<SealedBlob, HsmError> {
        if secret.len() > SealedBlob::MAX_SECRET {
            return Err(HsmError::Limit {
                what: "the secret's length in bytes",
                value: secret.len(),
                limit: SealedBlob::MAX_SECRET,
            });
        }
        let aad = context.aad();
        self.call(|_, session| encrypt(session, self.keys.sealing, &aad, secret))
    }

    /// Opens a sealed secret into locked memory.
    ///
    /// The module hands the plaintext over in ordinary memory, which is erased at once.
    ///
    /// # Errors
    /// [`HsmError::Integrity`] if blob or context is not the sealed one;
    /// [`HsmError::Memory`] if memory cannot be locked; [`HsmError::Gone`].
    pub fn unseal(&self, context: &SealContext, blob: &SealedBlob) -> Result<LockedBytes, HsmError> {
        let aad = context.aad();
        // Before the secret comes out, so that there is a place for it.
        let mut secret = LockedBytes::zeroed(blob.ciphertext().len() - SealedBlob::TAG)?;
        let opened = self.call(|_, session| {
            let plain = decrypt(session, self.keys.sealing, &aad, blob)?;
            if plain.len() != secret.len() {
                return Err(HsmError::Integrity);
            }
            secret.copy_from_slice(&plain);
            Ok(())
        });
        match opened {
            Ok(()) => Ok(secret),
            // The token has just been seen to work, so it is the blob.
            Err(error) if error.may_be_bad_tag() => Err(HsmError::Integrity),
            Err(error) => Err(error),
        }
    }

    /// Signs a 32-byte digest with the audit key: `r ‖ s`, low `s`, verified before release.
    ///
    /// # Errors
    /// [`HsmError::BadSignature`] if the token's answer does not verify; [`HsmError::Gone`].
    pub fn sign_audit(&self, digest: &[u8; 32]) -> Result<[u8; 64], HsmError> {
        let raw = self.call(|_, session| Ok(session.sign(&Mechanism::Ecdsa, self.keys.audit, digest)?))?;
        self.keys.audit_public.accept(digest, &raw)
    }

    /// The public half of the audit key.
    pub fn audit_public_key(&self) -> &AuditPublicKey {
        &self.keys.audit_public
    }

    /// Fills `out` from the token's random generator.
    ///
    /// # Errors
    /// [`HsmError::Missing`] if the token has none, or it returns only zeros; [`HsmError::Gone`].
    pub fn random(&self, out: &mut [u8]) -> Result<(), HsmError> {
        self.call(|_, session| random(session, out))
    }

    /// Proves that the token is there and its sealing key works, by using it once.
    ///
    /// # Errors
    /// [`HsmError::Gone`] only: this token is dead, and secrets that depend on it should be
    /// erased.
    pub fn heartbeat(&self) -> Result<(), HsmError> {
        match self.call(|_, session| self.canary.open(session, self.keys.sealing)) {
            // The refusal did not repeat on a fresh session, or it would be Gone.
            Ok(()) | Err(HsmError::Pkcs11 { .. }) => Ok(()),
            Err(gone @ HsmError::Gone(_)) => Err(gone),
            Err(other) => Err(HsmError::Gone(other.to_string())),
        }
    }

    /// Tries everything this product may ask of a token, on session keys that vanish.
    ///
    /// # Errors
    /// [`HsmError::Gone`]. What the token cannot do is no error but [`Outcome::Absent`](crate::Outcome).
    pub fn self_test(&self) -> Result<Capabilities, HsmError> {
        let probes = self.call(|pkcs11, _| Ok(capability::probe_all(pkcs11, self.link.slot)))?;
        self.heartbeat()?;
        Ok(Capabilities { token: self.link.description.clone(), probes })
    }

    /// Logs out and closes. The last token to be closed finalises its module.
    pub fn close(self) {}

    fn call<T>(&self, work: impl FnOnce(&Pkcs11, &Session) -> Result<T, HsmError>) -> Result<T, HsmError> {
        self.link.call_checked(work, |session| self.canary.open(session, self.keys.sealing).is_ok())
    }
}

impl Canary {
    fn open(&self, session: &Session, key: ObjectHandle) -> Result<(), HsmError> {
        let plain = decrypt(session, key, CANARY_AAD, &self.blob)?;
        if *plain == self.plain { Ok(()) } else { Err(HsmError::Integrity) }
    }
}

impl Link {
    pub(crate) fn open(uri: &TokenUri, pin: &Pin) -> Result<Self, HsmError> {
        let module = Module::load(uri.module_path())?;
        let mut entered = module.enter()?;
        let opened = Self::log_in(&mut entered, uri, pin);
        if opened.is_err() {
            entered.leave_if_unused();
        }
        let generation = entered.generation();
        drop(entered);
        let (slot, session, description) = opened?;
        Ok(Self { module, generation, slot, description, session: Mutex::new(Some(session)) })
    }

    fn log_in(
        entered: &mut Entered<'_>,
        uri: &TokenUri,
        pin: &Pin,
    ) -> Result<(Slot, Session, String), HsmError> {
        let (slot, info) = entered.find(uri)?;
        if info.user_pin_locked() {
            return Err(HsmError::PinLocked);
        }
        let description = describe(entered.pkcs11, &info);
        entered.claim(slot)?;
        let session = log_in(entered.pkcs11, slot, pin);
        if session.is_err() {
            entered.release(slot);
        }
        Ok((slot, session?, description))
    }

    /// One piece of work on the token, when it is not yet known how to tell a working token.
    pub(crate) fn call<T>(
        &self,
        work: impl FnOnce(&Pkcs11, &Session) -> Result<T, HsmError>,
    ) -> Result<T, HsmError> {
        self.call_checked(work, |_| true)
    }

    /// One piece of work on the token. If it fails, `works` decides on a fresh session whether
    /// the token is still there; if it is not, this generation of the module ends.
    fn call_checked<T>(
        &self,
        work: impl FnOnce(&Pkcs11, &Session) -> Result<T, HsmError>,
        works: impl FnOnce(&Session) -> bool,
    ) -> Result<T, HsmError> {
        let lost = || HsmError::Gone("it was lost earlier".to_owned());
        let mut entered = self.module.resume(self.generation).ok_or_else(lost)?;
        let mut held = self.hold();
        let session = held.as_ref().ok_or_else(lost)?;
        let error = match work(entered.pkcs11, session) {
            Err(error) if error.code().is_some() => error,
            other => return other,
        };
        // A failed call may leave its operation active, so the session is not used again.
        let alive = !error.says_gone()
            && match entered.pkcs11.open_rw_session_no_drop(self.slot) {
                Ok(fresh) => {
                    let stale = held.replace(fresh);
                    if let Some(stale) = stale {
                        let _ = stale.close();
                    }
                    held.as_ref().is_some_and(works)
                }
                Err(_) => false,
            };
        if alive {
            return Err(error);
        }
        *held = None;
        entered.end_generation();
        Err(HsmError::Gone(error.to_string()))
    }

    fn hold(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // After the generation's end the handles mean nothing, or somebody else's session.
        let Some(mut entered) = self.module.resume(self.generation) else {
            return;
        };
        if let Some(session) = self.hold().take() {
            let _ = session.logout();
            let _ = session.close();
        }
        entered.release(self.slot);
    }
}

fn log_in(pkcs11: &Pkcs11, slot: Slot, pin: &Pin) -> Result<Session, HsmError> {
    // Closed by hand: a stale session closed on drop could hit a new one of the same number.
    let session = pkcs11.open_rw_session_no_drop(slot).map_err(gone_or)?;
    let pin = pin.to_auth_pin();
    let mut answer = session.login(UserType::User, Some(&pin));
    if let Err(Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) = answer {
        // Somebody else's login in this process: ours must be checked against our own PIN.
        answer = session.logout().and_then(|()| session.login(UserType::User, Some(&pin)));
    }
    match answer {
        Ok(()) => Ok(session),
        Err(error) => {
            let _ = session.close();
            Err(match error {
                Pkcs11Error::Pkcs11(
                    RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                    _,
                ) => HsmError::WrongPin,
                other => gone_or(other),
            })
        }
    }
}

fn describe(pkcs11: &Pkcs11, info: &TokenInfo) -> String {
    let module = match pkcs11.get_library_info() {
        Ok(library) => {
            format!("{} {}", library.library_description(), library.library_version())
        }
        Err(_) => "an unnamed module".to_owned(),
    };
    format!(
        "token {:?} ({} {}, serial {}) on {module}",
        info.label(),
        info.manufacturer_id(),
        info.model(),
        info.serial_number()
    )
}

fn random(session: &Session, out: &mut [u8]) -> Result<(), HsmError> {
    let missing = |reason: String| HsmError::Missing { capability: Capability::Rng, reason };
    for part in out.chunks_mut(256) {
        let mut bytes = match session.generate_random_vec(part.len() as u32) {
            Ok(bytes) => bytes,
            Err(Pkcs11Error::Pkcs11(code @ (RvError::RandomNoRng | RvError::FunctionNotSupported), _)) => {
                return Err(missing(format!("{code:?}")));
            }
            Err(error) => return Err(error.into()),
        };
        part.copy_from_slice(&bytes);
        bytes.zeroize();
    }
    // Chance makes 16 zero bytes once in 2^128 draws; a broken generator makes them always.
    if out.len() >= 16 && out.iter().all(|byte| *byte == 0) {
        return Err(missing("it returned only zeros".to_owned()));
    }
    Ok(())
}

/// AES-GCM with a fresh 96-bit random IV, which the token may replace by its own.
pub(crate) fn encrypt(
    session: &Session,
    key: ObjectHandle,
    aad: &[u8],
    plain: &[u8],
) -> Result<SealedBlob, HsmError> {
    let mut iv = vec![0; 12];
    random(session, &mut iv)?;
    let ciphertext = {
        let gcm = Mechanism::AesGcm(GcmParams::new(&mut iv, aad, TAG_BITS.into())?);
        session.encrypt(&gcm, key, plain)?
    };
    if ciphertext.len() != plain.len() + SealedBlob::TAG {
        return Err(HsmError::Missing {
            capability: Capability::AesGcm256,
            reason: format!("{} bytes became {}", plain.len(), ciphertext.len()),
        });
    }
    SealedBlob::new(iv, ciphertext)
        .map_err(|error| HsmError::Missing { capability: Capability::AesGcm256, reason: error.to_string() })
}

/// Undoes [`encrypt`]; the plaintext is erased when it is dropped.
pub(crate) fn decrypt(
    session: &Session,
    key: ObjectHandle,
    aad: &[u8],
    blob: &SealedBlob,
) -> Result<Zeroizing<Vec<u8>>, HsmError> {
    let mut iv = blob.iv().to_vec();
    let gcm = Mechanism::AesGcm(GcmParams::new(&mut iv, aad, TAG_BITS.into())?);
    Ok(Zeroizing::new(session.decrypt(&gcm, key, blob.ciphertext())?))
}

const TAG_BITS: u64 = 8 * SealedBlob::TAG as u64;
