//! What was asked, as an auditor reads it.

use serde::{Deserialize, Serialize};

/// The request's kind and its facts in short. Keys are written as derivation paths, never as secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// Signatures on a transaction.
    Spend(Spend),
    /// A signature on a message.
    Message {
        /// The key, as `6/0` (family/index).
        key: String,
        /// Kind of message, as `channel-update`.
        kind: String,
        /// Facts that belong to the kind, as an invoice's amount.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// An ECDH shared secret.
    Ecdh {
        /// The key, as `6/0`.
        key: String,
        /// What it is for, as `onion-or-handshake`, `reservation`.
        purpose: String,
    },
    /// A MuSig2 call.
    Musig2 {
        /// The key, as `0/3`.
        key: String,
        /// The step, as `create`.
        step: String,
    },
    /// Nothing that could be understood.
    Malformed {
        /// What did not fit.
        why: String,
    },
}

/// Signatures on a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spend {
    /// Transaction id in the usual (reversed) hex.
    pub txid: String,
    /// What the transaction is, as `counterparty-commitment`, `onchain`, `unknown`.
    pub kind: String,
    /// Funding outpoint of the channel concerned, `txid:vout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Commitment number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<u64>,
    /// Inputs signed.
    pub signed: Vec<SignedInput>,
    /// Sum of the inputs, proven or claimed, in satoshi.
    pub spent_sat: u64,
    /// Paid to others than ourselves, in satoshi.
    pub paid_out_sat: u64,
    /// Fee in satoshi; absent when outputs exceed inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_sat: Option<u64>,
    /// Other facts, as an HTLC's payment hash or why it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One input that a signature was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedInput {
    /// Index of the input.
    pub input: u32,
    /// Output spent, `txid:vout`.
    pub outpoint: String,
    /// The key, as `{0/3}` or `m/84'/0'/0'/0/5`.
    pub key: String,
    /// Sighash byte; 0 is BIP341's DEFAULT.
    pub sighash: u32,
}
