//! What the books and the ledger say of a transaction.

use bitcoin::{Amount, OutPoint};
use strongroom_policy::{ChainFact, Facts, KnownFunding, NodeName, SpendAsk};

use super::effects::{channel_of, costs};
use super::ledger::{Entry, Pin};
use super::thread::Keeper;
use super::{keys, leaves};
use crate::chain;
use crate::refusal::Refusal;

impl Keeper {
    /// The facts, and the index of the input that an approval's charges are pinned to: the one whose pinned charges
    /// the transaction replaces, or its first.
    pub(super) fn spend_facts(&self, node: &NodeName, ask: &SpendAsk) -> Result<(Facts, usize), Refusal> {
        let unreadable = |e: crate::store::StoreError| Refusal::NotRecorded(e.to_string());
        let Some(books) = self.books.get(node) else {
            return Err(Refusal::Sealed(format!("node {node} is not open")));
        };
        let (now, window) = (self.now(), self.policy.window().seconds());
        let mut facts = Facts { now, chain: self.chain_fact(), ..Facts::default() };
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
        if costs(&ask.spend) {
            let charged_as = self.store.get(&keys::charged(node, &ask.txid)).map_err(unreadable)?;
            facts.already_charged = charged_as
                .is_some_and(|kind| kind == leaves::spend_kind(&ask.spend).as_bytes())
                && ask.fee().is_some_and(|fee| fee <= facts.replaced_fee);
        }
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
