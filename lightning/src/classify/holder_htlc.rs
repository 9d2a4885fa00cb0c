//! Our own second-level HTLC transactions, after a force close.

use bitcoin::{OutPoint, TxOut, Txid};
use strongroom_policy::case::{Destination, Spend};

use super::{Finding, Scene, Unfit};
use crate::channels::{ChannelRecord, HolderState};
use crate::script::Htlc;

const SIGHASH_ALL: u8 = 0x01;

/// A spend of an HTLC output on our own commitment. With anchors lnd may add inputs and change of the wallet.
pub(super) fn find(scene: &Scene<'_>, htlc: &Htlc) -> Result<Finding, Unfit> {
    let (outpoint, spent) = scene.spent_by_signed();
    let signed = scene.signed();
    let misfit = |what: &str| format!("our HTLC transaction on {outpoint} {what}");
    if signed.sighash != SIGHASH_ALL {
        return Err(misfit(&format!("is signed with ALL, not {:#04x}", signed.sighash)));
    }
    let transaction = scene.request.transaction();
    let sequence = transaction.input[signed.index].sequence.to_consensus_u32();
    if transaction.version.0 != 2 || sequence != u32::from(htlc.anchors) {
        return Err(misfit("has another version or sequence than BOLT 3 prescribes"));
    }
    let (_, holder) = own_commitment(scene, &outpoint.txid)
        .ok_or_else(|| misfit("spends no commitment of ours that was signed here"))?;
    if !has_output(holder, outpoint, spent) {
        return Err(misfit("spends an output that the commitment does not have"));
    }
    let found = second_level(scene, outpoint.txid);
    if found.owned.iter().any(|(index, _)| *index == signed.index) || pays_p2wsh(scene, signed.index) {
        Ok(found)
    } else {
        Err(misfit("does not pay a delayed output"))
    }
}

/// Our commitment that some input spends by an HTLC, if the transaction pays at that index what a second-level
/// transaction must: then whatever input is signed beside it is part of that.
pub(super) fn beside(scene: &Scene<'_>) -> Option<Txid> {
    let transaction = scene.request.transaction();
    transaction.input.iter().zip(scene.request.spent()).enumerate().find_map(|(index, (input, spent))| {
        let outpoint = input.previous_output;
        let (_, holder) = own_commitment(scene, &outpoint.txid)?;
        let is_htlc = has_output(holder, outpoint, &spent.output) && pays_p2wsh(scene, index);
        is_htlc.then_some(outpoint.txid)
    })
}

/// A second-level transaction on our commitment, with the outputs that are its delayed ones.
///
/// Such an output pays the same script as the commitment's `to_local`. That one is told from the peer's `to_remote`,
/// which our commitment 0 had already, and from the HTLCs spent here. Without a `to_local` nothing shows what the
/// script is, and the output stays a stranger's, held only by the peer's signature on it.
pub(super) fn second_level(scene: &Scene<'_>, commitment: Txid) -> Finding {
    let mut found = Finding::of(Spend::HolderHtlc { commitment });
    let Some((record, holder)) = own_commitment(scene, &commitment) else { return found };
    let zero = record.holder_zero.as_deref().unwrap_or_default();
    let inputs = scene.request.transaction().input.iter().zip(scene.request.spent());
    for (index, (input, spent)) in inputs.enumerate() {
        let Some(output) = scene.request.transaction().output.get(index) else { break };
        let script = &output.script_pubkey;
        let delayed = has_output(holder, input.previous_output, &spent.output)
            && output.value <= spent.output.value
            && script.is_p2wsh()
            && !zero.contains(script)
            && scene.request.spent().iter().all(|spent| spent.output.script_pubkey != *script)
            && holder.others.iter().any(|(_, other)| other.script_pubkey == *script);
        if delayed {
            found.owned.push((index, Destination::OwnChannel));
        }
    }
    found
}

fn own_commitment<'a>(scene: &Scene<'a>, txid: &Txid) -> Option<(&'a ChannelRecord, &'a HolderState)> {
    let record = &scene.channels.of_commitment(txid)?.record;
    Some((record, record.holder.as_ref().filter(|holder| holder.txid == *txid)?))
}

fn has_output(holder: &HolderState, outpoint: OutPoint, spent: &TxOut) -> bool {
    outpoint.txid == holder.txid
        && holder.others.iter().any(|(vout, output)| *vout == outpoint.vout && output == spent)
}

fn pays_p2wsh(scene: &Scene<'_>, index: usize) -> bool {
    let output = scene.request.transaction().output.get(index);
    output.is_some_and(|output| {
        output.script_pubkey.is_p2wsh() && output.value <= scene.request.spent()[index].output.value
    })
}
