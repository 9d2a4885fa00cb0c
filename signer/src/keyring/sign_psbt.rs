//! Signatures on transactions.

use bitcoin::key::TapTweak as _;
use secp256k1::{Keypair, Message, Scalar, SecretKey, XOnlyPublicKey};
use strongroom_lightning::psbt::TapSpend;
use strongroom_lightning::{SignRequest, SpendSignature, ToSign, TweakData};

use super::Keyring;
use super::error::KeyringError;
use super::secret::{Secret, SecretPair};
use super::tweak::revocation_key;
use crate::journal::Approved;

/// A PSBT with our signatures in it, all verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPsbt {
    /// The PSBT as it came, and the signatures.
    pub psbt: Vec<u8>,
    /// Indexes of the inputs signed, ascending.
    pub inputs: Vec<u32>,
    /// The signatures, with their inputs' indexes.
    pub signatures: Vec<(usize, SpendSignature)>,
    /// The audit leaf that records the decision.
    pub leaf: u64,
}

impl Keyring {
    /// Makes every signature that was approved, or none. ECDSA is RFC 6979 with low S and so the same bytes as lnd's;
    /// Schnorr is BIP340 without auxiliary randomness.
    pub fn sign_psbt(&self, approved: Approved<SignRequest>) -> Result<SignedPsbt, KeyringError> {
        let leaf = approved.leaf();
        let request = approved.into_request();
        let signatures = request
            .to_sign()
            .iter()
            .map(|to_sign| Ok((to_sign.index, self.sign_input(to_sign)?)))
            .collect::<Result<Vec<_>, KeyringError>>()?;
        let psbt = request.answer(&signatures)?;
        Ok(SignedPsbt { psbt, inputs: request.signed_inputs(), signatures, leaf })
    }

    pub(super) fn sign_input(&self, to_sign: &ToSign) -> Result<SpendSignature, KeyringError> {
        let key = self.tweaked_secret(to_sign)?;
        let message = Message::from_digest(to_sign.digest);
        let withheld = || KeyringError::DoesNotVerify(format!("input {} ({})", to_sign.index, to_sign.key));
        let Some(tap) = to_sign.tap else {
            let signature = self.secp.sign_ecdsa(&message, &key);
            return match self.secp.verify_ecdsa(&message, &signature, &to_sign.public_key) {
                Ok(()) => Ok(SpendSignature::Ecdsa(signature)),
                Err(_) => Err(withheld()),
            };
        };
        let (internal, _) = to_sign.public_key.x_only_public_key();
        let pair = SecretPair::new(Keypair::from_secret_key(&self.secp, &key));
        let (pair, under) = match tap {
            TapSpend::Key(root) => {
                let mut tweaked = pair.tap_tweak(&self.secp, root).to_keypair();
                let under = internal.tap_tweak(&self.secp, root).0.to_x_only_public_key();
                let pair = SecretPair::new(tweaked);
                tweaked.non_secure_erase();
                (pair, under)
            }
            TapSpend::Script { .. } => (pair, internal),
        };
        self.schnorr(&message, &pair, &under).map(SpendSignature::Schnorr).ok_or_else(withheld)
    }

    /// BIP340 signature, if it verifies under `public_key`.
    pub(super) fn schnorr(
        &self,
        message: &Message,
        pair: &Keypair,
        public_key: &XOnlyPublicKey,
    ) -> Option<secp256k1::schnorr::Signature> {
        let signature = self.secp.sign_schnorr_no_aux_rand(message, pair);
        self.secp.verify_schnorr(&signature, message, public_key).ok()?;
        Some(signature)
    }

    /// The key with LND's tweak.
    fn tweaked_secret(&self, to_sign: &ToSign) -> Result<Secret, KeyringError> {
        let base = self.branches.secret(&to_sign.key)?;
        let no_key = KeyringError::NoKey("the tweak gives no private key");
        match &to_sign.tweak {
            TweakData::None => Ok(base),
            TweakData::Single(tweak) => {
                let Ok(tweak) = Scalar::from_be_bytes(*tweak) else { return Err(no_key) };
                base.add_tweak(&tweak).map(Secret::new).map_err(|_| no_key)
            }
            TweakData::Double(commitment) => {
                let commitment = SecretKey::from_slice(&**commitment).map(Secret::new).map_err(|_| no_key)?;
                revocation_key(&self.secp, &base, &commitment)
            }
        }
    }
}
