//! Cooperative closes.

use bitcoin::Sequence;
use strongroom_policy::Frozen;
use strongroom_policy::case::Spend;

use super::commitment::check_same;
use super::{Finding, Scene, Unfit};
use crate::channels::Change;

const SIGHASH_ALL: u8 = 1;

/// A spend of a 2-of-2 that is no commitment: a cooperative close of a channel we know, or nothing.
pub(super) fn find(scene: &Scene<'_>) -> Result<Finding, Unfit> {
    let transaction = scene.request.transaction();
    let (outpoint, _) = scene.spent_by_signed();
    let channel = scene
        .channels
        .channels
        .get(&outpoint)
        .ok_or_else(|| format!("it closes channel {outpoint}, of which no commitment was seen"))?;
    check_same(scene, channel)?;
    let [input] = &transaction.input[..] else {
        return Err(format!("it closes channel {outpoint} beside other inputs"));
    };
    // Final, or replaceable with any locktime (option_simple_close).
    let shaped = match input.sequence {
        Sequence::MAX => transaction.lock_time.to_consensus_u32() == 0,
        Sequence::ENABLE_RBF_NO_LOCKTIME => true,
        _ => false,
    };
    if !shaped || transaction.version.0 != 2 || transaction.output.len() > 2 {
        return Err(format!(
            "a spend of channel {outpoint} that is neither commitment nor cooperative close"
        ));
    }
    if scene.signed().sighash != SIGHASH_ALL {
        return Err(format!("a close is signed with SIGHASH_ALL, not {:#04x}", scene.signed().sighash));
    }
    let latest = channel
        .record
        .counterparty
        .as_ref()
        .ok_or_else(|| format!("no commitment of the peer's was seen for channel {outpoint}"))?;
    // One output beside ours and the anchors may be the peer's balance; HTLCs that were answered are HTLCs.
    let htlcs_pending = latest.others.len() > 1 || !latest.htlcs.is_empty();
    let (our_balance, peers_balance) = (latest.to_remote, latest.peers());
    let spend = Spend::MutualClose { channel: outpoint, our_balance, peers_balance, htlcs_pending };
    let mut found = Finding::of(spend);
    if !channel.record.closing || channel.record.frozen.is_none() {
        let mut record = channel.record.clone();
        record.closing = true;
        record.frozen.get_or_insert(Frozen::MutualClose);
        found.changes.push(Change::Channel(Box::new(record)));
    }
    Ok(found)
}
