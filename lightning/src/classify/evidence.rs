//! What each input's amount rests on.

use strongroom_policy::InputFact;
use strongroom_policy::case::Evidence;

use super::{Scene, Unfit};
use crate::psbt::ToSign;

/// The inputs, and the first one about which request and record disagree, if any.
pub(super) fn inputs(scene: &Scene<'_>) -> (Vec<InputFact>, Option<Unfit>) {
    let request = scene.request;
    // Amounts that every signature asked for commits to: all of them for BIP 341, the own one for BIP 143.
    let all_committed = request.to_sign().iter().all(ToSign::commits_to_all_inputs);
    let only_signed = match request.to_sign() {
        [one] => Some(one.index),
        _ => None,
    };
    let mut conflict = None;
    let facts = request
        .transaction()
        .input
        .iter()
        .zip(request.spent())
        .enumerate()
        .map(|(index, (input, spent))| {
            let outpoint = input.previous_output;
            let stated = &spent.output;
            let evidence = if spent.with_transaction {
                Evidence::PreviousTransaction
            } else if let Some(recorded) = scene.known.output(&outpoint) {
                if recorded != *stated {
                    conflict.get_or_insert_with(|| {
                        format!(
                            "input {index} spends {outpoint}, which we signed as {} sat, not {} sat, or with another script",
                            recorded.value.to_sat(),
                            stated.value.to_sat()
                        )
                    });
                    Evidence::Claimed
                } else {
                    Evidence::Ledger
                }
            } else if all_committed || only_signed == Some(index) {
                Evidence::Committed
            } else {
                Evidence::Claimed
            };
            InputFact {
                outpoint,
                amount: stated.value,
                script_pubkey: stated.script_pubkey.clone(),
                sequence: input.sequence.to_consensus_u32(),
                evidence,
            }
        })
        .collect();
    (facts, conflict)
}
