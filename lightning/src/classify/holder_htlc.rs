//! Our own second-level HTLC transactions, after a force close.

use strongroom_policy::case::{Destination, Spend};

use super::{Finding, Scene, Unfit};
use crate::script::Htlc;

const SIGHASH_ALL: u8 = 0x01;

/// A spend of an HTLC output on our own commitment.
///
/// It needs the peer's signature too, which commits to the output at the same index; that output, if a P2WSH of no
/// more than the HTLC, is the delayed one. With anchors lnd may add inputs and change of the wallet.
pub(super) fn find(scene: &Scene<'_>, htlc: &Htlc) -> Result<Finding, Unfit> {
    let (outpoint, spent) = scene.spent_by_signed();
    let signed = scene.signed();
    if signed.sighash != SIGHASH_ALL {
        return Err(format!(
            "our HTLC transaction is signed with SIGHASH_ALL, not {:#04x}",
            signed.sighash
        ));
    }
    let transaction = scene.request.transaction();
    let sequence = transaction.input[signed.index].sequence.to_consensus_u32();
    if transaction.version.0 != 2 || sequence != u32::from(htlc.anchors) {
        return Err(format!(
            "our HTLC transaction on {outpoint} has another version or sequence than BOLT 3 prescribes"
        ));
    }
    let delayed = transaction
        .output
        .get(signed.index)
        .filter(|output| output.script_pubkey.is_p2wsh() && output.value <= spent.value);
    if delayed.is_none() {
        return Err(format!(
            "our HTLC transaction on {outpoint} does not pay a delayed output"
        ));
    }
    let mut found = Finding::of(Spend::HolderHtlc {
        commitment: outpoint.txid,
    });
    found.owned.push((signed.index, Destination::OwnChannel));
    Ok(found)
}
