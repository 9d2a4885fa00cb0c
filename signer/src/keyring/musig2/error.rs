//! Why a MuSig2 step is refused.

/// A MuSig2 request that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// No version, or an unknown one.
    #[error("MuSig2 version {0} is neither MUSIG2_VERSION_V040 (1) nor MUSIG2_VERSION_V100RC2 (2)")]
    Version(i32),
    /// Too few or too many signers.
    #[error("{given} signers; 2 to {limit} are allowed")]
    Signers {
        /// Keys given.
        given: usize,
        /// The limit.
        limit: usize,
    },
    /// A signer's key that is none.
    #[error("signer key {index} is not a public key of {expected} bytes")]
    SignerKey {
        /// Its place in the request.
        index: usize,
        /// 32 for 0.4.0, 33 for 1.0.0rc2.
        expected: usize,
    },
    /// Our key is not among the signers'.
    #[error("the key of key_loc is not among the signers' keys")]
    NotASigner,
    /// Too many tweaks.
    #[error("{given} tweaks; at most {limit} are allowed")]
    Tweaks {
        /// Tweaks given.
        given: usize,
        /// The limit.
        limit: usize,
    },
    /// A tweak or merkle root of the wrong length.
    #[error("a {what} has {given} bytes; 32 are expected")]
    TweakLength {
        /// What it is.
        what: &'static str,
        /// Bytes given.
        given: usize,
    },
    /// A tweak out of range.
    #[error("a tweak is not below the group order")]
    TweakRange,
    /// Both kinds of tweak; lnd would ignore one silently.
    #[error("tweaks and taproot_tweak cannot both be set")]
    TweakKinds,
    /// Keys or tweaks that cancel out.
    #[error("the signers' keys and tweaks cancel out")]
    Infinity,
    /// A nonce of the wrong length.
    #[error("a nonce has {given} bytes; {expected} are expected")]
    NonceLength {
        /// Bytes given.
        given: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A nonce that is no pair of points.
    #[error("a nonce is not two compressed points")]
    Nonce,
    /// A secret nonce of the client's that cannot be used.
    #[error("the pregenerated nonce is not two private keys and the public key of key_loc")]
    PregeneratedNonce,
    /// lnd ignores it there silently.
    #[error("pregenerated_local_nonce goes with version 1.0.0rc2 only")]
    PregeneratedNonceVersion,
    /// More nonces than signers.
    #[error("{given} more nonces given, and {missing} are missing")]
    TooManyNonces {
        /// Nonces given.
        given: usize,
        /// Nonces missing.
        missing: usize,
    },
    /// Nothing given.
    #[error("at least one {0} is needed")]
    Nothing(&'static str),
    /// A combined nonce beside single ones.
    #[error("a combined nonce cannot be registered: nonces of single signers are")]
    NoncesMixed,
    /// Calls that 0.4.0 does not have.
    #[error("combined nonces go with version 1.0.0rc2 only")]
    CombinedNonceVersion,
    /// Nonces are missing.
    #[error("{have} of {need} nonces are registered")]
    NoncesMissing {
        /// Nonces registered.
        have: usize,
        /// Nonces needed.
        need: usize,
    },
    /// Not 32 bytes.
    #[error("a {what} has {given} bytes; 32 are expected")]
    Length {
        /// What it is.
        what: &'static str,
        /// Bytes given.
        given: usize,
    },
    /// Signed already: a second signature would need the same nonce.
    #[error("the session has signed already")]
    Signed,
    /// Not signed yet.
    #[error("the session has not signed yet")]
    NotSigned,
    /// A partial signature out of range.
    #[error("a partial signature is not below the group order")]
    PartialSignature,
    /// More partial signatures than signers.
    #[error("{given} more partial signatures given, and {missing} are missing")]
    TooManySignatures {
        /// Signatures given.
        given: usize,
        /// Signatures missing.
        missing: usize,
    },
    /// The final signature does not verify.
    #[error("the combined signature does not verify: a partial signature or nonce is wrong")]
    Combined,
    /// No such session.
    #[error("no session {id}: it ended, expired after {idle} s without use, or made room for a newer one")]
    Unknown {
        /// The id, hex.
        id: String,
        /// The idle limit.
        idle: u64,
    },
    /// None are allowed.
    #[error("MuSig2 sessions are switched off (limit 0)")]
    Off,
    /// A request for the other step.
    #[error("the approval is for another MuSig2 step")]
    Step,
}
