//! What a closing transaction brings home, which its fee is held against.

use std::collections::BTreeSet;

use bitcoin::{Amount, OutPoint, Txid, Weight};
use strongroom_policy::case::Spend;
use strongroom_policy::{InputFact, KeyPath};

use super::Scene;
use crate::channels::Channel;
use crate::script::{Anchor, anchor_script};
use crate::weight;

/// The outputs of channels that it spends, as far as they are certain to be some: of an input that is not being signed
/// the client may say what it likes, and a wallet coin that passed for a channel's output would pay for a fee of half
/// its own amount. A channel's outputs are P2WSH or our `to_remote`, a wallet's coins never are.
///
/// Our anchor on the latest commitment of either side, or on the peer's last but one, counts as what the channel holds for
/// us, once for each channel: that is what a fee bump brings home. Its fee pays for the commitment too, whose weight is told beside the sum. Nothing
/// for what closes nothing.
pub(super) fn by(scene: &Scene<'_>, spend: &Spend, inputs: &[InputFact]) -> (Amount, Weight) {
    match spend {
        Spend::MutualClose { .. } | Spend::HolderHtlc { .. } | Spend::Sweep(_) | Spend::Justice => {}
        Spend::Onchain
        | Spend::CounterpartyCommitment { .. }
        | Spend::HolderCommitment { .. }
        | Spend::CounterpartyHtlc { .. }
        | Spend::Unknown { .. } => return (Amount::ZERO, Weight::ZERO),
    }
    let mut bumped: BTreeSet<OutPoint> = BTreeSet::new();
    let (mut sum, mut parents) = (Amount::ZERO, Weight::ZERO);
    let mut add = |amount| sum = sum.checked_add(amount).unwrap_or(Amount::MAX_MONEY);
    for input in inputs {
        if let Some(channel) = bumped_channel(scene, input).filter(|c| bumped.insert(c.record.funding)) {
            add(at_stake(channel));
            parents += parent(channel, &input.outpoint.txid);
        }
        if is_channel_output(scene, input) {
            add(input.amount);
        }
    }
    (sum, parents)
}

/// The commitment of this id, one of the channel's latest.
fn parent(channel: &Channel, txid: &Txid) -> Weight {
    let record = &channel.record;
    let ours = record.holder.iter().map(|ours| (ours.txid, ours.others.len()));
    // Our `to_remote` is not among the others.
    let theirs = record.counterparty.iter().map(|theirs| (theirs.txid, 1 + theirs.others.len()));
    let before = record.counterparty.as_ref().and_then(|theirs| theirs.before.as_ref());
    let before = before.map(|before| (before.txid, 2 + before.htlcs.len()));
    let outputs =
        ours.chain(theirs).chain(before).find(|(of, _)| of == txid).map_or(0, |(_, outputs)| outputs);
    weight::commitment(outputs)
}

fn is_channel_output(scene: &Scene<'_>, input: &InputFact) -> bool {
    let script = &input.script_pubkey;
    input.evidence.is_proof() && (script.is_p2wsh() || scene.accounts.find_to_remote(script).is_some())
}

/// The channel one of whose commitments that may confirm has our anchor here.
fn bumped_channel<'a>(scene: &Scene<'a>, input: &InputFact) -> Option<&'a Channel> {
    if input.amount != Anchor::AMOUNT {
        return None;
    }
    let channel = scene.channels.of_live_commitment(&input.outpoint.txid)?;
    let key = scene.accounts.public_key(&KeyPath::Lightning(channel.record.multisig)).ok()?;
    (input.script_pubkey == anchor_script(&key.serialize()).to_p2wsh()).then_some(channel)
}

/// Our balance and what the HTLCs hold, by the peer's latest commitment: ours has the same, but for what is under way.
fn at_stake(channel: &Channel) -> Amount {
    channel.record.counterparty.as_ref().map_or(Amount::ZERO, |latest| {
        latest
            .htlcs
            .iter()
            .fold(latest.to_remote, |sum, htlc| sum.checked_add(htlc.amount).unwrap_or(Amount::MAX_MONEY))
    })
}
