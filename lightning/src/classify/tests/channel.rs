//! A node with a channel: its requests, decided always yes.

use std::collections::{HashMap, HashSet};

use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use strongroom_policy::case::{Destination, Spend};
use strongroom_policy::{KeyPath, SpendAsk};

use crate::accounts::Accounts;
use crate::books::{Authorization, Terms};
use crate::channels::{Channels, CloseAllowance, Learned};
use crate::classify::KnownTransactions;
use crate::fixture::*;
use crate::script::{anchor_script, funding_script, to_remote_script};

pub const OBFUSCATOR: u64 = 0x2a5b_7766_1234;
pub const CAPACITY: u64 = 1_000_000;
pub const PEER: [u8; 33] = [2; 33];

#[derive(Default)]
pub struct Signed(HashMap<Txid, Vec<TxOut>>, HashSet<Txid>);

impl KnownTransactions for Signed {
    fn output(&self, outpoint: &OutPoint) -> Option<TxOut> {
        self.0.get(&outpoint.txid)?.get(outpoint.vout as usize).cloned()
    }

    fn is_tombstoned(&self, commitment: &Txid) -> bool {
        self.1.contains(commitment)
    }
}

/// A node, and what it has shown.
pub struct Node {
    pub seed: Seed,
    pub accounts: Accounts,
    pub channels: Channels,
    pub signed: Signed,
    /// The channel that requests are about, 0 or 1: its keys have this index.
    pub at: u32,
    records: HashMap<Vec<u8>, Vec<u8>>,
}

impl Node {
    pub fn new() -> Self {
        let seed = Seed::new(1);
        let accounts = seed.accounts();
        let (channels, signed, records) = Default::default();
        Self { seed, accounts, channels, signed, at: 0, records }
    }

    /// A node whose channel 0 has both commitments 0, theirs paying us `ours`.
    pub fn with_channel(ours: u64) -> Self {
        let mut node = Self::new();
        node.reserve(0);
        let theirs = node.commitment(0, ours, &[]);
        node.approve(&theirs);
        let own = node.own_commitment(0, ours, &[]);
        node.approve(&own);
        node
    }

    /// The same with a second channel alike; requests are about the first.
    pub fn with_two_channels(ours: u64) -> Self {
        let mut node = Self::with_channel(ours);
        node.at = 1;
        node.reserve(1);
        let theirs = node.commitment(0, ours, &[]);
        node.approve(&theirs);
        let own = node.own_commitment(0, ours, &[]);
        node.approve(&own);
        node.at = 0;
        node
    }

    pub fn authorize(&mut self, authorization: Authorization, now: u64) {
        let learned = self.channels.authorize(authorization, now).expect("an authorisation");
        self.learn(learned);
    }

    pub fn allow_close(&mut self, channel: OutPoint, word: CloseAllowance, now: u64) {
        let learned = self.channels.allow_close(channel, word, now).expect("a word");
        self.learn(learned);
    }

    /// Signs the peer's commitment and keeps what its step teaches.
    pub fn approve_step(&mut self, bytes: &[u8], terms: Terms) {
        let request = parse(bytes, &self.accounts).unwrap_or_else(|error| panic!("{error}"));
        let (ask, learned) = self.channels.classify(&request, &self.accounts, &self.signed);
        let step = self.channels.step(&ask, &learned, terms).expect("a step");
        self.learn(learned.and(step.learned));
        self.signed.0.insert(ask.txid, request.transaction().output.clone());
    }

    pub fn reserve(&mut self, index: u32) {
        let key = strongroom_policy::KeyLocator { family: 5, index: index + 1 };
        let point = self.seed.key(&lightning(0, index));
        let (ask, learned) = self.channels.classify_ecdh(key, &point, &self.accounts);
        assert!(ask.with_own_multisig.is_some());
        self.learn(learned);
    }

    pub fn ask(&self, bytes: &[u8]) -> (SpendAsk, Learned) {
        let request = parse(bytes, &self.accounts).unwrap_or_else(|error| panic!("{error}"));
        self.channels.classify(&request, &self.accounts, &self.signed)
    }

    pub fn spend(&self, bytes: &[u8]) -> Spend {
        self.ask(bytes).0.spend
    }

    /// As our own commitment, if it may be that.
    pub fn as_own(&self, bytes: &[u8]) -> Option<(SpendAsk, Learned)> {
        let request = parse(bytes, &self.accounts).unwrap_or_else(|error| panic!("{error}"));
        self.channels.classify_as_own(&request, &self.accounts, &self.signed)
    }

    /// Signs it as our own.
    pub fn approve_as_own(&mut self, bytes: &[u8]) -> Spend {
        let (ask, learned) = self.as_own(bytes).expect("it may be our own");
        let request = parse(bytes, &self.accounts).unwrap_or_else(|error| panic!("{error}"));
        self.learn(learned);
        self.signed.0.insert(ask.txid, request.transaction().output.clone());
        ask.spend
    }

    pub fn refused(&self, bytes: &[u8]) -> String {
        match self.ask(bytes) {
            (SpendAsk { spend: Spend::Unknown { why }, .. }, learned) => {
                assert!(learned.is_empty(), "what is not understood teaches nothing");
                why
            }
            (ask, _) => panic!("recognised as {:?}", ask.spend),
        }
    }

    pub fn destinations(&self, bytes: &[u8]) -> Vec<Destination> {
        self.ask(bytes).0.outputs.iter().map(|output| output.to).collect()
    }

    /// Signs: stores, learns, remembers the transaction. Every time, a registry loaded from the store must be the
    /// same as the one in memory.
    pub fn approve(&mut self, bytes: &[u8]) -> Spend {
        let request = parse(bytes, &self.accounts).unwrap_or_else(|error| panic!("{error}"));
        let (ask, learned) = self.channels.classify(&request, &self.accounts, &self.signed);
        assert!(!matches!(ask.spend, Spend::Unknown { .. }), "{:?}", ask.spend);
        self.learn(learned);
        if !matches!(ask.spend, Spend::CounterpartyHtlc { .. }) {
            self.signed.0.insert(ask.txid, request.transaction().output.clone());
        }
        ask.spend
    }

    pub fn learn(&mut self, learned: Learned) {
        for (key, value) in learned.records() {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
        self.signed.1.extend(learned.tombstones());
        self.channels.learn(learned);
        let stored = self.records.iter().map(|(key, value)| (key.clone(), value.clone()));
        let loaded = Channels::load(stored).expect("records read back");
        assert_eq!(self.channels, loaded);
    }

    pub fn funding_outpoint(&self) -> OutPoint {
        outpoint(77 + self.at as u8)
    }

    pub fn funding_script(&self) -> ScriptBuf {
        funding_script(&self.seed.bytes(0, self.at), &PEER)
    }

    pub fn to_remote(&self) -> ScriptBuf {
        to_remote_script(&self.seed.bytes(3, self.at)).to_p2wsh()
    }

    pub fn anchors(&self) -> [TxOut; 2] {
        [self.seed.bytes(0, self.at), PEER].map(|key| pays(330, &anchor_script(&key).to_p2wsh()))
    }

    /// The peer's commitment: anchors, HTLCs, our `to_remote` if any, the peer's `to_local` (a script of its own for
    /// each number).
    pub fn commitment_tx(&self, number: u64, ours: u64, htlcs: &[TxOut]) -> Transaction {
        let mut outputs = self.anchors().to_vec();
        outputs.extend(htlcs.iter().cloned());
        if ours > 0 {
            outputs.push(pays(ours, &self.to_remote()));
        }
        let spent: u64 = outputs.iter().map(|output| output.value.to_sat()).sum();
        if CAPACITY - spent > 2_000 {
            outputs.push(pays(CAPACITY - spent - 2_000, &delayed_script(number)));
        }
        numbered(self.funding_outpoint(), number, outputs)
    }

    /// Our own: our `to_local`, and the peer's constant `to_remote`.
    pub fn own_commitment_tx(&self, number: u64, ours: u64, htlcs: &[TxOut]) -> Transaction {
        let mut outputs = self.anchors().to_vec();
        outputs.extend(htlcs.iter().cloned());
        if ours > 0 {
            outputs.push(pays(ours, &own_delayed(number)));
        }
        let spent: u64 = outputs.iter().map(|output| output.value.to_sat()).sum();
        let peer = to_remote_script(&[3; 33]).to_p2wsh();
        if CAPACITY - spent > 2_001 {
            outputs.push(pays(CAPACITY - spent - 2_001, &peer));
        }
        numbered(self.funding_outpoint(), number, outputs)
    }

    pub fn commitment(&self, number: u64, ours: u64, htlcs: &[TxOut]) -> Vec<u8> {
        self.funding_spend(&self.commitment_tx(number, ours, htlcs), 1)
    }

    pub fn own_commitment(&self, number: u64, ours: u64, htlcs: &[TxOut]) -> Vec<u8> {
        self.funding_spend(&self.own_commitment_tx(number, ours, htlcs), 1)
    }

    pub fn funding_spend(&self, transaction: &Transaction, sighash: u32) -> Vec<u8> {
        self.funding_spend_of(transaction, CAPACITY, sighash)
    }

    pub fn funding_spend_of(&self, tx: &Transaction, capacity: u64, sighash: u32) -> Vec<u8> {
        let script = self.funding_script();
        let spent = pays(capacity, &script.to_p2wsh());
        let path = lightning(0, self.at);
        let mut fields =
            vec![signed_input(&spent, &path, &self.seed.key(&path), sighash, Some(&script), None)];
        fields.resize(tx.input.len(), vec![witness_utxo(&pays(1, &stranger(9)))]);
        psbt(tx, &fields)
    }

    /// A request for the signature of input 0 by `path`; the other inputs' outputs are only stated.
    pub fn spend_p2wsh(
        &self,
        tx: &Transaction,
        spent: &[TxOut],
        path: KeyPath,
        script: &ScriptBuf,
        tweak: Option<(u8, [u8; 32])>,
        sighash: u32,
    ) -> Vec<u8> {
        let key = self.seed.key(&path);
        let mut fields = vec![signed_input(&spent[0], &path, &key, sighash, Some(script), tweak)];
        fields.extend(spent[1..].iter().map(|spent| vec![witness_utxo(spent)]));
        psbt(tx, &fields)
    }

    /// A request for the signature of input `index` by a P2WPKH key of the wallet.
    pub fn spend_wallet(&self, tx: &Transaction, spent: &[TxOut], index: usize) -> Vec<u8> {
        let path = wallet(84, 0, 0);
        let fields: Vec<_> = spent
            .iter()
            .enumerate()
            .map(|(at, spent)| {
                if at == index {
                    signed_input(spent, &path, &self.seed.key(&path), 1, None, None)
                } else {
                    vec![witness_utxo(spent)]
                }
            })
            .collect();
        psbt(tx, &fields)
    }

    pub fn wallet_script(&self, branch: u32, index: u32) -> ScriptBuf {
        let key = self.seed.key(&wallet(84, branch, index));
        ScriptBuf::new_p2wpkh(&bitcoin::key::CompressedPublicKey(key).wpubkey_hash())
    }
}

pub fn delayed_script(number: u64) -> ScriptBuf {
    stranger(1_000 + number as u32)
}

pub fn own_delayed(number: u64) -> ScriptBuf {
    stranger(9_000 + number as u32)
}

pub fn numbered(funding: OutPoint, number: u64, outputs: Vec<TxOut>) -> Transaction {
    let raw = number ^ OBFUSCATOR;
    let sequence = 0x8000_0000 | (raw >> 24) as u32;
    let lock_time = 0x2000_0000 | (raw & 0xff_ffff) as u32;
    transaction(&[(funding, sequence)], outputs, lock_time)
}
