//! The proof that a request was decided and recorded.

/// A request that was approved and whose decision is in the journal.
///
/// Made only by the journal, neither `Clone` nor `Copy`, consumed by the keyring: holding one is the proof,
/// and using it uses it up. It carries the very request that was decided, so nothing else can be signed.
///
/// It cannot be forged:
/// ```compile_fail,E0624
/// let forged = strongroom_signer::journal::Approved::new("pay me", 0);
/// ```
/// ```compile_fail,E0451
/// let forged = strongroom_signer::journal::Approved { request: "pay me", leaf: 0 };
/// ```
/// It cannot be cloned:
/// ```compile_fail,E0599
/// fn twice(approved: strongroom_signer::journal::Approved<u8>) {
///     let _ = approved.clone();
/// }
/// ```
/// It cannot be used twice:
/// ```compile_fail,E0382
/// fn sign<T>(_: strongroom_signer::journal::Approved<T>) {}
/// fn twice(approved: strongroom_signer::journal::Approved<u8>) {
///     sign(approved);
///     sign(approved);
/// }
/// ```
#[must_use = "an approval that is not used has still charged its allowance"]
pub struct Approved<T> {
    request: T,
    leaf: u64,
}

impl<T> Approved<T> {
    pub(super) fn new(request: T, leaf: u64) -> Self {
        Self { request, leaf }
    }

    /// An approval out of thin air, for the keyring's own tests.
    #[cfg(test)]
    pub(crate) fn for_test(request: T) -> Self {
        Self { request, leaf: 0 }
    }

    /// The request that was approved.
    pub fn request(&self) -> &T {
        &self.request
    }

    /// Index of the audit leaf that records the decision.
    pub fn leaf(&self) -> u64 {
        self.leaf
    }

    /// Uses the approval up.
    pub(crate) fn into_request(self) -> T {
        self.request
    }
}
