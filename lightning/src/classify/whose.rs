//! Whose commitment it is.
//!
//! What may be either side's is read as the peer's first, which the books hold to what is ours; that is always safe. If it
//! does not hold as that, it is read as our own where it may be that ([`may_be_ours`]): lnd must be able to end a channel.
//! What a thief gains by dressing the peer's commitment up as our own is bounded as for any own commitment, and
//! is never more than our own first commitment gave already.

use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut};

use super::Scene;
use super::commitment::gap;
use crate::channels::{ChannelRecord, CounterpartyState};
use crate::script::ToRemote;

/// The outputs, sorted by whose they are.
#[derive(Default)]
pub(super) struct Sorted {
    pub(super) to_remote: Option<(usize, Amount, (u32, ToRemote))>,
    pub(super) anchors: Vec<usize>,
    pub(super) others: Vec<(u32, TxOut)>,
    /// Of all but the anchors.
    pub(super) scripts: Vec<ScriptBuf>,
}

/// Whether a commitment is to be read as the peer's.
///
/// It is if it pays our `to_remote`. Without that output it is one of ours, or the peer's while we have nothing; then the
/// peer's own `to_remote`, which our first commitment showed, tells ours.
pub(super) fn is_theirs(scene: &Scene<'_>, record: &ChannelRecord, sorted: &Sorted, number: u64) -> bool {
    if is_own_zero(scene, record, sorted, number) {
        return false;
    }
    if sorted.to_remote.is_some() {
        return true;
    }
    match &record.counterparty {
        None => record.holder.is_none(),
        Some(latest) if latest.txid == scene.request.txid() => true,
        Some(latest) => {
            !repeats(record, sorted)
                && (number, latest.number) != (0, 0)
                && balance_before(latest, number) == Amount::ZERO
        }
    }
}

/// lnd asks for the peer's commitment 0 once and then for ours, whatever that pays: a peer may have given our own payment
/// key for its own.
pub(super) fn is_own_zero(scene: &Scene<'_>, record: &ChannelRecord, sorted: &Sorted, number: u64) -> bool {
    let txid = scene.request.txid();
    let other = record.counterparty.as_ref().is_some_and(|theirs| theirs.number == 0 && theirs.txid != txid);
    let again = || record.holder_zero.as_ref() == Some(&sorted.scripts);
    let signed = || scene.known.output(&OutPoint { txid, vout: 0 }).is_some();
    number == 0 && record.reserved && other && (again() || !signed())
}

/// Whether a commitment read as the peer's may be our own all the same. One that was signed as the peer's, or whose HTLC
/// transactions were, is not.
///
/// - Nothing is known of its channel, which was imported or whose record was lost, and it pays us nothing. Were it the
///   peer's, that peer would have our balance, which an old commitment of ours gives it as well.
/// - It pays us nothing, and what the peer's `to_remote` is nobody has shown: our first commitment was not asked for yet, or
///   the peer had nothing then.
/// - It pays our payment key, and some other output holds our balance: the peer gave our key for its own.
pub(super) fn may_be_ours(scene: &Scene<'_>, record: &ChannelRecord, sorted: &Sorted) -> bool {
    let Some(latest) = &record.counterparty else { return !record.reserved && sorted.to_remote.is_none() };
    let txid = scene.request.txid();
    if latest.txid == txid || scene.channels.htlc_answers.get(&txid).is_some() {
        return false;
    }
    if sorted.to_remote.is_none() {
        return record.holder_zero.is_none() || record.first_to_remote != Some(Amount::ZERO);
    }
    // Fees and dust may differ a little between the two sides' commitments, and HTLCs that we offer may have come back on
    // ours already; or ours is one step behind.
    let slack = latest.gap.min(gap(scene, record));
    let holds = |least: Amount, most: Amount| {
        let least = least.checked_sub(slack).unwrap_or(Amount::ZERO);
        let most = most.checked_add(slack).unwrap_or(Amount::MAX_MONEY);
        least == Amount::ZERO || sorted.others.iter().any(|(_, other)| (least..=most).contains(&other.value))
    };
    holds(latest.to_remote, latest.ours())
        || latest.before.as_ref().is_some_and(|before| holds(before.to_remote, before.to_remote))
}

/// Whether an own commitment is no commitment of the peer's in disguise of which the channel could go on.
pub(super) fn is_surely_ours(record: &ChannelRecord, sorted: &Sorted, number: u64) -> bool {
    let balance = record.counterparty.as_ref().map_or(Amount::ZERO, |latest| balance_before(latest, number));
    repeats(record, sorted) || sorted.to_remote.is_none() && balance > Amount::ZERO
}

/// It pays a script that our own first commitment had: the peer's `to_remote`, since all others change.
fn repeats(record: &ChannelRecord, sorted: &Sorted) -> bool {
    let zero = record.holder_zero.as_deref().unwrap_or_default();
    sorted.scripts.iter().any(|script| zero.contains(script))
}

/// What the peer's commitment pays us that one of this number follows. If it paid us, this one does too: what we must keep
/// in reserve is never spent, and more than dust (BOLT 2). lnd may ask for the latest number again, with other contents; what the
/// first version paid us is not certain then.
fn balance_before(latest: &CounterpartyState, number: u64) -> Amount {
    let before = latest.before.as_ref().filter(|_| latest.number == number);
    before.map_or(latest.to_remote, |before| before.to_remote)
}
