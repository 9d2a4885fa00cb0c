//! Decides one request: facts from the books, a verdict from policy, the record in one batch.

use strongroom_audit as audit;
use strongroom_lightning::Learned;
use strongroom_lightning::vls::Taught;
use strongroom_policy::{Ask, Case, Facts, KeyLocator, Kind, MessageKind, NodeName, Operation, Verdict};

use super::approved::Approved;
use super::books::Allowances;
use super::effects::{channel_of, put_allowances, put_learned, put_taught};
use super::flows::Flows;
use super::job::{Asked, Reply};
use super::record::{Decided, Durability};
use super::refused::Retold;
use super::thread::Keeper;
use super::{checks, leaves};
use crate::keyring::{EcdhRequest, MessageRequest, Musig2Request};
use crate::refusal::Refusal;
use crate::store::Batch;

/// How the answer waits for its record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
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

/// What a decision changes beside the leaf; a refusal only what is told of it, and that a channel is behind.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) batch: Batch,
    pub(super) learned: Option<Learned>,
    pub(super) allowances: Option<Allowances>,
    pub(super) flows: Option<Flows>,
    /// Of claims that were refused.
    pub(super) retold: Retold,
    /// For VLS.
    pub(super) taught: Taught,
}

impl Effects {
    /// With what VLS is taught.
    pub(super) fn with(mut self, node: &NodeName, taught: Taught) -> Self {
        put_taught(&mut self.batch, node, &taught);
        self.taught = taught;
        self
    }

    /// Whether the channels learn anything.
    pub(super) fn teaches(&self) -> bool {
        self.learned.as_ref().is_some_and(|learned| !learned.is_empty())
    }
}

impl Keeper {
    /// A signature on a message.
    pub(super) fn message(&mut self, asked: Asked<MessageRequest>) {
        let Asked { node, client, request, reply, turn: _turn } = asked;
        let Some(ask) = request.ask() else {
            return answer(reply, Err(Refusal::Internal("the message was not recognised first".to_owned())));
        };
        let announces = ask.key.family == KeyLocator::MULTISIG
            && matches!(ask.kind, MessageKind::ChannelAnnouncement { .. });
        let mut facts = Facts { now: self.now(), tier: checks::TIER, ..Facts::default() };
        let mut learned = None;
        if announces {
            match self.announced(&node, &request) {
                Err(refusal) => return answer(reply, Err(refusal)),
                Ok(Err(why)) => facts.announced = Some(Err(why)),
                Ok(Ok((announced, names))) => {
                    facts.announced = Some(Ok(announced));
                    learned = Some(names).filter(|names| !names.is_empty());
                }
            }
        }
        let case = Case { node, client, operation: Operation::SignMessage, ask: Ask::Message(ask) };
        let verdict = self.policy.decide(&case, &facts);
        let digest = request.digest();
        let (mut effects, mut waits) = (Effects::default(), Waits::Write);
        // Who the peer is counts from now on, so it is durable before the announcement leaves.
        if let Some(names) = learned.filter(|_| verdict.allowed()) {
            put_learned(&mut effects.batch, &case.node, &names);
            effects.learned = Some(names);
            waits = Waits::Flush;
        }
        self.settle(&case, digest, &verdict, effects, waits, request, reply);
    }

    /// A shared secret.
    pub(super) fn ecdh(&mut self, asked: Asked<EcdhRequest>) {
        let Asked { node, client, request, reply, turn: _turn } = asked;
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
        let Asked { node, client, request, reply, turn: _turn } = asked;
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

    /// Records the decision and releases the answer.
    #[expect(clippy::too_many_arguments, reason = "one step of the line, with all that it stands on")]
    pub(super) fn settle<T: Send + 'static>(
        &mut self,
        case: &Case,
        digest: [u8; 32],
        verdict: &Verdict,
        effects: Effects,
        waits: Waits,
        request: T,
        reply: Reply<T>,
    ) {
        let Effects { mut batch, learned, allowances, flows, retold, taught } = effects;
        if let Err(refusal) = retold.put(&mut batch, &case.node) {
            return answer(reply, Err(refusal));
        }
        let allowed = verdict.allowed();
        self.count(case, verdict);
        if waits == Waits::Count && allowed && verdict.observed.is_empty() {
            if let Some(fault) = self.cannot_count() {
                return answer(reply, Err(Refusal::NotRecorded(fault)));
            }
            let class = Kind::of(&case.ask).class();
            self.tallies.count(&case.node, &case.client, &class, &digest, self.now_ms());
            let approved = Approved::new(request, self.chain.size);
            return answer(reply, Ok(Decided { approved, record: Durability::written() }));
        }
        if !allowed {
            let class = Kind::of(&case.ask).class();
            let now = self.now_ms();
            // What is learned from a refusal has its leaf: it is learned once.
            let listed = learned.is_some()
                || self.tallies.lists_refusal(&case.node, &case.client, &class, &digest, now);
            if !listed {
                self.tell_unlisted(&case.node, retold, batch);
                return answer(reply, Err(Refusal::Denied(verdict.enforced.clone())));
            }
            self.tell_retold(&case.node, &retold);
            let because: String =
                Refusal::Denied(verdict.enforced.clone()).to_string().chars().take(1_000).collect();
            tracing::warn!(node = %case.node, client = %case.client, kind = leaves::kind(&case.ask), because, "refused");
        }
        let decision = leaves::decision(
            case,
            digest,
            verdict,
            self.policy_digest,
            waits.durability(),
            (checks::TIER, self.checks),
        );
        let batch = if waits == Waits::Flush && allowed { batch.awaiting_sync() } else { batch };
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
            if let Some(flows) = flows {
                books.flows = flows;
            }
            books.refused_claims.take(retold);
            books.vls.learn(taught);
        }
        if let Ask::Spend(ask) = &case.ask
            && let Some(channel) = channel_of(&ask.spend).filter(|_| allowed)
        {
            self.watch_channel(&case.node, channel, true);
        }
        if allowed {
            self.release(reply, Approved::new(request, leaf), waits == Waits::Flush);
        } else {
            answer(reply, Err(Refusal::Denied(verdict.enforced.clone())));
        }
    }

    /// Hands the approval out; its signature waits for the flush if it must.
    pub(super) fn release<T>(&mut self, reply: Reply<T>, approved: Approved<T>, flushed: bool) {
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
        let labels = [case.node.as_str(), case.operation.as_str(), leaves::kind(&case.ask), word];
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

pub(super) fn answer<T>(reply: Reply<T>, outcome: Result<Decided<T>, Refusal>) {
    // The asker may have given up; what was recorded stands, and the same request asked again is approved again.
    let _ = reply.send(outcome);
}
