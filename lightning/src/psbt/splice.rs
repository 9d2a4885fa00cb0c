//! The answer: the PSBT that came, with the signatures put in where lnd's serializer puts them.

use secp256k1::{ecdsa, schnorr};

use super::fields::{Fields, kind, rank};
use super::input::script_sig_key;
use super::request::SignRequest;
use super::to_sign::{TapSpend, ToSign};

/// A signature as the keyring makes it, without its sighash byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendSignature {
    /// For segwit version 0; written as DER.
    Ecdsa(ecdsa::Signature),
    /// For taproot.
    Schnorr(schnorr::Signature),
}

/// Signatures that do not fit the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not one signature for each input to sign, in order.
    #[error("the request asks for {wanted} signatures, and {given} were made")]
    Count {
        /// Signatures asked for.
        wanted: usize,
        /// Signatures given.
        given: usize,
    },
    /// A signature for another input than the one in turn, or of the wrong algorithm.
    #[error("the signature made for input {0} is not the one asked for")]
    Mismatch(usize),
}

/// Where a signature's field goes in the original bytes.
pub(super) struct Slot {
    at: usize,
    /// The field's key: type byte and key data.
    key: Vec<u8>,
}

impl Slot {
    /// The place before the first field that btcutil would write after the signature.
    pub(super) fn find(fields: &Fields<'_>, to_sign: &ToSign) -> Self {
        let (kind, data) = match to_sign.tap {
            None => (kind::PARTIAL_SIG, to_sign.public_key.serialize().to_vec()),
            Some(TapSpend::Key(_)) => (kind::TAP_KEY_SIG, Vec::new()),
            Some(TapSpend::Script { leaf, stated_key }) => {
                (kind::TAP_SCRIPT_SIG, script_sig_key(&stated_key, leaf).to_vec())
            }
        };
        let ours = (rank(Some(kind)), &data[..]);
        let after = fields.places.iter().find(|place| (place.rank, place.key) > ours);
        let at = after.map_or(fields.end, |place| place.start);
        let mut key = vec![kind];
        key.extend(&data);
        Self { at, key }
    }
}

impl SignRequest {
    /// The complete PSBT with `signatures`, (input, signature) for each of [`SignRequest::to_sign`] in order;
    /// every byte that came is kept.
    pub fn answer(&self, signatures: &[(usize, SpendSignature)]) -> Result<Vec<u8>, AnswerError> {
        if signatures.len() != self.to_sign.len() {
            let (wanted, given) = (self.to_sign.len(), signatures.len());
            return Err(AnswerError::Count { wanted, given });
        }
        let mut answer = Vec::with_capacity(self.original.len() + signatures.len() * 145);
        let mut copied = 0;
        for ((to_sign, slot), (index, signature)) in self.to_sign.iter().zip(&self.slots).zip(signatures) {
            let value = match (signature, to_sign.tap) {
                _ if *index != to_sign.index => return Err(AnswerError::Mismatch(*index)),
                (SpendSignature::Ecdsa(signature), None) => {
                    let mut value = signature.serialize_der().to_vec();
                    value.push(to_sign.sighash);
                    value
                }
                (SpendSignature::Schnorr(signature), Some(_)) => {
                    let mut value = signature.as_ref().to_vec();
                    // DEFAULT is written by leaving the byte out (BIP 341).
                    if to_sign.sighash != 0 {
                        value.push(to_sign.sighash);
                    }
                    value
                }
                _ => return Err(AnswerError::Mismatch(*index)),
            };
            answer.extend(&self.original[copied..slot.at]);
            copied = slot.at;
            for part in [&slot.key, &value] {
                // Neither reaches 253 bytes, so one byte tells its length.
                answer.push(part.len() as u8);
                answer.extend(part);
            }
        }
        answer.extend(&self.original[copied..]);
        Ok(answer)
    }
}
