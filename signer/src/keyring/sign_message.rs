//! Signatures on messages, and shared secrets.

use bitcoin::TapNodeHash;
use bitcoin::hashes::Hash as _;
use bitcoin::key::TapTweak as _;
use secp256k1::ecdh::SharedSecret;
use secp256k1::{Keypair, Message};
use strongroom_policy::{KeyLocator, KeyPath};
use zeroize::Zeroizing;

use super::Keyring;
use super::error::KeyringError;
use super::requests::{EcdhRequest, MessageRequest, MessageScheme};
use super::secret::SecretPair;
use crate::journal::Approved;

impl Keyring {
    /// The signature as lnd's `SignMessage` answers it: DER, 65 bytes (27 + recovery id + 4, r, s), or 64 bytes of
    /// BIP340. Verified before it is returned.
    pub fn sign_message(&self, approved: Approved<MessageRequest>) -> Result<Vec<u8>, KeyringError> {
        let request = approved.into_request();
        let path = KeyPath::Lightning(request.key());
        let message = Message::from_digest(request.signed_hash());
        let withheld = || KeyringError::DoesNotVerify(format!("a message under {path}"));
        let key = self.branches.secret(&path)?;
        // Most messages are the node's own: its public key is known.
        let node_key = KeyLocator { family: KeyLocator::NODE, index: 0 };
        let public_key = if request.key() == node_key { self.node_id } else { key.public_key(&self.secp) };
        match request.scheme() {
            MessageScheme::Ecdsa => {
                let signature = self.secp.sign_ecdsa(&message, &key);
                self.secp.verify_ecdsa(&message, &signature, &public_key).map_err(|_| withheld())?;
                Ok(signature.serialize_der().to_vec())
            }
            MessageScheme::EcdsaCompact => {
                let signature = self.secp.sign_ecdsa_recoverable(&message, &key);
                if self.secp.recover_ecdsa(&message, &signature) != Ok(public_key) {
                    return Err(withheld());
                }
                let (recovery, r_and_s) = signature.serialize_compact();
                // 27 for the format, 4 for a compressed key; the id is 0 to 3.
                let header = u8::try_from(31 + recovery.to_i32()).map_err(|_| withheld())?;
                let mut bytes = vec![header];
                bytes.extend(r_and_s);
                Ok(bytes)
            }
            MessageScheme::Schnorr { root } => {
                let (internal, _) = public_key.x_only_public_key();
                let pair = SecretPair::new(Keypair::from_secret_key(&self.secp, &key));
                let (pair, under) = match root.map(TapNodeHash::from_byte_array) {
                    None => (pair, internal),
                    Some(root) => {
                        let mut tweaked = pair.tap_tweak(&self.secp, Some(root)).to_keypair();
                        let under = internal.tap_tweak(&self.secp, Some(root)).0.to_x_only_public_key();
                        let pair = SecretPair::new(tweaked);
                        tweaked.non_secure_erase();
                        (pair, under)
                    }
                };
                let signature = self.schnorr(&message, &pair, &under).ok_or_else(withheld)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }

    /// SHA256 of the compressed point key·point.
    pub fn derive_shared_key(
        &self,
        approved: Approved<EcdhRequest>,
    ) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        let request = approved.into_request();
        let key = self.branches.secret(&KeyPath::Lightning(request.key()))?;
        let mut shared = SharedSecret::new(request.point(), &key);
        let bytes = Zeroizing::new(shared.secret_bytes());
        shared.non_secure_erase();
        Ok(bytes)
    }
}
