//! One session, from nonces to the final signature. Each step consumes what the step before left.

use strongroom_policy::KeyLocator;

use super::arithmetic::Residue;
use super::error::SessionError;
use super::key_aggregation::CombinedKey;
use super::nonce::PublicNonce;
use super::partial::Signing;
use super::request::Musig2Version;

/// Where a secret nonce is kept. Not `Clone`: whoever holds it may take the nonce, once.
pub(super) struct Slot(pub(super) usize);

/// One session.
pub(super) struct Session {
    pub(super) key: KeyLocator,
    pub(super) version: Musig2Version,
    /// The client knows the secret nonce.
    pub(super) pregenerated: bool,
    pub(super) combined: CombinedKey,
    pub(super) stage: Stage,
}

/// How far a session has come.
pub(super) enum Stage {
    /// Waits for nonces; `sum` of `have` of them, ours included.
    Nonces { slot: Slot, sum: PublicNonce, have: usize },
    /// Has every nonce.
    Ready { slot: Slot, aggregate: PublicNonce },
    /// The nonce is used up: the signature is being made, or could not be made.
    Spent { aggregate: PublicNonce },
    /// Has signed; `sum` of `have` partial signatures, ours included.
    Signed { aggregate: PublicNonce, signing: Signing, sum: Residue, have: usize },
}

impl Session {
    pub(super) fn have_all_nonces(&self) -> bool {
        !matches!(self.stage, Stage::Nonces { .. })
    }

    /// Adds nonces, all or none. Whether all signers' are there now.
    pub(super) fn add_nonces(&mut self, nonces: &[PublicNonce]) -> Result<bool, SessionError> {
        let missing = match &self.stage {
            Stage::Nonces { have, .. } => self.combined.signers - have,
            _ => 0,
        };
        if nonces.len() > missing {
            return Err(SessionError::TooManyNonces { given: nonces.len(), missing });
        }
        if let Stage::Nonces { sum, have, .. } = &mut self.stage {
            *sum = nonces.iter().fold(*sum, |sum, nonce| sum.add(*nonce));
            *have += nonces.len();
        }
        self.ready_if_complete();
        Ok(self.have_all_nonces())
    }

    /// Takes the sum of all nonces, ours included, as somebody else made it.
    pub(super) fn set_combined_nonce(&mut self, aggregate: PublicNonce) -> Result<(), SessionError> {
        if self.version == Musig2Version::V040 {
            return Err(SessionError::CombinedNonceVersion);
        }
        match &mut self.stage {
            Stage::Nonces { sum, have: have @ 1, .. } => {
                *sum = aggregate;
                *have = self.combined.signers;
                self.ready_if_complete();
                Ok(())
            }
            Stage::Nonces { .. } => Err(SessionError::NoncesMixed),
            _ => Err(SessionError::TooManyNonces { given: 1, missing: 0 }),
        }
    }

    /// The sum of all nonces.
    pub(super) fn combined_nonce(&self) -> Result<PublicNonce, SessionError> {
        match &self.stage {
            _ if self.version == Musig2Version::V040 => Err(SessionError::CombinedNonceVersion),
            Stage::Nonces { have, .. } => {
                Err(SessionError::NoncesMissing { have: *have, need: self.combined.signers })
            }
            Stage::Ready { aggregate, .. } | Stage::Spent { aggregate } | Stage::Signed { aggregate, .. } => {
                Ok(*aggregate)
            }
        }
    }

    fn ready_if_complete(&mut self) {
        let Stage::Nonces { sum, have, .. } = self.stage else { return };
        if have == self.combined.signers {
            let stage = std::mem::replace(&mut self.stage, Stage::Spent { aggregate: sum });
            if let Stage::Nonces { slot, .. } = stage {
                self.stage = Stage::Ready { slot, aggregate: sum };
            }
        }
    }

    /// The way to the nonce, once: afterwards the session cannot sign.
    pub(super) fn spend(&mut self) -> Result<(Slot, PublicNonce), SessionError> {
        match &self.stage {
            Stage::Nonces { have, .. } => {
                Err(SessionError::NoncesMissing { have: *have, need: self.combined.signers })
            }
            Stage::Spent { .. } | Stage::Signed { .. } => Err(SessionError::Signed),
            Stage::Ready { aggregate, .. } => {
                let aggregate = *aggregate;
                let stage = std::mem::replace(&mut self.stage, Stage::Spent { aggregate });
                match stage {
                    Stage::Ready { slot, .. } => Ok((slot, aggregate)),
                    _ => Err(SessionError::Signed),
                }
            }
        }
    }

    /// Notes our own partial signature.
    pub(super) fn signed(&mut self, signing: Signing, signature: Residue) {
        if let Stage::Spent { aggregate } = self.stage {
            self.stage = Stage::Signed { aggregate, signing, sum: signature, have: 1 };
        }
    }

    /// Adds partial signatures and gives what was agreed on when they are all there.
    pub(super) fn add_signatures(
        &mut self,
        others: &[Residue],
    ) -> Result<Option<(Signing, Residue)>, SessionError> {
        let Stage::Signed { signing, sum, have, .. } = &mut self.stage else {
            return Err(SessionError::NotSigned);
        };
        let missing = self.combined.signers - *have;
        if others.len() > missing {
            return Err(SessionError::TooManySignatures { given: others.len(), missing });
        }
        let total = others.iter().fold(*sum, |sum, other| sum.add(*other));
        if others.len() == missing {
            // Nothing is noted: should they not verify, the right ones may still come.
            return Ok(Some((*signing, total)));
        }
        *sum = total;
        *have += others.len();
        Ok(None)
    }

    /// The way to the nonce of a session that ends, if it has not signed.
    pub(super) fn into_slot(self) -> Option<Slot> {
        match self.stage {
            Stage::Nonces { slot, .. } | Stage::Ready { slot, .. } => Some(slot),
            Stage::Spent { .. } | Stage::Signed { .. } => None,
        }
    }
}
