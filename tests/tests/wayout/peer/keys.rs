//! The peer's keys: its own, but for a payment basepoint that it may take from alice.

use std::sync::{Arc, Mutex};

use bitcoin::secp256k1::ecdsa::Signature;
use bitcoin::secp256k1::{All, PublicKey, Secp256k1, SecretKey};
use bitcoin::{ScriptBuf, Transaction, Txid};
use lightning::ln::chan_utils::{
    ChannelPublicKeys, ChannelTransactionParameters, ClosingTransaction, CommitmentTransaction,
    HTLCOutputInCommitment, HolderCommitmentTransaction,
};
use lightning::ln::msgs::UnsignedChannelAnnouncement;
use lightning::ln::script::ShutdownScript;
use lightning::sign::ecdsa::EcdsaChannelSigner;
use lightning::sign::{ChannelSigner, HTLCDescriptor, InMemorySigner, KeysManager, SignerProvider};
use lightning::types::payment::PaymentPreimage;

/// Derives the signer of each channel.
pub struct Keys {
    own: Arc<KeysManager>,
    /// What the next channel gives for its payment basepoint; none = its own.
    pub payment_basepoint: Mutex<Option<PublicKey>>,
}

impl Keys {
    pub fn of(own: Arc<KeysManager>) -> Self {
        Self { own, payment_basepoint: Mutex::new(None) }
    }
}

impl SignerProvider for Keys {
    type EcdsaSigner = ChannelKeys;

    fn generate_channel_keys_id(&self, inbound: bool, user_channel_id: u128) -> [u8; 32] {
        self.own.generate_channel_keys_id(inbound, user_channel_id)
    }

    fn derive_channel_signer(&self, channel_keys_id: [u8; 32]) -> ChannelKeys {
        let payment_basepoint = self.payment_basepoint.lock().expect("no holder panics").take();
        ChannelKeys { own: self.own.derive_channel_signer(channel_keys_id), payment_basepoint }
    }

    fn get_destination_script(&self, channel_keys_id: [u8; 32]) -> Result<ScriptBuf, ()> {
        self.own.get_destination_script(channel_keys_id)
    }

    fn get_shutdown_scriptpubkey(&self) -> Result<ShutdownScript, ()> {
        self.own.get_shutdown_scriptpubkey()
    }
}

/// One channel's keys. It signs what its parameters say, so a basepoint that is not its own is signed for as if it were.
pub struct ChannelKeys {
    own: InMemorySigner,
    payment_basepoint: Option<PublicKey>,
}

impl ChannelSigner for ChannelKeys {
    fn get_per_commitment_point(&self, idx: u64, secp: &Secp256k1<All>) -> Result<PublicKey, ()> {
        self.own.get_per_commitment_point(idx, secp)
    }

    fn release_commitment_secret(&self, idx: u64) -> Result<[u8; 32], ()> {
        self.own.release_commitment_secret(idx)
    }

    fn validate_holder_commitment(
        &self,
        holder_tx: &HolderCommitmentTransaction,
        preimages: Vec<PaymentPreimage>,
    ) -> Result<(), ()> {
        self.own.validate_holder_commitment(holder_tx, preimages)
    }

    fn validate_counterparty_revocation(&self, idx: u64, secret: &SecretKey) -> Result<(), ()> {
        self.own.validate_counterparty_revocation(idx, secret)
    }

    fn pubkeys(&self, secp: &Secp256k1<All>) -> ChannelPublicKeys {
        let own = self.own.pubkeys(secp);
        ChannelPublicKeys { payment_point: self.payment_basepoint.unwrap_or(own.payment_point), ..own }
    }

    fn new_funding_pubkey(&self, splice_parent: Txid, secp: &Secp256k1<All>) -> PublicKey {
        self.own.new_funding_pubkey(splice_parent, secp)
    }

    fn channel_keys_id(&self) -> [u8; 32] {
        self.own.channel_keys_id()
    }
}

/// Hands each call on to the keys of its own.
macro_rules! by_own {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl EcdsaChannelSigner for ChannelKeys {
            $(fn $name(&self, of: &ChannelTransactionParameters, $($arg: $kind,)* secp: &Secp256k1<All>) -> $answer {
                self.own.$name(of, $($arg,)* secp)
            })*

            fn sign_holder_htlc_transaction(
                &self,
                transaction: &Transaction,
                input: usize,
                htlc: &HTLCDescriptor,
                secp: &Secp256k1<All>,
            ) -> Result<Signature, ()> {
                self.own.sign_holder_htlc_transaction(transaction, input, htlc, secp)
            }

            fn sign_splice_shared_input(
                &self,
                of: &ChannelTransactionParameters,
                transaction: &Transaction,
                input: usize,
                secp: &Secp256k1<All>,
            ) -> Signature {
                self.own.sign_splice_shared_input(of, transaction, input, secp)
            }
        }
    };
}

by_own! {
    sign_counterparty_commitment(
        commitment: &CommitmentTransaction, incoming: Vec<PaymentPreimage>, outgoing: Vec<PaymentPreimage>
    ) -> Result<(Signature, Vec<Signature>), ()>;
    sign_holder_commitment(commitment: &HolderCommitmentTransaction) -> Result<Signature, ()>;
    unsafe_sign_holder_commitment(commitment: &HolderCommitmentTransaction) -> Result<Signature, ()>;
    sign_justice_revoked_output(
        transaction: &Transaction, input: usize, amount: u64, secret: &SecretKey
    ) -> Result<Signature, ()>;
    sign_justice_revoked_htlc(
        transaction: &Transaction, input: usize, amount: u64, secret: &SecretKey, htlc: &HTLCOutputInCommitment
    ) -> Result<Signature, ()>;
    sign_counterparty_htlc_transaction(
        transaction: &Transaction, input: usize, amount: u64, point: &PublicKey, htlc: &HTLCOutputInCommitment
    ) -> Result<Signature, ()>;
    sign_closing_transaction(closing: &ClosingTransaction) -> Result<Signature, ()>;
    sign_holder_keyed_anchor_input(anchor: &Transaction, input: usize) -> Result<Signature, ()>;
    sign_channel_announcement_with_funding_key(message: &UnsignedChannelAnnouncement) -> Result<Signature, ()>;
}
