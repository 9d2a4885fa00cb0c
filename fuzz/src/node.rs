//! A node as the daemon keeps it, without journal and keys: what is asked of it is understood, stepped, judged and
//! decided.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use bitcoin::constants::genesis_block;
use bitcoin::{Amount, Network, OutPoint, TxOut, Txid};
use secp256k1::PublicKey;
use strongroom_lightning::vls::Places;
use strongroom_lightning::{Channels, KnownTransactions, Learned, Limits, SignRequest, Terms, Vls};
use strongroom_policy::case::Spend;
use strongroom_policy::{
    Ask, Case, Facts, KeyLocator, KeyPath, NodeName, Operation, Policy, Profile, SpendAsk, Verdict,
};

use crate::day::{self, ACCOUNTS, Call};

/// The policy that is shipped.
pub static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    Policy::from_toml(&Profile::Cautious.render(strongroom_policy::Network::Regtest)).expect("the profile")
});

/// The node's id.
pub static ID: LazyLock<PublicKey> = LazyLock::new(|| {
    ACCOUNTS
        .public_key(&KeyPath::Lightning(KeyLocator { family: KeyLocator::NODE, index: 0 }))
        .expect("{6/0}")
});

/// Transactions signed.
#[derive(Default)]
struct Signed(HashMap<Txid, Vec<TxOut>>);

impl KnownTransactions for Signed {
    fn output(&self, outpoint: &OutPoint) -> Option<TxOut> {
        self.0.get(&outpoint.txid)?.get(outpoint.vout as usize).cloned()
    }

    /// No life is long enough to fold any.
    fn is_tombstoned(&self, _: &Txid) -> bool {
        false
    }
}

/// One node with the recorded day's keys.
pub struct Node {
    channels: Channels,
    vls: Vls,
    signed: Signed,
    stored: BTreeMap<Vec<u8>, Vec<u8>>,
    stored_vls: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What became of a request.
pub struct Outcome {
    /// As it was understood.
    pub ask: SpendAsk,
    /// By the policy that is shipped.
    pub verdict: Verdict,
    /// What it teaches the channels, the books' step included.
    learned: Learned,
    taught: strongroom_lightning::vls::Taught,
}

/// Unix seconds of every request.
const NOW: u64 = 1_700_000_000;

impl Default for Node {
    /// One of which nothing is known but where the chain is.
    fn default() -> Self {
        let mut vls = Vls::new(POLICY.vls().clone(), Network::Regtest, *ID);
        let _ = vls.connect(&genesis_block(Network::Regtest), 1_000).expect("a first block");
        Self {
            channels: Channels::default(),
            vls,
            signed: Signed::default(),
            stored: BTreeMap::new(),
            stored_vls: BTreeMap::new(),
        }
    }
}

impl Node {
    /// One that knows these channels.
    pub fn of(channels: Channels) -> Self {
        Self { channels, ..Self::default() }
    }

    /// One that has lived through the recorded day. A panic inside VLS is caught there, here as in the daemon.
    pub fn after_the_day() -> Self {
        let mut node = Self::default();
        for call in day::calls() {
            match call {
                Call::SignPsbt(psbt) => {
                    let request = parse(&psbt).expect("lnd's request is understood");
                    let outcome = node.asked(&request);
                    node.learn(&request, outcome);
                }
                Call::DeriveSharedKey(asked) => {
                    let locator = asked.key_loc.unwrap_or_default();
                    node.shared_key(
                        locator.key_family as u32,
                        locator.key_index as u32,
                        &asked.ephemeral_pubkey,
                    );
                }
                Call::SignMessage(_) | Call::CreateSession(_) => {}
            }
        }
        node
    }

    /// Everything between the request and its record.
    pub fn asked(&self, request: &SignRequest) -> Outcome {
        let (ask, mut learned) = self.channels.classify(request, &ACCOUNTS, &self.signed);
        let channel = match &ask.spend {
            Spend::CounterpartyCommitment { channel, .. }
            | Spend::HolderCommitment { channel, .. }
            | Spend::CounterpartyHtlc { channel, .. }
            | Spend::MutualClose { channel, .. } => Some(channel),
            _ => None,
        };
        let funded_by_us = channel
            .and_then(|channel| self.signed.output(channel))
            .map_or(Amount::ZERO, |output| output.value);
        let window = POLICY.window().seconds();
        let terms = Terms {
            funded_by_us: funded_by_us > Amount::ZERO,
            now: NOW,
            window,
            claim_seconds: POLICY.claim_seconds(),
        };
        let step = self.channels.step(&ask, &learned, terms);
        let places = Places { accounts: &ACCOUNTS, allowed: POLICY.allowlist(), network: Network::Regtest };
        let judged = self.vls.judge(request, &ask, &self.channels, funded_by_us, places);
        let (unmatched_funding, unmatched_funding_count) = self.channels.unmatched_funding();
        let mut facts = Facts {
            now: NOW,
            channels_total: self.channels.open_capacity(),
            channel_capacity: channel.and_then(|channel| self.channels.capacity(channel)),
            channel_known: channel.is_some_and(|channel| self.channels.is_known(channel)),
            funded_by_us,
            unmatched_funding,
            unmatched_funding_count,
            open_reservations: self.channels.open_reservations(),
            provisional_total: self.channels.provisional(NOW, window),
            channel_balance: channel.and_then(|c| self.channels.balance(c)).unwrap_or(Amount::ZERO),
            ..Facts::default()
        };
        if let Some(step) = step {
            facts.update = Some(step.update);
            learned = learned.and(step.learned);
        }
        let case = Case {
            node: "alice".parse::<NodeName>().expect("a name"),
            client: Profile::CLIENT.parse().expect("a name"),
            operation: Operation::SignPsbt,
            ask: Ask::Spend(ask),
        };
        let verdict = POLICY.decide(&case, &facts).and(POLICY.vls().split(judged.violations));
        let Ask::Spend(ask) = case.ask else { unreachable!("a spend was asked for") };
        Outcome { ask, verdict, learned, taught: judged.taught }
    }

    /// Takes in what a request taught, whatever the verdict: under a policy that only observes all is approved.
    pub fn learn(&mut self, request: &SignRequest, outcome: Outcome) {
        self.signed.0.insert(outcome.ask.txid, request.transaction().output.clone());
        self.keep(outcome.learned);
        self.stored_vls.extend(outcome.taught.records());
        self.vls.learn(outcome.taught);
    }

    fn keep(&mut self, learned: Learned) {
        for (key, value) in learned.records() {
            match value {
                Some(value) => self.stored.insert(key, value),
                None => self.stored.remove(&key),
            };
        }
        self.channels.learn(learned);
    }

    /// A shared secret of our key with a point, if that is one.
    pub fn shared_key(&mut self, family: u32, index: u32, point: &[u8]) {
        let Ok(point) = PublicKey::from_slice(point) else { return };
        let (_, learned) = self.channels.classify_ecdh(KeyLocator { family, index }, &point, &ACCOUNTS);
        self.keep(learned);
    }

    /// What was stored of the channels and for VLS, by key.
    pub fn records(&self) -> [&BTreeMap<Vec<u8>, Vec<u8>>; 2] {
        [&self.stored, &self.stored_vls]
    }

    /// A restart changes nothing, and every figure that is shown can be.
    pub fn is_whole(&self) {
        let stored = Channels::load(self.stored.clone()).expect("what was stored is read again");
        assert!(stored == self.channels, "the channels after a restart are others than before");
        let vls = Vls::load(POLICY.vls().clone(), Network::Regtest, *ID, self.stored_vls.clone());
        assert!(vls.is_ok(), "what VLS knows is not read again");
        show(&self.channels);
    }
}

/// Everything that is shown of channels.
pub fn show(channels: &Channels) {
    let window = POLICY.window().seconds();
    for view in channels.views(NOW, window, POLICY.claim_seconds()) {
        let _ = view.exposure();
    }
    let _ = (channels.exposure(), channels.deadlines(), channels.open_count(), channels.unmatched_funding());
}

/// A request as the daemon reads it.
pub fn parse(psbt: &[u8]) -> Result<SignRequest, strongroom_lightning::Malformed> {
    SignRequest::parse(psbt, &ACCOUNTS, &Limits::default())
}
