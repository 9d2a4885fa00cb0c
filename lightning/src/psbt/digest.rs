//! Signature hashes.

use bitcoin::hashes::Hash as _;
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{Transaction, TxOut};
use strongroom_policy::case::Lock;

use super::lock::Proven;
use super::malformed::InputProblem;
use super::to_sign::TapSpend;

/// The sighash byte to sign with. Without the field it is DEFAULT for taproot and ALL otherwise (BIP 174); lnd's
/// own signer would put a byte of 0 under an ECDSA signature, which no node relays and its own finalizer rejects.
pub(super) fn sighash_byte(field: Option<u32>, taproot: bool) -> Result<u8, InputProblem> {
    let asked = field.unwrap_or(u32::from(!taproot));
    let known = match asked {
        0 => taproot,
        1..=3 | 0x81..=0x83 => true,
        _ => false,
    };
    match u8::try_from(asked) {
        Ok(byte) if known => Ok(byte),
        _ => Err(InputProblem::Sighash(asked)),
    }
}

/// What the signature of input `index` commits to.
pub(super) fn digest(
    cache: &mut SighashCache<&Transaction>,
    prevouts: &[TxOut],
    index: usize,
    proven: &Proven,
    sighash: u8,
) -> Result<[u8; 32], InputProblem> {
    let outputs = cache.transaction().output.len();
    if sighash & 0x1f == 3 && index >= outputs {
        // SINGLE without an output of its own would commit to no output at all.
        return Err(InputProblem::Sighash(sighash.into()));
    }
    let refused = InputProblem::Sighash(sighash.into());
    let spent = &prevouts[index];
    match proven.tap {
        None => {
            let kind = EcdsaSighashType::from_consensus(sighash.into());
            let hash = match proven.lock {
                Lock::P2wsh => cache.p2wsh_signature_hash(index, &proven.script, spent.value, kind).ok(),
                _ => cache.p2wpkh_signature_hash(index, &proven.script, spent.value, kind).ok(),
            };
            hash.map(|h| h.to_byte_array()).ok_or(refused)
        }
        Some(tap) => {
            let kind = TapSighashType::from_consensus_u8(sighash).map_err(|_| refused.clone())?;
            let leaf = match tap {
                TapSpend::Key(_) => None,
                TapSpend::Script { leaf, .. } => Some(leaf),
            };
            let hash = match leaf {
                None => cache.taproot_key_spend_signature_hash(index, &Prevouts::All(prevouts), kind),
                Some(leaf) => {
                    cache.taproot_script_spend_signature_hash(index, &Prevouts::All(prevouts), leaf, kind)
                }
            };
            hash.map(|h| h.to_byte_array()).map_err(|_| refused)
        }
    }
}
