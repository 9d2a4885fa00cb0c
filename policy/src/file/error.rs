//! Why a policy file is refused.

/// A policy file that is refused: where, and what is allowed there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, {key}: {problem}")]
pub struct PolicyError {
    /// Line in the file, from 1.
    pub line: usize,
    /// The key with its table, as `fees.wallet.max_rate_sat_per_vb`; the table alone if the key is absent.
    pub key: String,
    /// What was given and what is allowed.
    pub problem: String,
}
