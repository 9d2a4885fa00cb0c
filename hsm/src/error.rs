//! What can go wrong at a token, sorted by what the caller must do about it.

use cryptoki::error::{Error as Pkcs11Error, RvError};

use crate::capability::Capability;
use crate::locked::MemoryError;

/// An error at the token. No variant carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum HsmError {
    /// The token refused the PIN. It is not tried again here: tokens lock after a few
    /// refusals, so a second try needs a person.
    #[error("the token refused the PIN; it is not tried again, because tokens lock after a few refusals")]
    WrongPin,
    /// The token is locked after too many refused PINs.
    #[error("the token's PIN is locked after too many refusals: its security officer must reset it")]
    PinLocked,
    /// The token has no user PIN yet.
    #[error("the token has no user PIN yet: initialise it with its vendor's tool (or softhsm-setup)")]
    PinNotSet,
    /// Module or token vanished. This [`Token`](crate::Token) is dead; open a new one.
    #[error("the HSM is gone ({0}): open it again once it is back")]
    Gone(String),
    /// Authenticated decryption failed while the token itself works.
    #[error(
        "the sealed blob does not open: it was altered, or belongs to another key, purpose, node, version or counter"
    )]
    Integrity,
    /// The token cannot do something that is needed.
    #[error("the token cannot do {capability}, which is needed: {reason}")]
    Missing {
        /// What is needed.
        capability: Capability,
        /// What the token answered.
        reason: String,
    },
    /// The module could not be loaded or started.
    #[error("PKCS#11 module {path} cannot be used: {reason}")]
    NoModule {
        /// The module's path.
        path: String,
        /// What the loader, or the module, said.
        reason: String,
    },
    /// No initialised token matches the URI.
    #[error("no token matches {uri}; tokens seen: {seen}")]
    NoToken {
        /// The URI asked for.
        uri: String,
        /// Labels of the tokens that are there.
        seen: String,
    },
    /// Several tokens match the URI.
    #[error("{count} tokens match {uri}: add serial= or slot-id=")]
    Ambiguous {
        /// The URI asked for.
        uri: String,
        /// How many match.
        count: usize,
    },
    /// A token of this label is there already.
    #[error("a token labelled {0:?} is there already; nothing was changed")]
    LabelTaken(String),
    /// This process holds the token open already. Login is shared by a process, so a second
    /// one could not be checked against its PIN.
    #[error("this process holds the token open already: close it first")]
    AlreadyOpen,
    /// The token has not been through [`initialise`](crate::initialise).
    #[error("the token holds no {0}: run `strongroom init` first")]
    NotInitialised(&'static str),
    /// The keys belong to another appliance.
    #[error("the token belongs to appliance {found:?}, not {wanted:?}")]
    OtherAppliance {
        /// The appliance on the token.
        found: String,
        /// The one asked for.
        wanted: String,
    },
    /// A key is there, but is not what this product made, or does not work. It is never
    /// replaced silently, because secrets may be sealed under it.
    #[error("the {key} on the token is not usable: {reason}; nothing was changed")]
    BadKey {
        /// Which key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An argument outside its limits.
    #[error("{what} is {value}, the limit is {limit}")]
    Limit {
        /// What was given.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The limit.
        limit: usize,
    },
    /// A name that cannot be bound to a key or blob.
    #[error("{what} {value:?} must be 1 to {limit} printable ASCII characters without spaces")]
    Name {
        /// What was named.
        what: &'static str,
        /// The name given.
        value: String,
        /// The longest name, in characters.
        limit: usize,
    },
    /// The token's signature does not verify; it is not released.
    #[error("the token made a signature that does not verify; it was discarded")]
    BadSignature,
    /// Locked memory could not be had.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// Any other refusal by the module.
    #[error("the module answered {code} to {call}")]
    Pkcs11 {
        /// The PKCS#11 function.
        call: String,
        /// The return value.
        code: String,
        /// How the failure is to be read.
        #[source]
        source: Pkcs11Error,
    },
}

impl From<Pkcs11Error> for HsmError {
    fn from(error: Pkcs11Error) -> Self {
        match error {
            Pkcs11Error::Pkcs11(RvError::PinLocked, _) => Self::PinLocked,
            Pkcs11Error::Pkcs11(RvError::UserPinNotInitialized, _) => Self::PinNotSet,
            Pkcs11Error::Pkcs11(code, call) => Self::Pkcs11 {
                call: format!("C_{call:?}"),
                code: format!("{code:?}"),
                source: Pkcs11Error::Pkcs11(code, call),
            },
            other => Self::Pkcs11 { call: "the binding".to_owned(), code: other.to_string(), source: other },
        }
    }
}

impl HsmError {
    /// Whether module or token is not there (any more): nothing is wrong with keys or PIN, and
    /// opening it again is worth a try once it is back.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::NoModule { .. } | Self::NoToken { .. })
    }

    /// The PKCS#11 return value behind this error, if there is one.
    pub(crate) fn code(&self) -> Option<RvError> {
        match self {
            Self::Pkcs11 { source: Pkcs11Error::Pkcs11(code, _), .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the module has said that it, its token, or what we held of it is gone.
    pub(crate) fn says_gone(&self) -> bool {
        use RvError as R;
        matches!(
            self.code(),
            Some(
                R::DeviceError
                    | R::DeviceRemoved
                    | R::TokenNotPresent
                    | R::TokenNotRecognized
                    | R::SlotIdInvalid
                    | R::SessionClosed
                    | R::SessionHandleInvalid
                    | R::ObjectHandleInvalid
                    | R::KeyHandleInvalid
                    | R::UserNotLoggedIn
                    | R::CryptokiNotInitialized
            )
        )
    }

    /// Whether this is how some module reports a failed GCM tag. SoftHSM says
    /// CKR_GENERAL_ERROR, kryoptic CKR_ENCRYPTED_DATA_INVALID; PKCS#11 3.0 has
    /// CKR_AEAD_DECRYPT_FAILED (0x42), which cryptoki 0.12 does not name.
    pub(crate) fn may_be_bad_tag(&self) -> bool {
        use RvError as R;
        matches!(
            self.code(),
            Some(
                R::GeneralError
                    | R::FunctionFailed
                    | R::EncryptedDataInvalid
                    | R::EncryptedDataLenRange
                    | R::DataInvalid
                    | R::SignatureInvalid
                    | R::UnknownErrorCode(0x42)
                    | R::VendorDefined(_)
            )
        )
    }
}
