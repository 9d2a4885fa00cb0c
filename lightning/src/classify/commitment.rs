//! Commitment transactions: whose, and which number.

use bitcoin::{Amount, OutPoint, Transaction, TxOut};
use strongroom_policy::case::{Destination, Spend};
use strongroom_policy::{Frozen, KeyPath};

use super::{Finding, Scene, Unfit};
use crate::channels::{Before, Change, Channel, ChannelRecord, CounterpartyState, HolderState};
use crate::script::{Anchor, Funding, ToRemote};

const SIGHASH_ALL: u8 = 1;

/// BOLT 3: sequence 0x80…… and locktime 0x20……, hiding the number between them. One input, version 2.
pub(crate) fn has_shape(transaction: &Transaction) -> bool {
    let [input] = &transaction.input[..] else {
        return false;
    };
    transaction.version.0 == 2
        && input.sequence.to_consensus_u32() >> 24 == 0x80
        && transaction.lock_time.to_consensus_u32() >> 24 == 0x20
}

/// The hidden number as it stands.
fn raw_number(transaction: &Transaction) -> u64 {
    let sequence = transaction.input[0].sequence.to_consensus_u32();
    let lock_time = transaction.lock_time.to_consensus_u32();
    u64::from(sequence & 0xff_ffff) << 24 | u64::from(lock_time & 0xff_ffff)
}

/// The outputs, sorted by whose they are.
struct Sorted {
    to_remote: Option<(usize, Amount, (u32, ToRemote))>,
    anchors: Vec<usize>,
    /// Pays a script of our own commitment 0, another one than which this is.
    repeats_holder_zero: bool,
    others: Vec<(u32, TxOut)>,
}

/// A transaction of commitment shape on a 2-of-2 of ours.
pub(super) fn find(scene: &Scene<'_>, funding: &Funding) -> Result<Finding, Unfit> {
    let transaction = scene.request.transaction();
    let (outpoint, _) = scene.spent_by_signed();
    if scene.signed().sighash != SIGHASH_ALL {
        return Err(format!("a commitment is signed with SIGHASH_ALL, not {:#04x}", scene.signed().sighash));
    }
    if scene.is_tombstoned(&scene.request.txid()) {
        return Err(
            "HTLC transactions of this commitment were signed long before it was asked for, and are kept no \
                    longer: it is never signed"
                .into(),
        );
    }
    let known = scene.channels.channels.get(&outpoint);
    let mut changes = Vec::new();
    let channel = match known {
        Some(channel) => {
            check_same(scene, channel)?;
            channel.clone()
        }
        None => {
            let (channel, opened) = open(scene, funding)?;
            changes = opened;
            channel
        }
    };
    let number = raw_number(transaction) ^ channel.record.obfuscator;
    let sorted = sort(scene, &channel, number)?;
    let theirs = is_theirs(scene, &channel.record, &sorted, number);
    let mut record = channel.record;
    let txid = scene.request.txid();
    let spend = if theirs {
        check_number(scene, &record, number)?;
        if let Some(htlc_base) = check_answers(scene, &record, &sorted)? {
            record.htlc_base = Some(htlc_base);
        }
        let to_remote = sorted.to_remote.map_or(Amount::ZERO, |(_, amount, _)| amount);
        record.first_to_remote.get_or_insert(to_remote);
        record.to_remote = record.to_remote.or(sorted.to_remote.map(|(_, _, key)| key));
        let latest = record.counterparty.as_ref();
        if latest.is_none_or(|latest| latest.number <= number || !record.reserved) {
            // Another commitment of the same number does not end the first: both may come from the peer, so what was
            // answered for either stays answered.
            if let Some(before) = latest.filter(|before| before.txid != txid && before.number != number) {
                forget_answers(scene, before, &mut changes);
            }
            let state = state(scene, &record, number, to_remote, sorted.others);
            record.guaranteed = Some(record.guaranteed.map_or(to_remote, |least| least.min(to_remote)));
            record.counterparty = Some(state);
            record.closing &= record.frozen.is_some();
        }
        Spend::CounterpartyCommitment { channel: outpoint, number, to_remote }
    } else {
        if number == 0 {
            let scripts: Vec<_> =
                sorted.others.iter().map(|(_, output)| output.script_pubkey.clone()).collect();
            if *record.holder_zero.get_or_insert_with(|| scripts.clone()) != scripts {
                return Err(format!("another commitment 0 of ours was signed for channel {outpoint}"));
            }
        }
        if record.holder.as_ref().is_none_or(|latest| latest.number <= number) {
            record.holder = Some(HolderState { number, txid, others: sorted.others });
        }
        // Number 0 is signed when the funding confirms; any later one ends the channel. Where it may be the peer's after
        // all, it ends nothing.
        record.closing |= number != 0;
        if number != 0 && (sorted.repeats_holder_zero || has_balance(&record)) {
            record.frozen.get_or_insert(Frozen::OwnCommitment { number });
        }
        Spend::HolderCommitment { channel: outpoint, number }
    };
    let unchanged = known.is_some_and(|known| known.record == record);
    if !unchanged {
        changes.push(Change::Channel(Box::new(record)));
    }
    let mut owned: Vec<(usize, Destination)> = sorted
        .anchors
        .iter()
        .copied()
        .chain(sorted.to_remote.map(|(index, ..)| index))
        .map(|index| (index, Destination::OwnChannel))
        .collect();
    owned.sort_unstable_by_key(|(index, _)| *index);
    Ok(Finding { spend, changes, owned })
}

/// The funding output is the one we know.
pub(super) fn check_same(scene: &Scene<'_>, channel: &Channel) -> Result<(), Unfit> {
    let (outpoint, spent) = scene.spent_by_signed();
    let record = &channel.record;
    if spent.value != record.capacity || spent.script_pubkey != channel.funding_script_pubkey {
        return Err(format!(
            "channel {outpoint} has {} sat under another script than stated, or not {} sat",
            record.capacity.to_sat(),
            spent.value.to_sat()
        ));
    }
    Ok(())
}

/// A channel seen for the first time, and what its first commitment settles.
fn open(scene: &Scene<'_>, funding: &Funding) -> Result<(Channel, Vec<Change>), Unfit> {
    let (outpoint, spent) = scene.spent_by_signed();
    let signed = scene.signed();
    let KeyPath::Lightning(multisig) = signed.key else {
        return Err("a wallet key in a 2-of-2".into());
    };
    if funding.peer_of(&signed.public_key.serialize()).is_none() {
        return Err(format!("the 2-of-2 does not hold our key {multisig}"));
    }
    if let Some(other) = scene.channels.by_multisig.get(&multisig.index) {
        return Err(super::anew::taken(scene, multisig, other));
    }
    let mut changes = Vec::new();
    if let Some(maybe) = scene.channels.fundings.get(&outpoint) {
        if maybe.amount != spent.value || maybe.script_pubkey != spent.script_pubkey {
            return Err(format!(
                "we funded {outpoint} with {} sat under another script than stated, or not {} sat",
                maybe.amount.to_sat(),
                spent.value.to_sat()
            ));
        }
        changes.push(Change::FundingMatched { outpoint });
    }
    let used = scene.channels.reservations.iter().filter(|(_, key)| **key == multisig.index);
    let used: Vec<Change> = used.map(|(root, _)| Change::ReservationUsed { root: *root }).collect();
    let reserved = !used.is_empty();
    changes.extend(used);
    let record = ChannelRecord {
        funding: outpoint,
        capacity: spent.value,
        multisig,
        funding_script: signed.script.clone(),
        obfuscator: raw_number(scene.request.transaction()),
        to_remote: None,
        first_to_remote: None,
        holder_zero: None,
        htlc_base: None,
        counterparty: None,
        holder: None,
        closing: false,
        frozen: None,
        guaranteed: None,
        reserved,
    };
    Ok((Channel::from(record), changes))
}

/// What is kept of the peer's commitment.
fn state(
    scene: &Scene<'_>,
    record: &ChannelRecord,
    number: u64,
    to_remote: Amount,
    others: Vec<(u32, TxOut)>,
) -> CounterpartyState {
    let txid = scene.request.txid();
    let answers = scene.channels.htlc_answers.get(&txid);
    let answered = others.iter().filter_map(|(vout, _)| Some(answers?.get(*vout)?.pending(*vout)));
    let htlcs = answered.collect();
    let paid =
        scene.request.transaction().output.iter().fold(0u64, |sum, o| sum.saturating_add(o.value.to_sat()));
    let gap = Amount::from_sat(record.capacity.to_sat().saturating_sub(paid));
    // A commitment is held against the one of the number before, also where lnd asks for a number once more.
    let before = record.counterparty.as_ref().map(|latest| {
        let kept = latest.before.as_ref().filter(|_| latest.number == number).cloned();
        kept.unwrap_or_else(|| Box::new(Before::of(latest)))
    });
    CounterpartyState { number, txid, to_remote, others, htlcs, gap, before }
}

fn sort(scene: &Scene<'_>, channel: &Channel, number: u64) -> Result<Sorted, Unfit> {
    let record = &channel.record;
    let mut sorted =
        Sorted { to_remote: None, anchors: Vec::new(), repeats_holder_zero: false, others: Vec::new() };
    for (index, output) in scene.request.transaction().output.iter().enumerate() {
        let script = &output.script_pubkey;
        if output.value == Anchor::AMOUNT && channel.anchors.contains(script) {
            sorted.anchors.push(index);
            continue;
        }
        if number != 0 && record.holder_zero.as_ref().is_some_and(|zero| zero.contains(script)) {
            sorted.repeats_holder_zero = true;
        }
        // The same payment basepoint for the channel's life; before the first payment to it, any of ours.
        let ours = if sorted.to_remote.is_some() { None } else { scene.accounts.find_to_remote(script) };
        match (ours, record.to_remote) {
            (Some((key, kind)), known) if known.is_none_or(|known| known == (key.index, kind)) => {
                sorted.to_remote = Some((index, output.value, (key.index, kind)));
            }
            _ => {
                let index = u32::try_from(index).map_err(|_| "too many outputs".to_owned())?;
                sorted.others.push((index, output.clone()));
            }
        }
    }
    let taken = sorted.to_remote.filter(|_| record.to_remote.is_none()).and_then(|(_, _, key)| {
        scene.channels.channels.values().find(|other| other.record.to_remote == Some(key))
    });
    if let Some(other) = taken {
        return Err(format!("its to_remote is that of channel {}", other.record.funding));
    }
    Ok(sorted)
}

/// Whether a commitment is the peer's, as far as requests tell.
///
/// It is if it pays our `to_remote`. Without that output it is one of ours, or the peer's while we have nothing.
/// lnd asks for the peer's commitment 0 first and for ours, of the same number, when the funding confirms; from then
/// on the peer's `to_remote` is known and tells ours. Where nothing tells, it counts as ours.
fn is_theirs(scene: &Scene<'_>, record: &ChannelRecord, sorted: &Sorted, number: u64) -> bool {
    if sorted.to_remote.is_some() {
        return true;
    }
    if sorted.repeats_holder_zero {
        return false;
    }
    match &record.counterparty {
        None => record.holder.is_none(),
        Some(latest) if latest.txid == scene.request.txid() => true,
        Some(latest) if latest.number == number => number != 0 && we_have_nothing(record, latest),
        Some(latest) => we_have_nothing(record, latest),
    }
}

/// We began with nothing, so that the peer's `to_remote` is known from our own commitment 0, and have nothing yet.
/// Signing our own commitment in disguise gives away no more than the peer's latest one says we have.
fn we_have_nothing(record: &ChannelRecord, latest: &CounterpartyState) -> bool {
    record.first_to_remote == Some(Amount::ZERO)
        && latest.to_remote == Amount::ZERO
        && record.holder_zero.is_some()
}

/// The peer's latest commitment pays us. Then so does its next one: what we must keep in reserve is never spent, and more
/// than dust (BOLT 2).
fn has_balance(record: &ChannelRecord) -> bool {
    record.counterparty.as_ref().is_some_and(|latest| latest.to_remote > Amount::ZERO)
}

/// lnd numbers commitments one by one and signs the latest number again, with other contents perhaps, if it
/// stopped before sending it. Only channels opened under our eyes are sure to have begun with number 0.
fn check_number(scene: &Scene<'_>, record: &ChannelRecord, number: u64) -> Result<(), Unfit> {
    let Some(latest) = record.counterparty.as_ref().filter(|_| record.reserved) else {
        return Ok(());
    };
    let repeated = || {
        let first = OutPoint { txid: scene.request.txid(), vout: 0 };
        scene.known.output(&first).is_some()
    };
    if number == latest.number || number == latest.number + 1 || repeated() {
        return Ok(());
    }
    Err(format!(
        "commitment number {number} of channel {} does not follow number {}, signed last",
        record.funding, latest.number
    ))
}

/// HTLC signatures given before their commitment was asked for must be of HTLCs that it has. Answers the HTLC
/// basepoint they were given with.
fn check_answers(scene: &Scene<'_>, record: &ChannelRecord, sorted: &Sorted) -> Result<Option<u32>, Unfit> {
    let Some(answers) = scene.channels.htlc_answers.get(&scene.request.txid()) else {
        return Ok(None);
    };
    let mut base = record.htlc_base;
    for (vout, answer) in answers.iter() {
        let output = sorted.others.binary_search_by_key(&vout, |(index, _)| *index);
        let output = output.ok().map(|at| &sorted.others[at].1);
        if !output.is_some_and(|output| answer.spends(output)) {
            return Err(format!(
                "an HTLC transaction of {} sat on output {vout} was signed, and this commitment has no such output",
                answer.amount.to_sat()
            ));
        }
        let other = scene.channels.by_htlc_base.get(&answer.htlc_base);
        if *base.get_or_insert(answer.htlc_base) != answer.htlc_base
            || other.is_some_and(|other| *other != record.funding)
        {
            return Err(format!(
                "HTLC transactions on this commitment were signed with key {{2/{}}}, which is not its channel's",
                answer.htlc_base
            ));
        }
    }
    Ok(base)
}

fn forget_answers(scene: &Scene<'_>, before: &CounterpartyState, changes: &mut Vec<Change>) {
    if let Some(answers) = scene.channels.htlc_answers.get(&before.txid) {
        let commitment = before.txid;
        changes.extend(answers.iter().map(|(vout, _)| Change::HtlcForgotten { commitment, vout }));
    }
}
