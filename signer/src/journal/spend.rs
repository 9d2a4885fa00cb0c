//! Decides signatures on transactions, and withholds those whose commitment is not explained yet.

use bitcoin::consensus::deserialize;
use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid};
use strongroom_lightning::vls::{Places, Taught};
use strongroom_lightning::{KnownTransactions, Learned, SignRequest, Terms};
use strongroom_policy::{
    Ask, Case, ClientName, Facts, Network, NodeName, Operation, Spend, SpendAsk, Verdict,
};

use super::approved::Approved;
use super::decide::{Effects, Waits, answer};
use super::effects::put_learned;
use super::job::{Asked, Reply};
use super::keys;
use super::thread::Keeper;
use super::withheld::Wants;
use crate::refusal::Refusal;
use crate::store::Store;

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

    fn is_tombstoned(&self, commitment: &Txid) -> bool {
        !matches!(self.store.get(&keys::tombstone(self.node, commitment)), Ok(None))
    }
}

/// A request as read, and the decision on it.
struct Read {
    case: Case,
    facts: Facts,
    /// Index of the input that charges are pinned to.
    pin: usize,
    verdict: Verdict,
    learned: Learned,
    /// For VLS.
    taught: Taught,
}

/// Rules that our own commitment breaks when it is taken for the peer's. What breaks others only is the peer's, and not
/// allowed.
const NOT_THE_PEERS: [&str; 4] =
    ["unknown-spend", "unexplained-output", "unexplained-outflow", "channel-frozen"];

impl Keeper {
    /// Signatures on a transaction.
    pub(super) fn spend(&mut self, asked: Asked<SignRequest>) {
        let until = self.now_ms() + self.withheld.patience_ms();
        self.spend_until(asked, until);
    }

    /// The same, withheld until then at the latest, Unix milliseconds, if requests to come may still explain it.
    fn spend_until(&mut self, asked: Asked<SignRequest>, until: u64) {
        let Asked { node, client, turn, request, reply } = asked;
        let digest = request.digest();
        match self.approved_before(&node, &client, &digest) {
            Err(refusal) => return answer(reply, Err(refusal)),
            Ok(Some(first)) => return self.repeat(&node, &client, digest, first, request, reply),
            Ok(None) => {}
        }
        let now = self.now();
        let Some(books) = self.books.get_mut(&node) else {
            return answer(reply, Err(Refusal::Sealed(format!("node {node} is not open"))));
        };
        books.channels.tell_time(now);
        let known = Signed { store: self.store.as_ref(), node: &node };
        let first = books.channels.classify(&request, &books.accounts, &known);
        let mut read = match self.read(node, client, &request, first) {
            Ok(read) => read,
            Err(refusal) => return answer(reply, Err(refusal)),
        };
        // What could explain it comes no more: not a refusal, lnd asks again after the restart.
        let wanted = wants(&read.verdict, &read.facts);
        if let Some(because) = self.withheld.closing().filter(|_| wanted.is_some()) {
            return answer(reply, Err(Refusal::Sealed(because.to_owned())));
        }
        if until > self.now_ms()
            && let Some(wants) = wanted
            && self.withheld.has_room(&read.case.node)
        {
            let Ask::Spend(SpendAsk { txid, .. }) = read.case.ask else { return };
            let asked = Asked { node: read.case.node, client: read.case.client, turn, request, reply };
            self.metrics.withheld.inc();
            return self.withheld.keep(asked, txid, wants, until);
        }
        // Where the asker is gone, lnd stopped before it had asked for all, and asks again for what is the peer's.
        if !reply.is_closed()
            && let Some(own) = self.read_as_own(&read, &request)
        {
            read = own;
        }
        let Read { case, facts, pin, verdict, learned, taught } = read;
        let Ask::Spend(ask) = &case.ask else { return };
        let mut effects = if verdict.allowed() {
            match self.spend_effects(&case, ask, &request, &digest, (&facts, pin), &verdict, learned) {
                Ok(effects) => effects.with(&case.node, taught),
                Err(refusal) => return answer(reply, Err(refusal)),
            }
        } else {
            Effects::default()
        };
        effects.retold = self.retold(&case.node, ask, &verdict);
        if !verdict.allowed() {
            self.note_behind(&case.node, ask, &mut effects);
        }
        let explains = match &ask.spend {
            Spend::CounterpartyHtlc { commitment, .. } if verdict.allowed() && effects.teaches() => {
                Some(*commitment)
            }
            _ => None,
        };
        let now = self.now();
        if let Some(channel) = super::effects::channel_of(&ask.spend).filter(|_| verdict.allowed())
            && let Some(books) = self.books.get_mut(&case.node)
        {
            books.active.insert(*channel, now);
        }
        self.settle(&case, digest, &verdict, effects, Waits::Flush, request, reply);
        if let Some(commitment) = explains
            && let Some((asked, until)) = self.withheld.explained(&case.node, &commitment)
        {
            self.spend_until(asked, until);
        }
    }

    /// Keeps what a refused request shows: that lnd went on with a channel without this signer. Once for each channel.
    fn note_behind(&self, node: &NodeName, ask: &SpendAsk, effects: &mut Effects) {
        let Some(books) = self.books.get(node) else { return };
        let noticed = books.channels.fell_behind(ask);
        if noticed.is_empty() {
            return;
        }
        let channel = super::effects::channel_of(&ask.spend).map_or_else(String::new, ToString::to_string);
        tracing::error!(
            %node, channel,
            "lnd went on with a channel without this signer, whose records are an older copy: the channel only closes"
        );
        put_learned(&mut effects.batch, node, &noticed);
        effects.learned = Some(noticed);
    }

    /// Decides on a request as it was read.
    fn read(
        &self,
        node: NodeName,
        client: ClientName,
        request: &SignRequest,
        (ask, learned): (SpendAsk, Learned),
    ) -> Result<Read, Refusal> {
        let Some(books) = self.books.get(&node) else {
            return Err(Refusal::Sealed(format!("node {node} is not open")));
        };
        let funded = super::effects::channel_of(&ask.spend)
            .map_or(Amount::ZERO, |channel| books.allowances.funded_by_us(channel));
        let terms = Terms {
            funded_by_us: funded > Amount::ZERO,
            now: self.now(),
            window: self.policy.window().seconds(),
            claim_seconds: self.policy.claim_seconds(),
        };
        let step = books.channels.step(&ask, &learned, terms);
        let places = Places {
            accounts: &books.accounts,
            allowed: self.policy.allowlist(),
            network: vls_network(self.policy.network()),
        };
        let judged = books.vls.judge(request, &ask, &books.channels, funded, places);
        let (mut facts, pin) = self.spend_facts(&node, &ask)?;
        let mut learned = learned;
        if let Some(step) = step {
            facts.update = Some(step.update);
            learned = learned.and(step.learned);
        }
        let case = Case { node, client, operation: Operation::SignPsbt, ask: Ask::Spend(ask) };
        let verdict = self.policy.decide(&case, &facts).and(self.policy.vls().split(judged.violations));
        Ok(Read { case, facts, pin, verdict, learned, taught: judged.taught })
    }

    /// The same request as our own commitment, if it is refused as the peer's, may be ours, and is allowed as that.
    fn read_as_own(&self, first: &Read, request: &SignRequest) -> Option<Read> {
        if !first.verdict.enforced.iter().any(|found| NOT_THE_PEERS.contains(&found.tag.as_str())) {
            return None;
        }
        let node = &first.case.node;
        let books = self.books.get(node)?;
        let known = Signed { store: self.store.as_ref(), node };
        let own = books.channels.classify_as_own(request, &books.accounts, &known)?;
        let read = self.read(node.clone(), first.case.client.clone(), request, own).ok()?;
        read.verdict.allowed().then_some(read)
    }

    /// Decides again what waits for a block: one may have come.
    pub(super) fn retry_after_block(&mut self) {
        for (asked, until) in self.withheld.waiting_for_block() {
            self.spend_until(asked, until);
        }
    }

    /// Lets go of all that is withheld, undecided.
    pub(super) fn let_go(&mut self, because: &str) {
        for asked in self.withheld.close(because.to_owned()) {
            answer(asked.reply, Err(Refusal::Sealed(because.to_owned())));
        }
    }

    /// Decides for good what was withheld long enough.
    pub(super) fn give_up_withheld(&mut self) {
        for asked in self.withheld.overdue(self.now_ms()) {
            self.spend_until(asked, 0);
        }
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
}

/// What may still change the verdict: requests that explain the commitment, or a block, where lnd has seen the one that
/// confirms a funding before we have. A commitment waits to be explained under a policy that only observes too, or its
/// journal would say that the honest are refused.
fn wants(verdict: &Verdict, facts: &Facts) -> Option<Wants> {
    if let Some(update) = facts.update.as_ref().filter(|update| update.awaited() > 0) {
        return Some(Wants::Htlcs(update.awaited()));
    }
    let unconfirmed = verdict.enforced.iter().all(|violation| violation.tag == UNCONFIRMED);
    (!verdict.allowed() && unconfirmed).then_some(Wants::Block)
}

/// VLS's tag for a commitment on a funding output that is not known to be confirmed and unspent.
const UNCONFIRMED: &str = "policy-commitment-spends-active-utxo";

/// The network in VLS's terms; it knows no simnet, whose rules are regtest's.
pub(super) fn vls_network(network: Network) -> bitcoin::Network {
    network.address_network().unwrap_or(bitcoin::Network::Regtest)
}

#[cfg(test)]
mod tests;
