//! Spends of the on-chain wallet.

use bitcoin::OutPoint;
use strongroom_policy::case::{Destination, Spend, SweepOf};

use super::{Finding, Scene, Unfit, holder_htlc, outputs, sweep};
use crate::channels::{Change, MaybeFunding};
use crate::script::Anchor;

/// A spend of our wallet's outputs. It may fund channels, or bring the fee of a closing transaction, in which case
/// it is what that transaction is.
pub(super) fn find(scene: &Scene<'_>) -> Result<Finding, Unfit> {
    if let Some(found) = holder_htlc::batch(scene) {
        Ok(found)
    } else if bumps_commitment(scene) {
        Ok(sweep::find(scene, SweepOf::Anchor))
    } else {
        spend(scene)
    }
}

/// Some input is an anchor of a commitment that may confirm.
fn bumps_commitment(scene: &Scene<'_>) -> bool {
    let inputs = scene.request.transaction().input.iter().zip(scene.request.spent());
    inputs.into_iter().any(|(input, spent)| {
        spent.output.value == Anchor::AMOUNT
            && scene
                .channels
                .of_live_commitment(&input.previous_output.txid)
                .is_some_and(|channel| channel.anchors.contains(&spent.output.script_pubkey))
    })
}

fn spend(scene: &Scene<'_>) -> Result<Finding, Unfit> {
    let txid = scene.request.txid();
    let mut found = Finding::of(Spend::Onchain);
    let mut maybe = Vec::new();
    for (index, output) in scene.request.transaction().output.iter().enumerate() {
        let script = &output.script_pubkey;
        if !(script.is_p2wsh() || script.is_p2tr()) || outputs::owner(scene, script) != Destination::Stranger
        {
            continue;
        }
        let vout = u32::try_from(index).map_err(|_| "too many outputs".to_owned())?;
        let outpoint = OutPoint { txid, vout };
        // With PSBT funding the peer's commitment is signed before the funding transaction.
        if let Some(channel) = scene.channels.channels.get(&outpoint) {
            let record = &channel.record;
            let same = output.value == record.capacity && *script == channel.funding_script_pubkey;
            // Without a reservation the 2-of-2 may be of anybody's making: judged as any other funding.
            if same && !record.reserved {
                maybe.push((index, outpoint, output));
            } else if same {
                found.owned.push((index, Destination::OwnFunding(record.multisig)));
            }
            continue;
        }
        maybe.push((index, outpoint, output));
    }
    // The peer's key is not known before the commitment, so any such output may be a 2-of-2; but not more of
    // them than there are reservations, or signatures already given for this transaction, account for.
    let already = maybe.iter().filter(|(_, at, _)| scene.channels.fundings.contains_key(at)).count();
    if maybe.len() > already + scene.channels.reservations.len() {
        maybe.clear();
    }
    for (index, outpoint, output) in maybe {
        found.owned.push((index, Destination::MaybeFunding));
        if !scene.channels.fundings.contains_key(&outpoint) {
            let (amount, script_pubkey) = (output.value, output.script_pubkey.clone());
            let funding = MaybeFunding { amount, script_pubkey };
            found.changes.push(Change::Funding { outpoint, funding });
        }
    }
    found.owned.sort_unstable_by_key(|(index, _)| *index);
    Ok(found)
}
