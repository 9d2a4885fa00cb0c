//! Cooperative closes.

use bitcoin::{Amount, OutPoint, Sequence};
use strongroom_policy::Frozen;
use strongroom_policy::case::Spend;

use super::commitment::check_same;
use super::{Finding, Scene, Unfit};
use crate::channels::{Change, Channel};
use crate::script::Funding;

const SIGHASH_ALL: u8 = 1;

/// A spend of a 2-of-2 that is no commitment: a cooperative close of a channel of which we know what is ours in it, from the
/// peer's latest commitment or from an operator, or nothing.
pub(super) fn find(scene: &Scene<'_>, funding: &Funding) -> Result<Finding, Unfit> {
    let transaction = scene.request.transaction();
    let (outpoint, _) = scene.spent_by_signed();
    let known = scene.channels.channels.get(&outpoint);
    let word = scene.channels.close_allowance(&outpoint);
    match known {
        Some(channel) => check_same(scene, channel)?,
        None if word.is_none() => {
            return Err(way_on(&outpoint, "no commitment was seen of it"));
        }
        None if funding.peer_of(&scene.signed().public_key.serialize()).is_none() => {
            return Err(format!("the 2-of-2 of {outpoint} does not hold our key"));
        }
        None => {}
    }
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
    let spend = if let Some(word) = word {
        // The word stands in the place of all that the books have of the balances, HTLCs too; the whole fee is taken for ours.
        let (our_balance, peers_balance) = (word.at_least, Amount::ZERO);
        Spend::MutualClose {
            channel: outpoint,
            our_balance,
            peers_balance,
            htlcs_pending: false,
            by_word: true,
        }
    } else {
        if known.is_some_and(|channel| channel.record.frozen.is_some_and(Frozen::is_behind)) {
            return Err(way_on(&outpoint, "lnd went on with it without this signer"));
        }
        let latest = known
            .and_then(|channel| channel.record.counterparty.as_ref())
            .ok_or_else(|| way_on(&outpoint, "no commitment of the peer's was seen for it"))?;
        // One output beside ours and the anchors may be the peer's balance; HTLCs that were answered are HTLCs.
        let htlcs_pending = latest.others.len() > 1 || !latest.htlcs.is_empty();
        let (our_balance, peers_balance) = (latest.to_remote, latest.peers());
        Spend::MutualClose { channel: outpoint, our_balance, peers_balance, htlcs_pending, by_word: false }
    };
    let mut found = Finding::of(spend);
    found.changes.extend(known.and_then(ended));
    Ok(found)
}

/// What an operator can do where the books do not know what is ours, and why they do not.
pub(crate) fn way_on(channel: &OutPoint, because: &str) -> Unfit {
    format!(
        "it closes channel {channel}: {because}, so nothing here tells what of it is ours; whoever knows can say it: \
         strongroom channel allow-close NODE {channel} --at-least SAT; or close by force"
    )
}

/// The channel with its end, if that is new.
fn ended(channel: &Channel) -> Option<Change> {
    if channel.record.closing && channel.record.frozen.is_some() {
        return None;
    }
    let mut record = channel.record.clone();
    record.closing = true;
    record.frozen.get_or_insert(Frozen::MutualClose);
    Some(Change::Channel(Box::new(record)))
}
