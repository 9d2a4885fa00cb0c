//! The id of a transaction that spends nested P2WPKH outputs.

use bitcoin::key::CompressedPublicKey;
use bitcoin::script::PushBytesBuf;
use bitcoin::{Script, ScriptBuf, Transaction, Txid};
use strongroom_policy::KeyPath;

use super::fields::Fields;
use super::malformed::{InputProblem, Malformed};
use super::request::PreviousOutput;
use crate::accounts::Accounts;

/// The id with the script_sigs that the P2SH inputs will have, and whether it is certain to be the final one: an input
/// that is only claimed to be P2SH (neither signed here nor with its transaction) may have no script_sig in truth.
pub(super) fn txid(
    transaction: &Transaction,
    maps: &[Fields<'_>],
    spent: &[PreviousOutput],
    signed_here: &[usize],
    accounts: &Accounts,
) -> Result<(Txid, bool), Malformed> {
    let mut signed = transaction.clone();
    let mut certain = true;
    for (index, ((input, fields), spent)) in signed.input.iter_mut().zip(maps).zip(spent).enumerate() {
        let script_pubkey = &spent.output.script_pubkey;
        if script_pubkey.is_p2sh() {
            let at = |problem| Malformed::Input { index, problem };
            let known = script_sig(fields, script_pubkey, accounts);
            input.script_sig = known.ok_or_else(|| at(InputProblem::FinalScriptSig))?;
            certain &= spent.with_transaction || signed_here.contains(&index);
        }
    }
    Ok((signed.compute_txid(), certain))
}

/// A push of the redeem script given (alone, or as the final script_sig), or of our own key's; `None` if what is given
/// does not hash to the script spent, or nothing is given and the script is not ours.
fn script_sig(fields: &Fields<'_>, script_pubkey: &Script, accounts: &Accounts) -> Option<ScriptBuf> {
    if let Some(given) = fields.final_script_sig {
        let given = ScriptBuf::from(given.to_vec());
        let redeem = given.instructions().next()?.ok()?.push_bytes()?.as_bytes().to_vec();
        let redeem = ScriptBuf::from(redeem);
        return (redeem.to_p2sh() == *script_pubkey && push(redeem)? == given).then_some(given);
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
    push(redeem)
}

fn push(redeem: ScriptBuf) -> Option<ScriptBuf> {
    let push = PushBytesBuf::try_from(redeem.into_bytes()).ok()?;
    Some(ScriptBuf::builder().push_slice(push).into_script())
}
