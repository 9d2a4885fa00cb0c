//! Decides one request: facts from the books, a verdict from policy, the record in one batch.

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Amount, OutPoint, Transaction, TxOut};
use strongroom_audit as audit;
use strongroom_lightning::{KnownTransactions, Learned, SignRequest};
use strongroom_policy::{
    Ask, Case, ClientName, Facts, KeyLocator, KnownFunding, NodeName, Operation, Spend, SpendAsk, Verdict,
};

use super::approved::Approved;
use super::books::Allowances;
use super::job::{Asked, Reply};
use super::ledger::{Entry, Pin};
use super::record::{Decided, Durability};
use super::thread::Keeper;
use super::{keys, leaves};
use crate::keyring::{EcdhRequest, MessageRequest, Musig2Request};
use crate::refusal::Refusal;
use crate::store::{Batch, Store};

/// Transactions that we signed for one node, from the store.
struct Signed<'a> {
    store: &'a dyn Store,
    node: &'a NodeName,
}

impl KnownTransactions for Signed<'_> {
    fn output(&self, outpoint: &OutPoint) -> Option<TxOut> {
        let bytes = self.store.get(&keys::transaction(self.node, &outpoint.txid)).ok()??;
        let transaction: Transaction = deserialize(&bytes).ok()?;
        transaction.output.into_iter().nth(usize::try_from(outpoint.vout).ok()?)
    }
}

/// How the answer waits for its record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Until the record is durable: money.
    Flush,
    /// Until the record is written: gossip, invoices.
    Write,
    /// Counted in the next tally: onion secrets.
    Count,
}

impl Waits {
    fn durability(self) -> audit::Durability {
        match self {
            Waits::Flush => audit::Durability::Flushed,
            Waits::Write | Waits::Count => audit::Durability::Deferred,
        }
    }
}

/// What an approval changes beside the leaf.
#[derive(Default)]
struct Effects {
    batch: Batch,
    learned: Option<Learned>,
    allowances: Option<Allowances>,
}

impl Keeper {
    /// Signatures on a transaction.
    pub(super) fn spend(&mut self, asked: Asked<SignRequest>) {
        let Asked { node, client, request, reply } = asked;
        let digest = request.digest();
        match self.approved_before(&node, &client, &digest) {
            Err(refusal) => return answer(reply, Err(refusal)),
            Ok(Some(first)) => return self.repeat(&node, &client, digest, first, request, reply),
            Ok(None) => {}
        }
        let Some(books) = self.books.get(&node) else {
            return answer(reply, Err(Refusal::Sealed(format!("node {node} is not open"))));
        };
        let known = Signed { store: self.store.as_ref(), node: &node };
        let (ask, learned) = books.channels.classify(&request, &books.accounts, &known);
        let (facts, pin) = match self.spend_facts(&node, &ask) {
            Ok(found) => found,
            Err(refusal) => return answer(reply, Err(refusal)),
        };
        let case = Case { node, client, operation: Operation::SignPsbt, ask: Ask::Spend(ask) };
        let verdict = self.policy.decide(&case, &facts);
        let effects = if verdict.allowed() {
            let Ask::Spend(ask) = &case.ask else { return };
            match self.spend_effects(&case, ask, &request, &digest, (&facts, pin), &verdict, learned) {
                Ok(effects) => effects,
                Err(refusal) => return answer(reply, Err(refusal)),
            }
        } else {
            Effects::default()
        };
        self.settle(&case, digest, &verdict, effects, Waits::Flush, request, reply);
    }

    /// A signature on a message.
    pub(super) fn message(&mut self, asked: Asked<MessageRequest>) {
        let Asked { node, client, request, reply } = asked;
        let Some(ask) = request.ask() else {
            return answer(reply, Err(Refusal::Internal("the message was not recognised first".to_owned())));
        };
        let case = Case { node, client, operation: Operation::SignMessage, ask: Ask::Message(ask) };
        let facts = Facts { now: self.now(), ..Facts::default() };
        let verdict = self.policy.decide(&case, &facts);
        let digest = request.digest();
        self.settle(&case, digest, &verdict, Effects::default(), Waits::Write, request, reply);
    }

    /// A shared secret.
    pub(super) fn ecdh(&mut self, asked: Asked<EcdhRequest>) {
        let Asked { node, client, request, reply } = asked;
        let Some(books) = self.books.get(&node) else {
            return answer(reply, Err(Refusal::Sealed(format!("node {node} is not open"))));
        };
        let key = request.key();
        let (ask, learned) = books.channels.classify_ecdh(key, request.point(), &books.accounts);
        let with_own_multisig = ask.with_own_multisig;
        let root = (key.family == KeyLocator::REVOCATION_ROOT).then_some(key.index);
        let facts = Facts {
            now: self.now(),
            open_reservations: books.channels.open_reservations(),
            root_answered_for: root.and_then(|r| books.allowances.root_answered_for(r)),
            multisig_answered_by: with_own_multisig
                .and_then(|m| books.allowances.multisig_answered_by(m.index)),
            ..Facts::default()
        };
        let case = Case { node, client, operation: Operation::DeriveSharedKey, ask: Ask::Ecdh(ask) };
        let verdict = self.policy.decide(&case, &facts);
        let digest = request.digest();
        let mut effects = Effects::default();
        let mut waits = if key.family == KeyLocator::NODE { Waits::Count } else { Waits::Flush };
        if let (Some(root), Some(multisig), true) = (root, with_own_multisig, verdict.allowed())
            && let Some(books) = self.books.get(&case.node)
        {
            waits = Waits::Flush;
            put_learned(&mut effects.batch, &case.node, &learned);
            effects.learned = Some(learned);
            let mut allowances = books.allowances.clone();
            if allowances.answer_root(root, multisig.index)
                && let Err(refusal) = put_allowances(&mut effects.batch, &case.node, &allowances)
            {
                return answer(reply, Err(refusal));
            }
            effects.allowances = Some(allowances);
        }
        self.settle(&case, digest, &verdict, effects, waits, request, reply);
    }

    /// A MuSig2 step.
    pub(super) fn musig2(&mut self, asked: Asked<Musig2Request>) {
        let Asked { node, client, request, reply } = asked;
        let facts = Facts {
            now: self.now(),
            musig2_sessions: u32::try_from(request.open_sessions()).unwrap_or(u32::MAX),
            ..Facts::default()
        };
        let case = Case { node, client, operation: Operation::Musig2, ask: Ask::Musig2(request.ask()) };
        let verdict = self.policy.decide(&case, &facts);
        let digest = request.digest();
        self.settle(&case, digest, &verdict, Effects::default(), Waits::Flush, request, reply);
    }

    /// Index of the leaf that approved the same request before.
    fn approved_before(
        &self,
        node: &NodeName,
        client: &ClientName,
        digest: &[u8; 32],
    ) -> Result<Option<u64>, Refusal> {
        let value = self
            .store
            .get(&keys::digest(node, client, digest))
            .map_err(|e| Refusal::NotRecorded(e.to_string()))?;
        Ok(value.and_then(|v| v.try_into().ok()).map(u64::from_be_bytes))
    }

    /// The same request approved again: no allowance is spent twice, and the bytes come out the same.
    fn repeat(
        &mut self,
        node: &NodeName,
        client: &ClientName,
        digest: [u8; 32],
        first: u64,
        request: SignRequest,
        reply: Reply<SignRequest>,
    ) {
        // Recorded in the tally only: the first leaf says it all, and a flood of repeats must not flood the journal.
        self.tallies.count(node, client, "sign-psbt repeated", &digest, self.now_ms());
        if let Some(books) = self.books.get_mut(node) {
            books.approved += 1;
        }
        // The first record may still be on its way to the disk.
        self.release(reply, Approved::new(request, first), true);
    }

    /// The facts, and the index of the input that an approval's charges are pinned to: the one whose pinned charges
    /// the transaction replaces, or its first.
    fn spend_facts(&self, node: &NodeName, ask: &SpendAsk) -> Result<(Facts, usize), Refusal> {
        let unreadable = |e: crate::store::StoreError| Refusal::NotRecorded(e.to_string());
        let Some(books) = self.books.get(node) else {
            return Err(Refusal::Sealed(format!("node {node} is not open")));
        };
        let (now, window) = (self.now(), self.policy.window().seconds());
        let mut facts = Facts { now, ..Facts::default() };
        (facts.outflow_in_window, facts.fees_in_window) = books.allowances.in_window(now);
        let mut pin = ask.signed.first().map_or(0, |signed| signed.index);
        for (index, input) in ask.inputs.iter().enumerate().filter(|_| costs(&ask.spend)) {
            let entry = self.store.get(&keys::amount(&input.outpoint)).map_err(unreadable)?;
            if let Some(entry) = entry.as_deref().and_then(Entry::read)
                && entry.contradicts(input.amount, input.evidence)
            {
                facts.amount_conflicts.push((input.outpoint, entry.amount, input.amount));
            }
            let pin_of = self.store.get(&keys::pinned(node, &input.outpoint)).map_err(unreadable)?;
            let Some(pin_of) = pin_of.as_deref().and_then(Pin::read) else { continue };
            let (outflow, fee) = pin_of.in_window(now, window);
            if (outflow, fee) > (facts.replaced_outflow, facts.replaced_fee) {
                (facts.replaced_outflow, facts.replaced_fee, pin) = (outflow, fee, index);
            }
        }
        // A later request for the same transaction may show a truer, higher fee than the first; then it is charged
        // for the difference.
        // It was charged as what it is: a txid commits neither to amounts nor to scripts spent, so the same id may have
        // been asked for before as something that costs nothing.
        let charged_as = self.store.get(&keys::charged(node, &ask.txid)).map_err(unreadable)?;
        facts.already_charged = charged_as
            .is_some_and(|kind| kind == leaves::spend_kind(&ask.spend).as_bytes())
            && ask.fee().is_some_and(|fee| fee <= facts.replaced_fee);
        let closing = books.allowances.closed_lately(now, window);
        facts.channels_total = closing
            .filter_map(|channel| books.channels.closing_capacity(channel))
            .fold(books.channels.open_capacity(), |sum, capacity| {
                sum.checked_add(capacity).unwrap_or(Amount::MAX_MONEY)
            });
        let channel = channel_of(&ask.spend);
        if let Some(channel) = channel {
            facts.channel_known = books.channels.is_known(channel);
            facts.channel_capacity = books
                .channels
                .capacity(channel)
                .or_else(|| ask.inputs.iter().find(|i| i.outpoint == *channel).map(|i| i.amount));
            facts.funded_by_us = books.allowances.funded_by_us(channel);
        }
        for (index, output) in (0u32..).zip(&ask.outputs) {
            let outpoint = OutPoint { txid: ask.txid, vout: index };
            if let Some(capacity) = books.channels.capacity(&outpoint) {
                let kept = books.channels.first_to_remote(&outpoint).unwrap_or(Amount::ZERO);
                let pushed = capacity.checked_sub(kept).unwrap_or(Amount::ZERO).min(output.amount);
                facts.known_fundings.push(KnownFunding { output: index, capacity, pushed });
            }
        }
        facts.force_closes_in_window = books.allowances.force_closes(channel, now, window);
        (facts.unmatched_funding, facts.unmatched_funding_count) = books.allowances.unmatched(now, window);
        facts.open_reservations = books.channels.open_reservations();
        Ok((facts, pin))
    }

    #[expect(clippy::too_many_arguments, reason = "one step of the line, with all that it stands on")]
    fn spend_effects(
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
            let kind = leaves::spend_kind(&ask.spend).as_bytes().to_vec();
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
                if pin.charge(now, self.policy.window().seconds(), facts, charges) {
                    effects.batch.put(name, pin.write());
                }
            }
        }

        put_learned(&mut effects.batch, node, &learned);
        effects.learned = Some(learned);

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
        if allowances.charge(now, charges, fundings, channel, channel.copied()) || closes {
            put_allowances(&mut effects.batch, node, &allowances)?;
            effects.allowances = Some(allowances);
        }
        Ok(effects)
    }

    /// Records the decision and releases the answer.
    #[expect(clippy::too_many_arguments, reason = "one step of the line, with all that it stands on")]
    fn settle<T: Send + 'static>(
        &mut self,
        case: &Case,
        digest: [u8; 32],
        verdict: &Verdict,
        effects: Effects,
        waits: Waits,
        request: T,
        reply: Reply<T>,
    ) {
        let Effects { batch, learned, allowances } = effects;
        let allowed = verdict.allowed();
        self.count(case, verdict);
        if waits == Waits::Count && allowed && verdict.observed.is_empty() {
            if let Some(fault) = self.cannot_count() {
                return answer(reply, Err(Refusal::NotRecorded(fault)));
            }
            let class = format!("{} {}", leaves::operation(case.operation), leaves::kind(&case.ask));
            self.tallies.count(&case.node, &case.client, &class, &digest, self.now_ms());
            let approved = Approved::new(request, self.chain.size);
            return answer(reply, Ok(Decided { approved, record: Durability::written() }));
        }
        if !allowed {
            let class = format!("{} {}", leaves::operation(case.operation), leaves::kind(&case.ask));
            let now = self.now_ms();
            if !self.tallies.lists_refusal(&case.node, &case.client, &class, &digest, now) {
                return answer(reply, Err(Refusal::Denied(verdict.enforced.clone())));
            }
            let because: String =
                Refusal::Denied(verdict.enforced.clone()).to_string().chars().take(1_000).collect();
            tracing::warn!(node = %case.node, client = %case.client, kind = leaves::kind(&case.ask), because, "refused");
        }
        let decision = leaves::decision(case, digest, verdict, self.policy_digest, waits.durability());
        let leaf = match self.record(audit::Event::Decision(decision), batch) {
            Ok(leaf) => leaf,
            Err(refusal) => return answer(reply, Err(refusal)),
        };
        crate::fault::point("recorded");
        if let Some(books) = self.books.get_mut(&case.node) {
            if let Some(learned) = learned {
                books.channels.learn(learned);
            }
            if let Some(allowances) = allowances {
                books.allowances = allowances;
            }
        }
        if allowed {
            self.release(reply, Approved::new(request, leaf), waits == Waits::Flush);
        } else {
            answer(reply, Err(Refusal::Denied(verdict.enforced.clone())));
        }
    }

    /// Hands the approval out; its signature waits for the flush if it must.
    fn release<T>(&mut self, reply: Reply<T>, approved: Approved<T>, flushed: bool) {
        let record = if flushed {
            let (record, wake) = Durability::flush();
            self.waiting.push(wake);
            record
        } else {
            Durability::written()
        };
        answer(reply, Ok(Decided { approved, record }));
    }

    fn count(&mut self, case: &Case, verdict: &Verdict) {
        let word = if verdict.allowed() { "approved" } else { "refused" };
        let labels = [case.node.as_str(), leaves::operation(case.operation), leaves::kind(&case.ask), word];
        self.metrics.decisions.with_label_values(&labels).inc();
        for (mode, found) in [("enforce", &verdict.enforced), ("observe", &verdict.observed)] {
            for violation in found {
                self.metrics.violations.with_label_values(&[violation.tag.as_str(), mode]).inc();
            }
        }
        let now = self.now();
        if let Some(books) = self.books.get_mut(&case.node) {
            books.last_request = now;
            if verdict.allowed() {
                books.approved += 1;
            } else {
                books.refused += 1;
            }
        }
    }
}

fn answer<T>(reply: Reply<T>, outcome: Result<Decided<T>, Refusal>) {
    // The asker may have given up; what was recorded stands, and the same request asked again is approved again.
    let _ = reply.send(outcome);
}

/// Whether the ledger is asked. Not for what is signed at every payment and costs nothing: a commitment spends a
/// channel's capacity, which its record holds, and an HTLC answer's record holds its amount.
fn costs(spend: &Spend) -> bool {
    !matches!(spend, Spend::CounterpartyCommitment { .. } | Spend::CounterpartyHtlc { .. })
}

fn channel_of(spend: &Spend) -> Option<&OutPoint> {
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

fn put_learned(batch: &mut Batch, node: &NodeName, learned: &Learned) {
    for (name, record) in learned.records() {
        match record {
            Some(record) => batch.put(keys::channel(node, &name), record),
            None => batch.remove(keys::channel(node, &name)),
        }
    }
}

fn put_allowances(batch: &mut Batch, node: &NodeName, allowances: &Allowances) -> Result<(), Refusal> {
    let value = serde_json::to_vec(allowances).map_err(|e| Refusal::Internal(format!("allowances: {e}")))?;
    batch.put(keys::allowances(node), value);
    Ok(())
}
