//! What can go wrong between an approval and its signature.

use strongroom_hsm::MemoryError;
use strongroom_lightning::AnswerError;
use strongroom_policy::KeyPath;

use super::musig2::SessionError;

/// Why the keyring gives nothing. No variant holds a secret, and nothing was released.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The keys were wiped: the appliance is sealed.
    #[error("the keys of this node are sealed")]
    Sealed,
    /// A key outside the accounts that lnd uses.
    #[error("no account of this node holds the key {0}")]
    UnknownKey(KeyPath),
    /// A tweak or seed that gives no valid key. Nobody can find one by chance (2^-127).
    #[error("no valid key results: {0}")]
    NoKey(&'static str),
    /// The signature does not verify under the public key that was decided on. It was withheld.
    #[error("the signature made for {0} does not verify and was withheld")]
    DoesNotVerify(String),
    /// The PSBT does not take the signatures.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// A MuSig2 step out of turn, or with values that do not fit.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Locked memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The system gives no random bytes.
    #[error("no random bytes from the system: {0}")]
    Random(getrandom::Error),
}

impl KeyringError {
    /// Whether the request is at fault, rather than this appliance.
    pub fn is_request(&self) -> bool {
        matches!(self, Self::UnknownKey(_) | Self::Session(_))
    }
}
