//! A request as understood: the form every rule sees.
//!
//! What is proven and what is only claimed are different types here; a rule cannot mistake one for the other.

use bitcoin::{Amount, OutPoint, ScriptBuf, Txid, Weight};
use serde::{Deserialize, Serialize};

use crate::key::{ClientName, KeyLocator, KeyPath, NodeName, WalletPath};

/// One request, parsed and classified.
#[derive(Clone, Debug)]
pub struct Case {
    /// The LND node whose keys are asked for.
    pub node: NodeName,
    /// The authenticated client.
    pub client: ClientName,
    /// The call.
    pub operation: Operation,
    /// What is asked.
    pub ask: Ask,
}

impl Case {
    /// The kind of spend, if one is asked for.
    pub(crate) fn spend(&self) -> Option<&Spend> {
        match &self.ask {
            Ask::Spend(ask) => Some(&ask.spend),
            Ask::Message(_) | Ask::Ecdh(_) | Ask::Musig2(_) => None,
        }
    }
}

/// The calls a client may be granted, as written in the policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// `walletrpc.WalletKit/SignPsbt`.
    SignPsbt,
    /// `signrpc.Signer/DeriveSharedKey`.
    DeriveSharedKey,
    /// `signrpc.Signer/SignMessage`.
    SignMessage,
    /// Any of the seven MuSig2 calls.
    Musig2,
    /// `strongroom.v1.Preflight/Ask`: what would be refused. Uses no key.
    Preflight,
}

impl Operation {
    /// The name in the policy file and in leaves.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignPsbt => "sign-psbt",
            Self::DeriveSharedKey => "derive-shared-key",
            Self::SignMessage => "sign-message",
            Self::Musig2 => "musig2",
            Self::Preflight => "preflight",
        }
    }
}

/// What is asked, by kind.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Signatures on a transaction.
    Spend(SpendAsk),
    /// A signature on a message.
    Message(MessageAsk),
    /// An ECDH shared secret.
    Ecdh(EcdhAsk),
    /// A MuSig2 session.
    Musig2(Musig2Ask),
}

/// Signatures on one transaction.
#[derive(Clone, Debug)]
pub struct SpendAsk {
    /// The transaction's id (witness-independent: all our inputs are segwit).
    pub txid: Txid,
    /// What the transaction is, as far as requests and our own records tell.
    pub spend: Spend,
    /// The inputs a signature is asked for, in order. Not empty.
    pub signed: Vec<SignedInput>,
    /// Every input, in order.
    pub inputs: Vec<InputFact>,
    /// Every output, in order.
    pub outputs: Vec<OutputFact>,
    /// Weight with estimated witnesses for the inputs not yet signed, and with the commitments that it bumps.
    pub weight: Weight,
    /// What a closing transaction brings home: the channels' outputs that it certainly spends, and what is ours in the
    /// commitments whose anchor it spends. Zero where nothing is closed.
    pub claimed: Amount,
}

impl SpendAsk {
    /// Fee by the amounts of the inputs, proven or not; `None` when outputs exceed inputs or a sum overflows.
    pub fn fee(&self) -> Option<Amount> {
        let paid = self.outputs.iter().try_fold(Amount::ZERO, |sum, o| sum.checked_add(o.amount))?;
        let spent = self.inputs.iter().try_fold(Amount::ZERO, |sum, i| sum.checked_add(i.amount))?;
        spent.checked_sub(paid)
    }
}

/// An input that we are asked to sign. Its key was derived from our own accounts and found in the script;
/// the script hashes to the output spent (both are checked before a `SignedInput` exists).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedInput {
    /// Index of the input.
    pub index: usize,
    /// The key, before any tweak.
    pub key: KeyPath,
    /// How the output is locked.
    pub lock: Lock,
    /// Sighash byte as signed (0 is BIP341's DEFAULT).
    pub sighash: u32,
    /// The tweak LND asks for.
    pub tweak: Tweak,
}

/// How a signed input's output is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lock {
    /// P2WPKH.
    P2wpkh,
    /// P2SH-P2WPKH.
    P2shP2wpkh,
    /// P2WSH (or P2SH-P2WSH) with the given witness script.
    P2wsh,
    /// P2TR key path, BIP86 (no script tree).
    TaprootKeyBip86,
    /// P2TR key path with a script tree's root.
    TaprootKeyTweaked,
    /// P2TR script path.
    TaprootScript,
}

/// Key tweak in a SignPsbt input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tweak {
    /// The derived key itself.
    None,
    /// Unknown field 0x51: d + t.
    Single,
    /// Unknown field 0xd0: the revocation key from a per-commitment secret.
    Double,
}

/// One input of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFact {
    /// The output spent.
    pub outpoint: OutPoint,
    /// Amount as proven or claimed, see `evidence`.
    pub amount: Amount,
    /// Script of the output spent, as proven or claimed.
    pub script_pubkey: ScriptBuf,
    /// nSequence.
    pub sequence: u32,
    /// What the amount rests on.
    pub evidence: Evidence,
}

/// What an input's amount rests on, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The whole previous transaction came along and hashes to the outpoint.
    PreviousTransaction,
    /// We recorded the previous transaction when we signed it.
    Ledger,
    /// Our own bitcoind says so.
    Chain,
    /// Every signature asked for here commits to this amount (the only input of a BIP143 spend, or BIP341
    /// without ANYONECANPAY): a lie makes the signature invalid.
    Committed,
    /// Only the client says so.
    Claimed,
}

impl Evidence {
    /// Whether a lie about the amount would be caught or would void the signature.
    pub fn is_proof(self) -> bool {
        self != Evidence::Claimed
    }
}

/// One output of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFact {
    /// Amount.
    pub amount: Amount,
    /// Script.
    pub script_pubkey: ScriptBuf,
    /// Whose it is, by our own derivation.
    pub to: Destination,
}

/// Whose an output is, by our own derivation; never by what the client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// Our wallet: 49', 84' or 86' within the lookahead. Channel families are never this.
    OwnWallet(WalletPath),
    /// The funding output of a channel that we know (its 2-of-2 holds our multisig key).
    OwnFunding(KeyLocator),
    /// A script that is one of this channel's own outputs: our `to_remote`, an anchor of the 2-of-2, or the
    /// delayed output that a second-level transaction must pay.
    OwnChannel,
    /// A P2WSH or P2TR output that could be a channel funding output, while a reservation is open.
    MaybeFunding,
    /// Pays nobody: OP_RETURN.
    Unspendable,
    /// Anybody else. An allowlist may still name it.
    Stranger,
}

/// What a transaction is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spend {
    /// A spend of the on-chain wallet's own outputs. May open channels.
    Onchain,
    /// The peer's commitment of a channel; number counted from the first one seen.
    CounterpartyCommitment {
        /// Funding outpoint.
        channel: OutPoint,
        /// Commitment number (obfuscated number XOR the first one's).
        number: u64,
        /// Amount of our `to_remote` output, zero if absent.
        to_remote: Amount,
    },
    /// Our own commitment, or one that cannot be told from it.
    HolderCommitment {
        /// Funding outpoint.
        channel: OutPoint,
        /// Commitment number.
        number: u64,
    },
    /// The peer's HTLC transaction on one of its commitments.
    CounterpartyHtlc {
        /// Funding outpoint.
        channel: OutPoint,
        /// The commitment it spends, if seen already.
        commitment: Txid,
        /// RIPEMD160 of the payment hash, hex.
        payment_hash160: String,
        /// HTLC amount.
        amount: Amount,
    },
    /// Our own second-level HTLC transaction, or several in one, with what else is collected in it.
    HolderHtlc {
        /// The first of our commitments whose HTLC it spends.
        commitment: Txid,
    },
    /// A cooperative close.
    MutualClose {
        /// Funding outpoint.
        channel: OutPoint,
        /// What is ours at least: our `to_remote` on the latest counterparty commitment, or what an operator said.
        our_balance: Amount,
        /// The peer's own balance on the same; none where an operator said what is ours.
        peers_balance: Amount,
        /// Whether the latest counterparty commitment carries HTLCs; not asked where an operator said what is ours.
        htlcs_pending: bool,
        /// An operator allowed the close, and said what it must pay us.
        by_word: bool,
    },
    /// Collecting our own output of a closed channel.
    Sweep(SweepOf),
    /// Punishing a revoked commitment (0xd0).
    Justice,
    /// Nothing we know. Refused.
    Unknown {
        /// What did not fit.
        why: String,
    },
}

/// Which output a sweep collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SweepOf {
    /// `to_local` or second-level output, after the CSV delay.
    Delayed,
    /// `to_remote` on the peer's commitment.
    ToRemote,
    /// HTLC output on the peer's commitment.
    CounterpartyHtlc,
    /// An anchor output (330 sat).
    Anchor,
}

/// A message to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAsk {
    /// The key.
    pub key: KeyLocator,
    /// What the message is.
    pub kind: MessageKind,
    /// Schnorr rather than ECDSA.
    pub schnorr: bool,
    /// A taproot tweak was asked for.
    pub tap_tweak: bool,
}

/// Kinds of message LND signs, recognised by parsing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// BOLT 7 node_announcement, naming our node key.
    NodeAnnouncement,
    /// BOLT 7 channel_update.
    ChannelUpdate,
    /// BOLT 7 channel_announcement; `names_key` tells whether it names the key that is to sign.
    ChannelAnnouncement {
        /// The signing key is one of the four named.
        names_key: bool,
    },
    /// BOLT 11 invoice.
    Invoice {
        /// Amount in msat, `None` for any amount.
        amount_msat: Option<u64>,
    },
    /// `lncli signmessage`: "Lightning Signed Message:".
    LightningSignedMessage,
    /// BOLT 12 or another tagged hash, with its tag.
    Tagged {
        /// The BIP340 tag.
        tag: String,
    },
    /// Nothing known; `looks_like` says if it resembles a sighash preimage.
    Unknown {
        /// A guess, as "BIP143 sighash preimage".
        looks_like: String,
    },
}

/// An ECDH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcdhAsk {
    /// Our key.
    pub key: KeyLocator,
    /// The point given is our own multisig key {0/i} (a channel reservation).
    pub with_own_multisig: Option<KeyLocator>,
}

/// A MuSig2 call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Musig2Ask {
    /// Our key.
    pub key: KeyLocator,
    /// The client brings a secret nonce of its own: with it, one partial signature yields the key.
    pub pregenerated_nonce: bool,
    /// The step.
    pub step: Musig2Step,
}

/// Which MuSig2 call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Musig2Step {
    /// MuSig2CreateSession.
    Create,
    /// MuSig2Sign over a bare 32-byte digest.
    Sign,
}
