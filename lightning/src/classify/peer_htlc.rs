//! HTLC outputs of the peer's commitment: its HTLC transaction, which we sign, or our own claim.

use bitcoin::hex::DisplayHex as _;
use bitcoin::{OutPoint, TxOut};
use strongroom_policy::case::{Destination, Spend, SweepOf};
use strongroom_policy::{Frozen, KeyPath};

use super::{Finding, Scene, Unfit, outputs, sweep};
use crate::channels::{Change, Channel, HtlcAnswer};
use crate::psbt::SignRequest;
use crate::script::{Htlc, HtlcKind};
use crate::vls::HtlcFacts;

const SIGHASH_ALL: u8 = 0x01;
const SIGHASH_SINGLE_ANYONECANPAY: u8 = 0x83;

/// A spend of an HTLC output on the peer's commitment with our HTLC key.
pub(super) fn find(scene: &Scene<'_>, htlc: &Htlc) -> Result<Finding, Unfit> {
    let sighash = scene.signed().sighash;
    match (htlc.anchors, sighash) {
        (true, SIGHASH_SINGLE_ANYONECANPAY) => peer_transaction(scene, htlc),
        (true, SIGHASH_ALL) => Ok(sweep::find(scene, SweepOf::CounterpartyHtlc)),
        // Without anchors both are signed with ALL. The peer's pays a delayed script of its own.
        (false, SIGHASH_ALL) if pays_stranger_p2wsh(scene) => peer_transaction(scene, htlc),
        (false, SIGHASH_ALL) => Ok(sweep::find(scene, SweepOf::CounterpartyHtlc)),
        _ => Err(format!("an HTLC of the peer's commitment is not signed with sighash {sighash:#04x}")),
    }
}

fn pays_stranger_p2wsh(scene: &Scene<'_>) -> bool {
    match &scene.request.transaction().output[..] {
        [only] => {
            only.script_pubkey.is_p2wsh()
                && outputs::owner(scene, &only.script_pubkey) == Destination::Stranger
        }
        _ => false,
    }
}

/// The HTLC-timeout or HTLC-success transaction of BOLT 3, to the last field.
fn peer_transaction(scene: &Scene<'_>, htlc: &Htlc) -> Result<Finding, Unfit> {
    let transaction = scene.request.transaction();
    let (outpoint, spent) = scene.spent_by_signed();
    let misfit = |what: &str| format!("the peer's HTLC transaction on {outpoint} {what}");
    let ([input], [output]) = (&transaction.input[..], &transaction.output[..]) else {
        return Err(misfit("has more than one input and one output"));
    };
    let lock_time = transaction.lock_time.to_consensus_u32();
    let sequence = input.sequence.to_consensus_u32();
    if transaction.version.0 != 2 || sequence != u32::from(htlc.anchors) {
        return Err(misfit("has another version or sequence than BOLT 3 prescribes"));
    }
    // Offered by the peer: it takes back after a timeout. Received: it claims at once.
    if (lock_time == 0) != matches!(htlc.kind, HtlcKind::Received { .. }) {
        return Err(misfit("has a locktime that its direction does not allow"));
    }
    if !output.script_pubkey.is_p2wsh() || output.value > spent.value {
        return Err(misfit("does not pay the HTLC to a delayed output"));
    }
    let KeyPath::Lightning(htlc_base) = scene.signed().key else {
        return Err(misfit("is signed with a wallet key"));
    };
    let answer = HtlcAnswer {
        htlc_base: htlc_base.index,
        amount: spent.value,
        script_pubkey: spent.script_pubkey.clone(),
        paid: output.value,
        paid_to: output.script_pubkey.clone(),
        lock_time,
        sequence,
        payment_hash160: htlc.payment_hash160,
        cltv_expiry: match htlc.kind {
            HtlcKind::Received { cltv_expiry } => cltv_expiry,
            HtlcKind::Offered => lock_time,
        },
    };
    let (channel, seen) = channel_of(scene, outpoint, htlc_base.index)?;
    if seen {
        on_commitment(channel, outpoint, spent)?;
    } else if scene.known.output(&outpoint).is_some() {
        return Err(misfit("spends a commitment that is no longer the latest"));
    } else if scene.is_tombstoned(&outpoint.txid) {
        return Err(misfit("spends a commitment whose first HTLC signatures are no longer kept"));
    }
    let unchanged = consistent(scene, outpoint, &answer)?;
    // On what was signed since, such a signature may already be out, and would be a second one.
    if !unchanged && channel.record.frozen.is_some_and(Frozen::is_behind) {
        return Err(misfit("is of a channel with which lnd went on without this signer"));
    }
    if seen && !unchanged {
        return Err(misfit("is asked for after its commitment was signed without it"));
    }
    let mut found = Finding::of(Spend::CounterpartyHtlc {
        channel: channel.record.funding,
        commitment: outpoint.txid,
        payment_hash160: htlc.payment_hash160.to_lower_hex_string(),
        amount: spent.value,
    });
    if !unchanged {
        let (commitment, vout) = (outpoint.txid, outpoint.vout);
        let answers = &scene.channels.htlc_answers;
        let order = answers.order(&commitment);
        found.changes = answers.room_for(&commitment);
        found.changes.push(Change::HtlcAnswered { commitment, vout, order, answer: Box::new(answer) });
    }
    Ok(found)
}

/// The HTLC of a request that was recognised as the peer's HTLC transaction. Offered by the peer, its expiry is the
/// locktime of the transaction that takes it back.
pub(crate) fn htlc_of(request: &SignRequest) -> Option<HtlcFacts> {
    let signed = request.to_sign().first()?;
    let htlc = Htlc::parse(signed.script.as_bytes())?;
    let (offered_by_us, cltv_expiry) = match htlc.kind {
        HtlcKind::Received { cltv_expiry } => (true, cltv_expiry),
        HtlcKind::Offered => (false, request.transaction().lock_time.to_consensus_u32()),
    };
    let amount = request.spent().get(signed.index)?.output.value;
    Some(HtlcFacts { offered_by_us, amount, payment_hash160: htlc.payment_hash160, cltv_expiry })
}

/// The channel, and whether the commitment is its latest. The commitment tells for certain; before it is asked
/// for, the HTLC basepoint does, or the multisig key of the same index, which lnd draws at the same moment.
fn channel_of<'a>(
    scene: &Scene<'a>,
    outpoint: OutPoint,
    htlc_base: u32,
) -> Result<(&'a Channel, bool), Unfit> {
    let channels = &scene.channels;
    let bound = channels.by_htlc_base.get(&htlc_base);
    let funding = bound.or_else(|| channels.by_multisig.get(&htlc_base));
    let guess = funding.and_then(|funding| channels.channels.get(funding));
    let latest = |channel: &&Channel| {
        channel.record.counterparty.as_ref().is_some_and(|latest| latest.txid == outpoint.txid)
    };
    if let Some(channel) = guess.filter(latest) {
        return Ok((channel, true));
    }
    // Only an index that is not aligned gets here with its commitment seen.
    let other = channels.channels.values().find(latest).filter(|_| bound.is_none());
    match (other, guess) {
        (Some(channel), _) if channel.record.htlc_base.is_none_or(|base| base == htlc_base) => {
            Ok((channel, true))
        }
        (None, Some(channel)) => Ok((channel, false)),
        _ => Err(format!("the HTLC key {{2/{htlc_base}}} belongs to no channel that we know")),
    }
}

/// The HTLC is an output of the commitment.
fn on_commitment(channel: &Channel, outpoint: OutPoint, spent: &TxOut) -> Result<(), Unfit> {
    let others = channel.record.counterparty.as_ref().map_or(&[][..], |latest| &latest.others);
    let found = others.iter().any(|(vout, output)| *vout == outpoint.vout && output == spent);
    found.then_some(()).ok_or_else(|| {
        format!(
            "commitment {} has no HTLC of {} sat at output {}",
            outpoint.txid,
            spent.value.to_sat(),
            outpoint.vout
        )
    })
}

/// One output is answered for once, and all HTLC transactions of a commitment pay one script: the peer's delayed
/// output. Answers whether this very signature was given before.
fn consistent(scene: &Scene<'_>, outpoint: OutPoint, answer: &HtlcAnswer) -> Result<bool, Unfit> {
    let Some(answers) = scene.channels.htlc_answers.get(&outpoint.txid) else {
        return Ok(false);
    };
    if let Some(before) = answers.get(outpoint.vout) {
        return if before == answer {
            Ok(true)
        } else {
            Err(format!("another HTLC transaction on {outpoint} was signed before"))
        };
    }
    match answers.any() {
        Some(other) if other.paid_to != answer.paid_to => Err(format!(
            "HTLC transactions on commitment {} were signed to another output script",
            outpoint.txid
        )),
        _ => Ok(false),
    }
}
