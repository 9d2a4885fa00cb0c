//! Commitment transactions: whose, and which number.

use bitcoin::{Amount, OutPoint, Transaction, TxOut};
use strongroom_policy::case::{Destination, Spend};
use strongroom_policy::{Frozen, KeyPath};

use super::whose::{self, Sorted};
use super::{Finding, Reading, Scene, Unfit};
use crate::channels::{Before, Change, Channel, ChannelRecord, CounterpartyState, HolderState};
use crate::script::{Anchor, Funding};

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
    let theirs = whose::is_theirs(scene, &channel.record, &sorted, number);
    if scene.reading == Reading::Own && !(theirs && whose::may_be_ours(scene, &channel.record, &sorted)) {
        return Err("it is certain whose commitment this is".into());
    }
    let theirs = theirs && scene.reading == Reading::First;
    let owned = owned(&sorted);
    let mut record = channel.record;
    let txid = scene.request.txid();
    let spend = if theirs {
        check_number(scene, &record, number)?;
        if record.lags_behind(number) {
            // Nothing is learned from it but that, and only once it is refused ([`Channels::fell_behind`]).
            let to_remote = sorted.to_remote.map_or(Amount::ZERO, |(_, amount, _)| amount);
            let spend = Spend::CounterpartyCommitment { channel: outpoint, number, to_remote };
            return Ok(Finding { spend, changes: Vec::new(), owned });
        }
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
        }
        Spend::CounterpartyCommitment { channel: outpoint, number, to_remote }
    } else {
        own(scene, &mut record, &sorted, number)?;
        if record.holder.as_ref().is_none_or(|latest| latest.number <= number) {
            record.holder = Some(HolderState { number, txid, others: sorted.others });
        }
        Spend::HolderCommitment { channel: outpoint, number }
    };
    let unchanged = known.is_some_and(|known| known.record == record);
    if !unchanged {
        changes.push(Change::Channel(Box::new(record)));
    }
    Ok(Finding { spend, changes, owned })
}

/// Outputs of a commitment that are the channel's own: the anchors, and ours on the peer's.
fn owned(sorted: &Sorted) -> Vec<(usize, Destination)> {
    let ours = sorted.to_remote.map(|(index, ..)| index);
    let mut owned: Vec<(usize, Destination)> =
        sorted.anchors.iter().copied().chain(ours).map(|index| (index, Destination::OwnChannel)).collect();
    owned.sort_unstable_by_key(|(index, _)| *index);
    owned
}

/// What our own commitment settles.
///
/// lnd has one signed when the funding confirms: number 0, or the latest where the channel was used before. That one ends
/// nothing, and there is one of it. Any later one ends the channel, if it is certain to be ours.
fn own(scene: &Scene<'_>, record: &mut ChannelRecord, sorted: &Sorted, number: u64) -> Result<(), Unfit> {
    let first = record.holder.is_none() && record.reserved;
    // Of a channel whose opening was not seen, the first number met is not known to be 0.
    if record.reserved && number == 0 || first {
        let scripts = || sorted.scripts.clone();
        if *record.holder_zero.get_or_insert_with(scripts) != sorted.scripts {
            return Err(format!(
                "another commitment 0 of ours, or a later one, was signed for channel {}",
                record.funding
            ));
        }
        if sorted.scripts.iter().any(|script| scene.accounts.find_to_remote(script).is_some()) {
            record.frozen.get_or_insert(Frozen::SharedKey);
        }
    }
    let ends = number != 0 && !first;
    if ends && whose::is_surely_ours(record, sorted, number) {
        record.frozen.get_or_insert(Frozen::OwnCommitment { number });
    }
    record.closing |= ends && record.frozen.is_some();
    Ok(())
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
    if reserved {
        check_static_key(scene)?;
    }
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

/// On a channel without `option_static_remotekey` our output has another key on each commitment, and no request shows which.
/// It is a key hash, and of the types that are understood only our own `to_remote` may be one.
fn check_static_key(scene: &Scene<'_>) -> Result<(), Unfit> {
    let outputs = &scene.request.transaction().output;
    let mut hashes = outputs.iter().filter(|output| output.script_pubkey.is_p2wpkh());
    if hashes.all(|output| scene.accounts.find_to_remote(&output.script_pubkey).is_some()) {
        return Ok(());
    }
    Err("its first commitment pays a key hash that is of no payment key of ours: a channel without \
         option_static_remotekey, on which our own balance could not be told"
        .into())
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
    let gap = gap(scene, record);
    // A commitment is held against the one of the number before, also where lnd asks for a number once more.
    let before = record.counterparty.as_ref().map(|latest| {
        let kept = latest.before.as_ref().filter(|_| latest.number == number).cloned();
        kept.unwrap_or_else(|| Box::new(Before::of(latest)))
    });
    CounterpartyState { number, txid, to_remote, others, htlcs, gap, before }
}

/// What of the capacity no output holds.
pub(super) fn gap(scene: &Scene<'_>, record: &ChannelRecord) -> Amount {
    let paid =
        scene.request.transaction().output.iter().fold(0u64, |sum, o| sum.saturating_add(o.value.to_sat()));
    Amount::from_sat(record.capacity.to_sat().saturating_sub(paid))
}

fn sort(scene: &Scene<'_>, channel: &Channel, number: u64) -> Result<Sorted, Unfit> {
    let record = &channel.record;
    let mut sorted = Sorted::default();
    for (index, output) in scene.request.transaction().output.iter().enumerate() {
        let script = &output.script_pubkey;
        if output.value == Anchor::AMOUNT && channel.anchors.contains(script) {
            sorted.anchors.push(index);
            continue;
        }
        sorted.scripts.push(script.clone());
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
    let borrowed = sorted
        .to_remote
        .filter(|_| record.to_remote.is_none() && !whose::is_own_zero(scene, record, &sorted, number));
    let taken = borrowed.and_then(|(_, _, key)| {
        scene.channels.channels.values().find(|other| other.record.to_remote == Some(key))
    });
    if let Some(other) = taken {
        return Err(format!("its to_remote is that of channel {}", other.record.funding));
    }
    Ok(sorted)
}

/// lnd numbers commitments one by one and signs the latest number again, with other contents perhaps, if it
/// stopped before sending it. Only channels opened under our eyes are sure to have begun with number 0. One that is further on
/// is no misfit: lnd went on without us ([`ChannelRecord::lags_behind`]).
fn check_number(scene: &Scene<'_>, record: &ChannelRecord, number: u64) -> Result<(), Unfit> {
    let Some(latest) = record.counterparty.as_ref().filter(|_| record.reserved) else {
        return Ok(());
    };
    let repeated = || {
        let first = OutPoint { txid: scene.request.txid(), vout: 0 };
        scene.known.output(&first).is_some()
    };
    if number >= latest.number || repeated() {
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
