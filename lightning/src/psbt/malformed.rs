//! Why a request cannot be understood.

use bitcoin::{Amount, OutPoint};
use strongroom_policy::KeyPath;

/// A request that is not a well-formed demand for signatures with this node's keys. The answer is
/// InvalidArgument; nothing was decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More bytes than the limit.
    #[error("PSBT of {found} bytes is too large: at most {limit} bytes")]
    TooManyBytes {
        /// Bytes given.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More inputs than the limit.
    #[error("transaction has {found} inputs: at most {limit}")]
    TooManyInputs {
        /// Inputs given.
        found: usize,
        /// Inputs allowed.
        limit: usize,
    },
    /// More outputs than the limit.
    #[error("transaction has {found} outputs: at most {limit}")]
    TooManyOutputs {
        /// Outputs given.
        found: usize,
        /// Outputs allowed.
        limit: usize,
    },
    /// Not BIP 174 (version 0).
    #[error("not a PSBT of version 0: {0}")]
    NotPsbt(&'static str),
    /// The unsigned transaction cannot be used.
    #[error("unsigned transaction: {0}")]
    Transaction(&'static str),
    /// Two inputs spend one output.
    #[error("output {0} is spent by two inputs")]
    DuplicateInput(OutPoint),
    /// An amount beyond 21 million bitcoin, or a sum that is.
    #[error("amount of {0} exceeds the 21 million bitcoin there are")]
    Amount(Amount),
    /// A field of one input is wrong.
    #[error("input {index}: {problem}")]
    Input {
        /// Index of the input.
        index: usize,
        /// What is wrong.
        problem: InputProblem,
    },
    /// Nothing in it is for us to sign.
    #[error("no input is for this node to sign; {reason}")]
    NothingToSign {
        /// Why the first input is not.
        reason: String,
    },
}

/// What is wrong with one input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputProblem {
    /// A field occurs twice or has a wrong form.
    #[error("field {0:#04x} is malformed or occurs twice")]
    Field(u8),
    /// A P2SH input whose script_sig, and with it the transaction's id, is not known.
    #[error(
        "spends P2SH, and neither redeem script nor final script_sig of it is a known push: the final txid is not known"
    )]
    FinalScriptSig,
    /// Neither UTXO field.
    #[error("carries no UTXO")]
    NoUtxo,
    /// The previous transaction is another, or lacks the output.
    #[error("the previous transaction does not hash to {0} or has no such output")]
    PreviousTransaction(OutPoint),
    /// The two UTXO fields differ.
    #[error("witness UTXO and previous transaction differ about the output spent")]
    UtxosDiffer,
    /// A channel key that is not what its path gives.
    #[error("key {stated} is not this node's {path}, which is {derived}")]
    WrongKey {
        /// Path stated.
        path: KeyPath,
        /// Key stated.
        stated: String,
        /// Key derived.
        derived: String,
    },
    /// Both 0x51 and 0xd0, or not 32 bytes, or not a valid scalar.
    #[error("key tweak is malformed: {0}")]
    Tweak(&'static str),
    /// The (tweaked) key has no place in the script.
    #[error("the key to sign with does not occur in the script")]
    KeyNotInScript,
    /// The script given is not the one the output is locked with.
    #[error("the script given does not hash to the script of the output spent")]
    ScriptMismatch,
    /// An output type that LND does not spend.
    #[error("cannot sign for this output: {0}")]
    Unsupported(&'static str),
    /// Taproot fields that do not fit together.
    #[error("taproot fields: {0}")]
    Taproot(&'static str),
    /// A sighash type that does not exist, or that has no output to commit to.
    #[error("sighash type {0:#x} cannot be signed here")]
    Sighash(u32),
}
