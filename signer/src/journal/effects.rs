//! What an approved transaction changes beside its leaf.

use bitcoin::OutPoint;
use bitcoin::consensus::serialize;
use strongroom_lightning::vls::Taught;
use strongroom_lightning::{Learned, SignRequest};
use strongroom_policy::{Case, Facts, Kind, NodeName, Spend, SpendAsk, Verdict};

use super::books::Allowances;
use super::decide::Effects;
use super::keys;
use super::ledger::{Entry, Pin};
use super::thread::Keeper;
use crate::refusal::Refusal;
use crate::store::Batch;

impl Keeper {
    #[expect(clippy::too_many_arguments, reason = "one step of the line, with all that it stands on")]
    pub(super) fn spend_effects(
        &self,
        case: &Case,
        ask: &SpendAsk,
        request: &SignRequest,
        digest: &[u8; 32],
        (facts, pin): (&Facts, usize),
        verdict: &Verdict,
        learned: Learned,
    ) -> Result<Effects, Refusal> {
        let mut effects = Effects::default();
        let node = &case.node;
        let Some(books) = self.books.get(node) else {
            return Err(Refusal::Sealed(format!("node {node} is not open")));
        };
        let now = facts.now;
        effects.batch.put(keys::digest(node, &case.client, digest), self.chain.size.to_be_bytes().to_vec());

        // The peer's HTLC transactions may still gain inputs, so their id names nothing; all others are kept, so
        // that what spends them is proven later.
        let kept = !matches!(ask.spend, Spend::CounterpartyHtlc { .. });
        if costs(&ask.spend) && !facts.already_charged {
            let kind = Kind::of_spend(&ask.spend).as_str().as_bytes().to_vec();
            effects.batch.put(keys::charged(node, &ask.txid), kind);
        }
        if kept && !facts.already_charged {
            let bytes = serialize(request.transaction());
            if !request.has_certain_id() {
                let other = request.transaction().compute_txid();
                effects.batch.put(keys::transaction(node, &other), bytes.clone());
            }
            effects.batch.put(keys::transaction(node, &ask.txid), bytes);
        }

        // Amounts of the inputs we sign, and of those proven, so that no later request can lie about them. Charges are
        // pinned to one input: of all transactions that spend it only one can confirm.
        let charges = &verdict.charges;
        for (index, input) in ask.inputs.iter().enumerate().filter(|_| costs(&ask.spend)) {
            let unreadable = |e: crate::store::StoreError| Refusal::NotRecorded(e.to_string());
            let name = keys::amount(&input.outpoint);
            let before = self.store.get(&name).map_err(unreadable)?;
            let mut entry =
                before.as_deref().and_then(Entry::read).unwrap_or(Entry::new(input.amount, input.evidence));
            let signed = ask.signed.iter().any(|s| s.index == index);
            let new = before.is_none() && (signed || entry.is_proven());
            let proven = entry.prove(input.amount, input.evidence);
            if new || proven {
                effects.batch.put(name, entry.write());
            }
            if index == pin {
                let name = keys::pinned(node, &input.outpoint);
                let before = self.store.get(&name).map_err(unreadable)?;
                let mut pin = before.as_deref().and_then(Pin::read).unwrap_or_default();
                if pin.charge(now, self.policy.window().seconds(), charges) {
                    effects.batch.put(name, pin.write());
                }
            }
        }

        put_learned(&mut effects.batch, node, &learned);
        effects.learned = Some(learned);
        if let Some(flows) = books.flows.after(now, charges) {
            effects.batch.put(keys::flows(node), flows.write()?);
            effects.flows = Some(flows);
        }

        let fundings = charges.fundings.iter().filter_map(|vout| {
            let output = ask.outputs.get(usize::try_from(*vout).ok()?)?;
            Some((OutPoint { txid: ask.txid, vout: *vout }, output.amount))
        });
        let channel = channel_of(&ask.spend);
        let closes =
            matches!(ask.spend, Spend::MutualClose { .. } | Spend::HolderCommitment { number: 1.., .. });
        if !closes && !books.allowances.is_touched(charges, channel) {
            return Ok(effects);
        }
        let mut allowances = books.allowances.clone();
        if !request.has_certain_id() {
            let txid = request.transaction().compute_txid();
            for (outpoint, amount) in fundings.clone() {
                allowances.alias(OutPoint { txid, ..outpoint }, amount, now);
            }
        }
        if let Some(channel) = channel.filter(|_| closes) {
            allowances.close(*channel, now);
        }
        if allowances.charge(now, charges, fundings, channel, channel.map(|c| (*c, facts.channel_balance)))
            || closes
        {
            put_allowances(&mut effects.batch, node, &allowances)?;
            effects.allowances = Some(allowances);
        }
        Ok(effects)
    }
}

/// Whether the ledger is asked. Not for what is signed at every payment and costs nothing: a commitment spends a
/// channel's capacity, which its record holds, and an HTLC answer's record holds its amount.
pub(super) fn costs(spend: &Spend) -> bool {
    !matches!(spend, Spend::CounterpartyCommitment { .. } | Spend::CounterpartyHtlc { .. })
}

pub(super) fn channel_of(spend: &Spend) -> Option<&OutPoint> {
    match spend {
        Spend::CounterpartyCommitment { channel, .. }
        | Spend::HolderCommitment { channel, .. }
        | Spend::CounterpartyHtlc { channel, .. }
        | Spend::MutualClose { channel, .. } => Some(channel),
        Spend::Onchain
        | Spend::HolderHtlc { .. }
        | Spend::Sweep(_)
        | Spend::Justice
        | Spend::Unknown { .. } => None,
    }
}

pub(super) fn put_learned(batch: &mut Batch, node: &NodeName, learned: &Learned) {
    for (name, record) in learned.records() {
        match record {
            Some(record) => batch.put(keys::channel(node, &name), record),
            None => batch.remove(keys::channel(node, &name)),
        }
    }
    for commitment in learned.tombstones() {
        batch.put(keys::tombstone(node, &commitment), vec![1]);
    }
}

pub(super) fn put_taught(batch: &mut Batch, node: &NodeName, taught: &Taught) {
    for (name, record) in taught.records() {
        batch.put(keys::vls_record(node, &name), record);
    }
}

pub(super) fn put_allowances(
    batch: &mut Batch,
    node: &NodeName,
    allowances: &Allowances,
) -> Result<(), Refusal> {
    let value = serde_json::to_vec(allowances).map_err(|e| Refusal::Internal(format!("allowances: {e}")))?;
    batch.put(keys::allowances(node), value);
    Ok(())
}
