//! One input: the output it spends, and the signature it asks for.

use bitcoin::consensus::encode::deserialize;
use bitcoin::hex::DisplayHex as _;
use bitcoin::sighash::SighashCache;
use bitcoin::{Amount, OutPoint, Transaction, TxOut};

use super::digest::{digest, sighash_byte};
use super::fields::Fields;
use super::lock::prove;
use super::malformed::InputProblem;
use super::request::PreviousOutput;
use super::to_sign::{TapSpend, ToSign};
use super::tweak::{tweak_of, tweaked};
use crate::accounts::Accounts;

/// The output an input spends, from either UTXO field or both.
pub(super) fn previous_output(
    fields: &Fields<'_>,
    outpoint: OutPoint,
) -> Result<PreviousOutput, InputProblem> {
    let proven = fields
        .non_witness_utxo
        .map(|bytes| {
            let previous: Transaction =
                deserialize(bytes).map_err(|_| InputProblem::Field(super::fields::kind::NON_WITNESS_UTXO))?;
            let vout = usize::try_from(outpoint.vout).unwrap_or(usize::MAX);
            let output = previous.output.get(vout).cloned();
            output
                .filter(|_| previous.compute_txid() == outpoint.txid)
                .ok_or(InputProblem::PreviousTransaction(outpoint))
        })
        .transpose()?;
    let stated: Option<TxOut> = fields
        .witness_utxo
        .map(|bytes| deserialize(bytes).map_err(|_| InputProblem::Field(super::fields::kind::WITNESS_UTXO)))
        .transpose()?;
    let output = match (&proven, stated) {
        (None, None) => return Err(InputProblem::NoUtxo),
        (Some(proven), Some(stated)) if *proven != stated => return Err(InputProblem::UtxosDiffer),
        (Some(proven), _) => proven.clone(),
        (None, Some(stated)) => stated,
    };
    if output.value > Amount::MAX_MONEY {
        return Err(InputProblem::Unsupported("an amount above 21 million bitcoin"));
    }
    Ok(PreviousOutput { output, with_transaction: proven.is_some() })
}

/// Whether an input is for us to sign.
pub(super) enum Wanted {
    /// Yes.
    Signature(Box<ToSign>),
    /// No, as lnd's signer passes over it too.
    Nothing(String),
}

/// What input `index` asks of us. The order of the questions is lnd's (`BtcWallet.SignPsbt`); where lnd warns and
/// skips a channel key that is not ours, or signs under a description that does not fit, we refuse.
pub(super) fn wanted(
    fields: &Fields<'_>,
    index: usize,
    prevouts: &[TxOut],
    cache: &mut SighashCache<&Transaction>,
    accounts: &Accounts,
) -> Result<Wanted, InputProblem> {
    let skip = |reason: &str| Ok(Wanted::Nothing(format!("input {index} {reason}")));
    if fields.witness_utxo.is_none() {
        return skip("has no witness UTXO");
    }
    if fields.final_witness || fields.final_script_sig.is_some() {
        return skip("is final already");
    }
    let Some(stated) = fields.bip32 else {
        return skip("names no key");
    };
    let Some(path) = accounts.key_path(&stated.path()) else {
        return skip("names a key path outside this node's accounts");
    };
    let derived = accounts.derive(&path).map_err(|_| InputProblem::Unsupported("key index"))?;
    if stated.key.len() != 33 {
        return Err(InputProblem::Field(super::fields::kind::BIP32));
    }
    if stated.key != derived.bytes {
        let wrong = InputProblem::WrongKey {
            path,
            stated: stated.key.to_lower_hex_string(),
            derived: derived.bytes.to_lower_hex_string(),
        };
        return match path {
            // Another wallet uses the same standard paths; its inputs may stand beside ours.
            strongroom_policy::KeyPath::Wallet(_) => Ok(Wanted::Nothing(format!("input {index}: {wrong}"))),
            strongroom_policy::KeyPath::Lightning(_) => Err(wrong),
        };
    }
    let tweak = tweak_of(fields)?;
    let public_key = tweaked(&derived, &tweak)?;
    let spent = &prevouts[index];
    let proven = prove(fields, &spent.script_pubkey, &public_key, &derived.bytes)?;
    let sighash = sighash_byte(fields.sighash, proven.tap.is_some())?;
    if is_signed(fields, proven.tap, &public_key.serialize()) {
        return skip("carries our signature already");
    }
    let digest = digest(cache, prevouts, index, &proven, sighash)?;
    accounts.note_used(&path);
    Ok(Wanted::Signature(Box::new(ToSign {
        index,
        key: path,
        public_key,
        lock: proven.lock,
        sighash,
        tweak,
        digest,
        tap: proven.tap,
        script: proven.script,
    })))
}

fn is_signed(fields: &Fields<'_>, tap: Option<TapSpend>, key: &[u8; 33]) -> bool {
    match tap {
        None => fields.partial_sigs.iter().any(|signer| signer == key),
        Some(TapSpend::Key(_)) => fields.tap_key_sig,
        Some(TapSpend::Script { leaf, stated_key }) => {
            let field = script_sig_key(&stated_key, leaf);
            fields.tap_script_sigs.iter().any(|signer| *signer == field)
        }
    }
}

/// Key data of field 0x14.
pub(super) fn script_sig_key(stated_key: &[u8; 32], leaf: bitcoin::TapLeafHash) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(stated_key);
    key[32..].copy_from_slice(bitcoin::hashes::Hash::as_byte_array(&leaf));
    key
}
