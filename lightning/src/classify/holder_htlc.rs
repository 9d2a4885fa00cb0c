//! Our own second-level HTLC transactions, after a force close.
//!
//! lnd's sweeper pairs each HTLC input with the output of the same index, and puts HTLCs of several channels into one
//! transaction, with other sweeps and with wallet coins and their change. So each output is held to what its own input
//! allows, whichever input is being signed:
//!
//! - Opposite an HTLC on any commitment of ours, a P2WSH output of at most the HTLC's amount is the channel's own. The
//!   HTLC opens with the peer's signature only, and that commits to the output opposite; an honest peer gives it for
//!   the delayed script alone. With the secrets that lnd holds, a colluding peer can take all that this commitment
//!   pays without any such output.
//! - What the input being signed is, its own script shows. What the others are, their own signatures will.
//! - All else is as its script says: ours, or a stranger's.

use std::collections::BTreeSet;

use bitcoin::{OutPoint, Script, TxOut, Txid};
use strongroom_policy::case::{Destination, Spend};

use super::role::{self, Role};
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
    if let Some((_, holder)) = own_commitment(scene, &outpoint.txid)
        && !has_output(holder, outpoint, spent)
    {
        return Err(misfit("spends an output that the commitment does not have"));
    }
    let found = is_paired(scene, signed.index).then(|| batch(scene)).flatten();
    found.ok_or_else(|| misfit("does not pay a delayed output"))
}

/// The transaction as a second-level one, if it pays opposite some HTLC of ours what such a transaction must: then
/// whatever input is signed beside it is part of that.
pub(super) fn batch(scene: &Scene<'_>) -> Option<Finding> {
    let signed = scene.signed();
    let is_htlc = matches!(role::of(signed), Ok(Role::HtlcOnOwnCommitment(_)));
    let inputs = 0..scene.request.transaction().input.len();
    let paired = inputs.filter(|index| (is_htlc || *index != signed.index) && is_paired(scene, *index));
    let spent: BTreeSet<&Script> =
        scene.request.spent().iter().map(|spent| spent.output.script_pubkey.as_script()).collect();
    let mut found: Option<Finding> = None;
    for index in paired {
        let commitment: Txid = scene.request.transaction().input[index].previous_output.txid;
        let found = found.get_or_insert_with(|| Finding::of(Spend::HolderHtlc { commitment }));
        let pays = &scene.request.transaction().output[index].script_pubkey;
        let before = own_commitment(scene, &commitment)
            .is_some_and(|(record, holder)| stood_before(record, holder, pays.as_script()));
        if !spent.contains(pays.as_script()) && !before {
            found.owned.push((index, Destination::OwnChannel));
        }
    }
    found
}

/// Whether an input spends what may be an HTLC of a commitment of ours, and the output opposite is P2WSH and no larger.
fn is_paired(scene: &Scene<'_>, index: usize) -> bool {
    let transaction = scene.request.transaction();
    let (Some(input), Some(output)) = (transaction.input.get(index), transaction.output.get(index)) else {
        return false;
    };
    let spent = &scene.request.spent()[index].output;
    let may_be_htlc = match own_commitment(scene, &input.previous_output.txid) {
        // Our commitment 0 has no HTLC, and the peer's `to_remote` has the same script on all of ours.
        Some((record, holder)) => {
            has_output(holder, input.previous_output, spent)
                && !stood_before(record, holder, spent.script_pubkey.as_script())
        }
        None => is_unseen(scene, index),
    };
    may_be_htlc && output.script_pubkey.is_p2wsh() && output.value <= spent.value
}

/// Whether an input may be an HTLC of ours on a commitment that was not signed here, or not last: its signature was given
/// before a store was lost, or by an lnd with keys of its own. The input being signed shows it by its script, any other by
/// the sequence that BOLT 3 prescribes with anchors.
///
/// Whatever such an input is, nothing of ours goes to the output opposite: that is no larger, so what our own inputs
/// hold beyond our own outputs is fee, which is limited; and where the input is ours, its own signature is asked for too.
fn is_unseen(scene: &Scene<'_>, index: usize) -> bool {
    let signed = scene.signed();
    let input = &scene.request.transaction().input[index];
    let is_htlc = match index == signed.index {
        true => matches!(role::of(signed), Ok(Role::HtlcOnOwnCommitment(_))),
        false => input.sequence.to_consensus_u32() == 1,
    };
    is_htlc
        && scene.channels.of_commitment(&input.previous_output.txid).is_none()
        && scene.request.spent()[index].output.script_pubkey.is_p2wsh()
}

/// Whether the script stood on our first commitment already: the peer's `to_remote`, or our `to_local` of then. Where that
/// is this very commitment, and not number 0, as on a channel used before its funding confirmed, it says nothing.
fn stood_before(record: &ChannelRecord, holder: &HolderState, script: &Script) -> bool {
    let zero = record.holder_zero.as_deref().unwrap_or_default();
    let is_first =
        holder.number != 0 && holder.others.iter().all(|(_, other)| zero.contains(&other.script_pubkey));
    !is_first && zero.iter().any(|known| known.as_script() == script)
}

fn own_commitment<'a>(scene: &Scene<'a>, txid: &Txid) -> Option<(&'a ChannelRecord, &'a HolderState)> {
    let record = &scene.channels.of_commitment(txid)?.record;
    Some((record, record.holder.as_ref().filter(|holder| holder.txid == *txid)?))
}

fn has_output(holder: &HolderState, outpoint: OutPoint, spent: &TxOut) -> bool {
    outpoint.txid == holder.txid
        && holder.others.iter().any(|(vout, output)| *vout == outpoint.vout && output == spent)
}
