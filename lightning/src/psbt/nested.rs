//! The id of a transaction that spends nested P2WPKH outputs.

use bitcoin::key::CompressedPublicKey;
use bitcoin::script::PushBytesBuf;
use bitcoin::{Script, ScriptBuf, Transaction, Txid};
use strongroom_policy::KeyPath;

use super::fields::Fields;
use super::request::PreviousOutput;
use crate::accounts::Accounts;

/// The id with the script_sigs that the P2SH inputs will have. A foreign input of unknown redeem script leaves its
/// script_sig out, and the id is then not the final one.
pub(super) fn txid(
    transaction: &Transaction,
    maps: &[Fields<'_>],
    spent: &[PreviousOutput],
    accounts: &Accounts,
) -> Txid {
    if !spent.iter().any(|spent| spent.output.script_pubkey.is_p2sh()) {
        return transaction.compute_txid();
    }
    let mut signed = transaction.clone();
    for ((input, fields), spent) in signed.input.iter_mut().zip(maps).zip(spent) {
        let script_pubkey = &spent.output.script_pubkey;
        if script_pubkey.is_p2sh() {
            input.script_sig = script_sig(fields, script_pubkey, accounts).unwrap_or_default();
        }
    }
    signed.compute_txid()
}

/// The final one given, or a push of the redeem script given, or of our own key's.
fn script_sig(fields: &Fields<'_>, script_pubkey: &Script, accounts: &Accounts) -> Option<ScriptBuf> {
    if let Some(given) = fields.final_script_sig {
        return Some(ScriptBuf::from(given.to_vec()));
    }
    let given = fields.redeem_script.map(Script::from_bytes);
    let redeem = match given.filter(|redeem| redeem.to_p2sh() == *script_pubkey) {
        Some(redeem) => redeem.to_owned(),
        None => {
            let path = KeyPath::Wallet(accounts.find_script(script_pubkey)?);
            let key = accounts.public_key(&path).ok()?;
            ScriptBuf::new_p2wpkh(&CompressedPublicKey(key).wpubkey_hash())
        }
    };
    let push = PushBytesBuf::try_from(redeem.into_bytes()).ok()?;
    Some(ScriptBuf::builder().push_slice(push).into_script())
}
