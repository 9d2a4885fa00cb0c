//! What the books and the ledger say of a transaction.

use std::collections::BTreeMap;

use bitcoin::{Amount, OutPoint};
use strongroom_lightning::{Learned, preflight};
use strongroom_policy::{
    Announced, ChainFact, Facts, Kind, KnownFunding, NodeId, NodeName, Opening, Spend, SpendAsk, Violation,
};

use super::books::Books;
use super::effects::{channel_of, costs};
use super::ledger::{Entry, Pin, sum};
use super::thread::Keeper;
use super::{checks, keys};
use crate::chain;
use crate::keyring::MessageRequest;
use crate::refusal::Refusal;

impl Keeper {
    /// The facts, and the index of the input that an approval's charges are pinned to: the first that is signed.
    pub(super) fn spend_facts(&self, node: &NodeName, ask: &SpendAsk) -> Result<(Facts, usize), Refusal> {
        let unreadable = |e: crate::store::StoreError| Refusal::NotRecorded(e.to_string());
        let Some(books) = self.books.get(node) else {
            return Err(Refusal::Sealed(format!("node {node} is not open")));
        };
        let (now, window) = (self.now(), self.policy.window().seconds());
        let mut facts = Facts { now, chain: self.chain_fact(), tier: checks::TIER, ..Facts::default() };
        [facts.outflow_in_window, facts.fees_in_window, facts.closing_fees_in_window] =
            books.allowances.in_window(now);
        let pin = ask.signed.first().map_or(0, |signed| signed.index);
        for input in ask.inputs.iter().filter(|_| costs(&ask.spend)) {
            let entry = self.store.get(&keys::amount(&input.outpoint)).map_err(unreadable)?;
            if let Some(entry) = entry.as_deref().and_then(Entry::read)
                && entry.contradicts(input.amount, input.evidence)
            {
                facts.amount_conflicts.push((input.outpoint, entry.amount, input.amount));
            }
            let pin_of = self.store.get(&keys::pinned(node, &input.outpoint)).map_err(unreadable)?;
            let Some(pin_of) = pin_of.as_deref().and_then(Pin::read) else { continue };
            let [outflow, fee, closing_fee] = pin_of.in_window(now, window);
            facts.replaced_outflow = sum(facts.replaced_outflow, outflow);
            facts.replaced_fee = sum(facts.replaced_fee, fee);
            facts.replaced_closing_fee = sum(facts.replaced_closing_fee, closing_fee);
        }
        // A later request for the same transaction may show a truer, higher fee than the first; then it is charged
        // for the difference.
        // It was charged as what it is: a txid commits neither to amounts nor to scripts spent, so the same id may have
        // been asked for before as something that costs nothing.
        if costs(&ask.spend) {
            let charged_as = self.store.get(&keys::charged(node, &ask.txid)).map_err(unreadable)?;
            facts.already_charged = charged_as
                .is_some_and(|kind| kind == Kind::of_spend(&ask.spend).as_str().as_bytes())
                && self
                    .policy
                    .own_fee(ask)
                    .is_some_and(|fee| fee <= facts.replaced_fee || fee <= facts.replaced_closing_fee);
        }
        facts.channels_total = books.channels_total(now, window);
        let channel = channel_of(&ask.spend);
        // Looked up only where it may be asked for: it goes over all channels.
        if channel
            .map_or(ask.spend == Spend::Onchain, |channel| books.channels.first_to_remote(channel).is_none())
        {
            facts.unnamed_total =
                books.channels.capacity_with(None, books.allowances.closed_lately(now, window));
        }
        if let Some(channel) = channel {
            facts.peer = books.channels.peer(channel);
            // An own commitment opens nothing, so the peer's first after it is held to the limits of an opening.
            facts.channel_known = match ask.spend {
                Spend::CounterpartyCommitment { .. } => books.channels.first_to_remote(channel).is_some(),
                _ => books.channels.is_known(channel),
            };
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
        (facts.force_closes_in_window, facts.force_close_value_in_window) =
            books.allowances.force_closes(channel, now, window);
        facts.channel_balance =
            channel.and_then(|channel| books.channels.balance(channel)).unwrap_or(Amount::ZERO);
        (facts.unexplained_in_window, facts.unauthorized_in_window) = books.flows.in_window(now);
        facts.provisional_total = books.channels.provisional(now, window);
        (facts.unmatched_funding, facts.unmatched_funding_count) = books.allowances.unmatched(now, window);
        facts.open_reservations = books.channels.open_reservations();
        Ok((facts, pin))
    }

    /// What a channel_announcement says, with what it teaches; `Err` within says why it fits no channel known.
    pub(super) fn announced(
        &self,
        node: &NodeName,
        request: &MessageRequest,
    ) -> Result<Result<(Announced, Learned), String>, Refusal> {
        let Some(books) = self.books.get(node) else {
            return Err(Refusal::Sealed(format!("node {node} is not open")));
        };
        let found = books.channels.announced(request.key(), request.message(), &books.accounts);
        Ok(found.map(|(channel, peer)| {
            let announced = Announced {
                peer,
                named: books.channels.peer(&channel),
                capacity: books.channels.capacity(&channel).unwrap_or(Amount::ZERO),
                peer_total: self.capacity_with(books, peer),
            };
            (announced, books.channels.names(channel, peer))
        }))
    }

    /// Capacity of the channels announced with a peer.
    fn capacity_with(&self, books: &Books, peer: NodeId) -> Amount {
        let closing = books.allowances.closed_lately(self.now(), self.policy.window().seconds());
        books.channels.capacity_with(Some(peer), closing)
    }

    /// What stands against opening these channels with these peers now, one after another.
    pub(super) fn may_open(
        &self,
        node: &NodeName,
        books: &Books,
        opening: &preflight::Opening,
    ) -> Vec<Violation> {
        let (now, window) = (self.now(), self.policy.window().seconds());
        let closing = || books.allowances.closed_lately(now, window);
        let (unmatched_funding, unmatched_funding_count) = books.allowances.unmatched(now, window);
        let facts = Facts {
            now,
            chain: self.chain_fact(),
            tier: checks::TIER,
            channels_total: books.channels_total(now, window),
            unnamed_total: books.channels.capacity_with(None, closing()),
            unmatched_funding,
            unmatched_funding_count,
            ..Facts::default()
        };
        let (mut found, mut more) = (Vec::new(), BTreeMap::<NodeId, Amount>::new());
        for channel in &opening.channels {
            let (Some(peer), Some(capacity)) = (channel.peer, channel.capacity) else { continue };
            let more = more.entry(peer).or_default();
            let peer_total = self.capacity_with(books, peer).checked_add(*more).unwrap_or(Amount::MAX_MONEY);
            *more = more.checked_add(capacity).unwrap_or(Amount::MAX_MONEY);
            let we_fund = !opening.funded_elsewhere;
            let opening = Opening { node: node.clone(), peer, capacity, we_fund, peer_total };
            found.extend(self.policy.may_open(&opening, &facts).0);
        }
        found
    }

    /// Whether the chain as our bitcoind has it is up to date by the policy's limits.
    fn chain_fact(&self) -> ChainFact {
        let Some(view) = self.onchain.view() else { return ChainFact::Unknown };
        let chain = self.policy.chain();
        let limits = chain::Limits {
            agreed_ms: chain.max_silence_seconds.saturating_mul(1_000),
            tip_seconds: chain.max_tip_age_seconds,
        };
        match view.is_current(self.now_ms(), &limits) {
            Ok(()) => ChainFact::Current,
            Err(because) => ChainFact::NotCurrent(because.to_string()),
        }
    }
}
