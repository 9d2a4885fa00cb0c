//! MuSig2 as lnd's signer does it, in both its versions. They differ in how signers' keys are written and in one
//! sign, so one implementation serves both.
//!
//! A secret nonce is in locked memory from the session's beginning until it signs, and can be taken out once.

mod arithmetic;
mod error;
mod key_aggregation;
mod nonce;
mod partial;
mod request;
mod session;
mod sessions;

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use strongroom_policy::KeyPath;
use zeroize::Zeroizing;

use super::Keyring;
use super::error::KeyringError;
use crate::journal::Approved;
use arithmetic::{Residue, x_of};
use key_aggregation::CombinedKey;
use nonce::{PUBLIC, PublicNonce, SecretNonce};
use partial::Signing;
use request::{MAX_SIGNERS, Step};
use session::{Session, Stage};

pub use error::SessionError;
pub use request::{CreateSession, Musig2Request, Musig2Tweaks, Musig2Version, SessionFields, SessionId};
pub use sessions::SessionLimits;
pub(super) use sessions::Sessions;

/// A session made, as `signrpc.MuSig2SessionResponse` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its name.
    pub id: SessionId,
    /// X coordinate of the combined key with all tweaks.
    pub combined_key: [u8; 32],
    /// X coordinate of the combined key before the taproot tweak, if there is one.
    pub taproot_internal_key: Option<[u8; 32]>,
    /// Our public nonce.
    pub local_public_nonces: [u8; PUBLIC],
    /// Whether every nonce is there.
    pub have_all_nonces: bool,
}

impl Keyring {
    /// A request for a session, for the journal to decide.
    pub fn musig2_create_request(&self, create: CreateSession) -> Musig2Request {
        Musig2Request {
            key: create.key,
            pregenerated: create.pregenerated.is_some(),
            open_sessions: self.sessions.lock().len(),
            step: Step::Create(Box::new(create)),
        }
    }

    /// A request for a partial signature on 32 bytes, for the journal to decide. `cleanup` ends the session with it.
    pub fn musig2_sign_request(
        &self,
        session: SessionId,
        message: &[u8],
        cleanup: bool,
    ) -> Result<Musig2Request, KeyringError> {
        let message = message
            .try_into()
            .map_err(|_| SessionError::Length { what: "message digest", given: message.len() })?;
        let mut table = self.sessions.lock();
        let open_sessions = table.len();
        let known = table.get(session).ok_or_else(|| self.sessions.unknown(session))?;
        let (key, pregenerated) = (known.key, known.pregenerated);
        Ok(Musig2Request { key, pregenerated, open_sessions, step: Step::Sign { session, message, cleanup } })
    }

    /// Makes a session with a fresh nonce, or with the client's own if that was approved.
    pub fn musig2_create(&self, approved: Approved<Musig2Request>) -> Result<SessionInfo, KeyringError> {
        let Step::Create(create) = approved.into_request().step else {
            return Err(SessionError::Step.into());
        };
        let secret = self.branches.secret(&KeyPath::Lightning(create.key))?;
        let own = secret.public_key(&self.secp);
        let combined =
            CombinedKey::aggregate(&self.secp, create.version, &create.signers, &own, &create.tweaks)?;
        let nonce = match &create.pregenerated {
            Some(bytes) if bytes[64..] == own.serialize() => {
                bytes[..64].try_into().ok().and_then(SecretNonce::from_bytes)
            }
            Some(_) => None,
            None => {
                let mut fresh = Zeroizing::new([0u8; 32]);
                getrandom::fill(&mut *fresh).map_err(KeyringError::Random)?;
                Some(SecretNonce::generate(&fresh, &secret, &own, &combined.x())?)
            }
        };
        let nonce = nonce.ok_or(SessionError::PregeneratedNonce)?;
        let public = nonce.public(&self.secp);

        let mut engine = sha256::Hash::engine();
        engine.input(&combined.key.serialize());
        engine.input(&public.serialize());
        let id = SessionId(sha256::Hash::from_engine(engine).to_byte_array());

        let mut have_all_nonces = false;
        let (key, version, pregenerated) = (create.key, create.version, create.pregenerated.is_some());
        self.sessions.lock().insert(id, &nonce, |slot| {
            let stage = Stage::Nonces { slot, sum: public, have: 1 };
            let mut session = Session { key, version, pregenerated, combined, stage };
            // Fits: the request has fewer nonces than signers.
            have_all_nonces = session.add_nonces(&create.other_nonces).unwrap_or(false);
            session
        })?;
        Ok(SessionInfo {
            id,
            combined_key: combined.x(),
            taproot_internal_key: combined.internal.as_ref().map(x_of),
            local_public_nonces: public.serialize(),
            have_all_nonces,
        })
    }

    /// Our partial signature, verified. The session's nonce is gone afterwards, whatever happens.
    pub fn musig2_sign(&self, approved: Approved<Musig2Request>) -> Result<[u8; 32], KeyringError> {
        let Musig2Request { key, step, .. } = approved.into_request();
        let Step::Sign { session: id, message, cleanup } = step else {
            return Err(SessionError::Step.into());
        };
        // The table is not locked while the arithmetic is done: taking the nonce is what keeps others out.
        let (nonce, aggregate, combined) = {
            let mut table = self.sessions.lock();
            // A client that brings its own nonces can give another key's session the same id: not what was approved.
            let session = table.get(id).filter(|session| session.key == key);
            let session = session.ok_or_else(|| self.sessions.unknown(id))?;
            let combined = session.combined;
            let (slot, aggregate) = session.spend()?;
            let nonce = table.take_nonce(slot).ok_or(KeyringError::Sealed)?;
            (nonce, aggregate, combined)
        };
        let secret = self.branches.secret(&KeyPath::Lightning(key))?;
        let signing =
            Signing::new(&self.secp, &combined, &aggregate, message).ok_or(SessionError::Infinity)?;
        let signature = signing.sign(&self.secp, &combined, &secret, nonce)?;
        let mut table = self.sessions.lock();
        if cleanup {
            table.end(id);
        } else if let Some(session) = table.get(id) {
            session.signed(signing, signature);
        }
        Ok(signature.to_bytes())
    }

    /// Adds other signers' nonces, all or none. Whether every signer's is there now.
    pub fn musig2_register_nonces(&self, id: SessionId, nonces: &[&[u8]]) -> Result<bool, KeyringError> {
        if nonces.is_empty() {
            return Err(SessionError::Nothing("nonce").into());
        }
        // Reading a nonce is work, and a request has room for thousands.
        if nonces.len() >= MAX_SIGNERS {
            return Err(SessionError::TooManyNonces { given: nonces.len(), missing: MAX_SIGNERS - 1 }.into());
        }
        let nonces = nonces.iter().map(|nonce| PublicNonce::parse(nonce)).collect::<Result<Vec<_>, _>>()?;
        self.with_session(id, |session| session.add_nonces(&nonces))
    }

    /// Takes the sum of all nonces as a coordinator made it. Version 1.0.0rc2 only.
    pub fn musig2_register_combined_nonce(&self, id: SessionId, nonce: &[u8]) -> Result<(), KeyringError> {
        let aggregate = PublicNonce::parse(nonce)?;
        self.with_session(id, |session| session.set_combined_nonce(aggregate))
    }

    /// The sum of all nonces. Version 1.0.0rc2 only.
    pub fn musig2_combined_nonce(&self, id: SessionId) -> Result<[u8; PUBLIC], KeyringError> {
        self.with_session(id, |session| session.combined_nonce()).map(|nonce| nonce.serialize())
    }

    /// Adds other signers' partial signatures. The final signature, verified, once all are there: the session ends
    /// with it. If it does not verify, the ones given last are forgotten.
    pub fn musig2_combine(&self, id: SessionId, partial: &[&[u8]]) -> Result<Option<[u8; 64]>, KeyringError> {
        if partial.is_empty() {
            return Err(SessionError::Nothing("partial signature").into());
        }
        let others = partial
            .iter()
            .map(|bytes| {
                let wrong = |_| SessionError::Length { what: "partial signature", given: bytes.len() };
                Residue::parse((*bytes).try_into().map_err(wrong)?).ok_or(SessionError::PartialSignature)
            })
            .collect::<Result<Vec<_>, SessionError>>()?;
        let mut table = self.sessions.lock();
        let session = table.get(id).ok_or_else(|| self.sessions.unknown(id))?;
        let Some((signing, sum)) = session.add_signatures(&others)? else { return Ok(None) };
        let signature = signing.combine(&self.secp, &session.combined, sum).ok_or(SessionError::Combined)?;
        table.end(id);
        Ok(Some(signature))
    }

    /// Ends a session and erases its nonce.
    pub fn musig2_cleanup(&self, id: SessionId) -> Result<(), KeyringError> {
        let ended = self.sessions.lock().end(id);
        if ended { Ok(()) } else { Err(self.sessions.unknown(id)) }
    }

    fn with_session<A>(
        &self,
        id: SessionId,
        step: impl FnOnce(&mut Session) -> Result<A, SessionError>,
    ) -> Result<A, KeyringError> {
        let mut table = self.sessions.lock();
        let session = table.get(id).ok_or_else(|| self.sessions.unknown(id))?;
        step(session).map_err(KeyringError::from)
    }
}

#[cfg(test)]
mod tests;
