//! A recorded day of a real lnd with its own signer: every request is understood, every digest is what lnd's signer
//! signed, and every answer is lnd's to the byte.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
use bitcoin::{Amount, OutPoint, TxOut, Txid};
use secp256k1::{Message, PublicKey, SECP256K1, XOnlyPublicKey, ecdsa, schnorr};
use serde_json::Value;
use strongroom_lightning::messages::{MessageForm, recognise};
use strongroom_lightning::psbt::TapSpend;
use strongroom_lightning::vls::Places;
use strongroom_lightning::{
    AccountPath, Accounts, Channels, KnownTransactions, Learned, Limits, SignRequest, SpendSignature, Terms,
    ToSign, Vls,
};
use strongroom_policy::case::{MessageKind, Spend};
use strongroom_policy::{KeyLocator, KeyPath, Policy, Profile, SpendAsk};

struct Signed(HashMap<Txid, Vec<TxOut>>);

impl KnownTransactions for Signed {
    fn output(&self, outpoint: &OutPoint) -> Option<TxOut> {
        self.0.get(&outpoint.txid)?.get(outpoint.vout as usize).cloned()
    }

    /// A day is too short to fold any.
    fn is_tombstoned(&self, _: &Txid) -> bool {
        false
    }
}

fn day() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/lnd-0.21.3")
}

fn accounts() -> Accounts {
    let file = File::open(day().join("accounts.json")).expect("the recorded accounts");
    let list: Value = serde_json::from_reader(file).unwrap();
    let accounts = list["accounts"].as_array().unwrap().iter().map(|account| {
        let text = account["derivation_path"].as_str().unwrap();
        let steps: Vec<u32> =
            text.split('/').skip(1).map(|step| step.trim_end_matches('\'').parse().unwrap()).collect();
        let path = AccountPath { purpose: steps[0], coin: steps[1], account: steps[2] };
        // SLIP 132 prefixes (upub, vpub) say what the purpose says already.
        let key = account["extended_public_key"].as_str().unwrap();
        let mut key = bitcoin::base58::decode_check(key).unwrap();
        key[..4].copy_from_slice(&[0x04, 0x35, 0x87, 0xcf]);
        (path, Xpub::decode(&key).unwrap())
    });
    Accounts::with_lookahead(accounts.collect(), 100).unwrap()
}

/// Method, request and response of every call, in order.
fn requests() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(day())
        .expect("the recorded day")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".jsonl.gz"))
        .collect();
    files.sort();
    let mut lines: Vec<Value> = files
        .iter()
        .flat_map(|path| {
            let text = flate2::read::MultiGzDecoder::new(File::open(path).unwrap());
            BufReader::new(text).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        })
        .collect();
    lines.sort_by_key(|line| line["seq"].as_u64());
    let bytes = |line: &Value, name: &str| hex::decode(line[name].as_str().unwrap()).unwrap();
    lines
        .iter()
        .filter(|line| line["code"] == 0)
        .map(|line| {
            let method = line["method"].as_str().unwrap().rsplit('/').next().unwrap();
            (method.to_owned(), bytes(line, "req"), bytes(line, "resp"))
        })
        .collect()
}

/// Fields of a protobuf message that are numbers or bytes.
fn fields(message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let (mut fields, mut at) = (Vec::new(), 0);
    while at < message.len() {
        let tag = varint(message, &mut at);
        let number = varint(message, &mut at);
        let value = match tag & 7 {
            0 => number.to_le_bytes().to_vec(),
            2 => {
                at += number as usize;
                message[at - number as usize..at].to_vec()
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn varint(message: &[u8], at: &mut usize) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = message[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

fn field(message: &[u8], number: u64) -> Vec<u8> {
    let found = fields(message).into_iter().find(|(n, _)| *n == number);
    found.map(|(_, value)| value).unwrap_or_default()
}

fn flag(message: &[u8], number: u64) -> bool {
    field(message, number).first().is_some_and(|byte| *byte != 0)
}

fn locator(message: &[u8]) -> KeyLocator {
    let number = |n| {
        let bytes = field(message, n);
        bytes.try_into().map_or(0, |bytes| u64::from_le_bytes(bytes) as u32)
    };
    KeyLocator { family: number(1), index: number(2) }
}

/// Value of the field with this key in input `index` of a PSBT.
fn psbt_field(psbt: &[u8], index: usize, key: &[u8]) -> Vec<u8> {
    let mut at = 5;
    let mut take = |count: usize| {
        at += count;
        &psbt[at - count..at]
    };
    let mut sized = || {
        let count = match take(1)[0] {
            0xfd => u16::from_le_bytes(take(2).try_into().unwrap()).into(),
            0xfe => u32::from_le_bytes(take(4).try_into().unwrap()) as usize,
            short => short.into(),
        };
        take(count)
    };
    let mut map = 0;
    loop {
        let found = sized();
        if found.is_empty() {
            map += 1;
        } else {
            let value = sized();
            if map == index + 1 && found == key {
                return value.to_vec();
            }
        }
    }
}

/// lnd's own signature in its answer, verified against our digest and key.
fn signature(request: &SignRequest, to_sign: &ToSign, answer: &[u8]) -> SpendSignature {
    let get = |kind: u8, data: &[u8]| psbt_field(answer, to_sign.index, &[&[kind], data].concat());
    let message = Message::from_digest(to_sign.digest);
    match to_sign.tap {
        None => {
            let value = get(0x02, &to_sign.public_key.serialize());
            let (sighash, der) = value.split_last().unwrap();
            assert_eq!(*sighash, to_sign.sighash);
            let signature = ecdsa::Signature::from_der(der).unwrap();
            SECP256K1.verify_ecdsa(&message, &signature, &to_sign.public_key).unwrap();
            SpendSignature::Ecdsa(signature)
        }
        Some(tap) => {
            let (value, key) = match tap {
                TapSpend::Key(_) => {
                    let script = &request.spent()[to_sign.index].output.script_pubkey;
                    (get(0x13, &[]), XOnlyPublicKey::from_slice(&script.as_bytes()[2..]).unwrap())
                }
                TapSpend::Script { leaf, stated_key } => {
                    let name = [&stated_key[..], leaf.as_ref()].concat();
                    (get(0x14, &name), to_sign.public_key.x_only_public_key().0)
                }
            };
            let signature = schnorr::Signature::from_slice(&value[..64]).unwrap();
            SECP256K1.verify_schnorr(&signature, &message, &key).unwrap();
            SpendSignature::Schnorr(signature)
        }
    }
}

fn name(spend: &Spend) -> String {
    match spend {
        Spend::Onchain => "onchain".into(),
        Spend::CounterpartyCommitment { .. } => "their commitment".into(),
        Spend::HolderCommitment { number: 0, .. } => "our commitment 0".into(),
        Spend::HolderCommitment { .. } => "our commitment".into(),
        Spend::CounterpartyHtlc { .. } => "their htlc".into(),
        Spend::HolderHtlc { .. } => "our htlc".into(),
        Spend::MutualClose { .. } => "mutual close".into(),
        Spend::Sweep(of) => format!("sweep {of:?}"),
        Spend::Justice => "justice".into(),
        Spend::Unknown { why } if why.contains("taproot channel") => "taproot channel".into(),
        Spend::Unknown { why } => format!("unknown: {why}"),
    }
}

fn message_name(kind: &MessageKind) -> String {
    match kind {
        MessageKind::NodeAnnouncement => "node announcement".into(),
        MessageKind::ChannelUpdate => "channel update".into(),
        MessageKind::ChannelAnnouncement { names_key: true } => "channel announcement".into(),
        MessageKind::Invoice { amount_msat: Some(_) } => "invoice".into(),
        MessageKind::LightningSignedMessage => "signed message".into(),
        other => format!("{other:?}"),
    }
}

/// The signer's memory of the day.
struct Day {
    accounts: Accounts,
    channels: Channels,
    signed: Signed,
    stored: BTreeMap<Vec<u8>, Vec<u8>>,
    seen: BTreeMap<String, u32>,
    /// The peer's commitments whose HTLC transactions are still to be asked for.
    withheld: Vec<SignRequest>,
    ever_withheld: usize,
    unexplained: Amount,
    offered: Amount,
    judges: Judges,
    /// Why announcements named no channel.
    unnamed: Vec<String>,
}

impl Day {
    fn keep(&mut self, kind: &str, learned: Learned) {
        *self.seen.entry(kind.to_owned()).or_default() += 1;
        for (key, value) in learned.records() {
            match value {
                Some(value) => self.stored.insert(key, value),
                None => self.stored.remove(&key),
            };
        }
        self.channels.learn(learned);
    }

    /// Signs, or withholds a commitment that is not explained yet. Answers whether it was signed.
    fn sign(&mut self, request: &SignRequest) -> bool {
        let (ask, learned) = self.channels.classify(request, &self.accounts, &self.signed);
        let funded_by_us = match &ask.spend {
            Spend::CounterpartyCommitment { channel, .. } => self.signed.0.contains_key(&channel.txid),
            _ => false,
        };
        let terms = Terms { funded_by_us, now: 1_700_000_000, window: 86_400, claim_seconds: 600 };
        let mut learned = learned;
        if let Some(step) = self.channels.step(&ask, &learned, terms) {
            if step.update.unexplained_outputs > 0 {
                return false;
            }
            assert_eq!(step.update.frozen, None);
            self.unexplained += step.update.unexplained_outflow;
            self.offered += step.update.unauthorized();
            learned = learned.and(step.learned);
        }
        self.judges.judge(request, &ask, &self.channels, &self.accounts, &self.signed);
        self.signed.0.insert(ask.txid, request.transaction().output.clone());
        self.keep(&name(&ask.spend), learned);
        true
    }

    /// A message; a channel's own key has it name the channel's peer.
    fn hear(&mut self, kind: &str, key: KeyLocator, message: &[u8], announces: bool) {
        let mut learned = Learned::default();
        if announces && key.family == KeyLocator::MULTISIG {
            match self.channels.announced(key, message, &self.accounts) {
                Ok((channel, peer)) => {
                    assert!(self.channels.peer(&channel).is_none_or(|before| before == peer));
                    learned = self.channels.names(channel, peer);
                }
                Err(why) => self.unnamed.push(why),
            }
        }
        self.keep(kind, learned);
    }

    fn ask(&mut self, request: SignRequest) {
        if !self.sign(&request) {
            self.ever_withheld += 1;
            self.withheld.push(request);
            return;
        }
        for held in std::mem::take(&mut self.withheld) {
            if !self.sign(&held) {
                self.withheld.push(held);
            }
        }
    }
}

#[test]
fn every_request_is_understood_and_every_answer_is_lnds() {
    let mut day = Day {
        accounts: accounts(),
        channels: Channels::default(),
        signed: Signed(HashMap::new()),
        stored: BTreeMap::new(),
        seen: BTreeMap::new(),
        withheld: Vec::new(),
        ever_withheld: 0,
        unexplained: Amount::ZERO,
        offered: Amount::ZERO,
        judges: Judges::new(),
        unnamed: Vec::new(),
    };
    for (method, request, response) in requests() {
        match method.as_str() {
            "SignPsbt" => {
                let psbt = field(&request, 1);
                let request = SignRequest::parse(&psbt, &day.accounts, &Limits::default()).unwrap();
                let answer = field(&response, 1);
                let signatures: Vec<_> = request
                    .to_sign()
                    .iter()
                    .map(|to_sign| (to_sign.index, signature(&request, to_sign, &answer)))
                    .collect();
                assert_eq!(request.answer(&signatures).unwrap(), answer);
                let indexes: Vec<u32> = field(&response, 2).iter().map(|i| u32::from(*i)).collect();
                assert_eq!(request.signed_inputs(), indexes);
                day.ask(request);
            }
            "DeriveSharedKey" => {
                let point = PublicKey::from_slice(&field(&request, 1)).unwrap();
                let key = locator(&field(&field(&request, 3), 2));
                let (ask, learned) = day.channels.classify_ecdh(key, &point, &day.accounts);
                let reserves = ask.with_own_multisig.is_some();
                day.keep(if reserves { "reservation" } else { "ecdh" }, learned);
            }
            "SignMessage" => {
                let locator = locator(&field(&request, 2));
                let key = day.accounts.derive(&KeyPath::Lightning(locator)).unwrap();
                let (message, tag) = (field(&request, 1), field(&request, 7));
                let (double_hash, schnorr) = (flag(&request, 3), flag(&request, 5));
                let form = MessageForm { message: &message, double_hash, schnorr, tag: &tag };
                let kind = recognise(&form, locator, &key.bytes);
                let announces = matches!(kind, MessageKind::ChannelAnnouncement { .. });
                day.hear(&message_name(&kind), locator, &message, announces);
            }
            _ => {}
        }
    }
    let kinds: Vec<&str> = day.seen.keys().map(String::as_str).collect();
    assert_eq!(kinds, KINDS, "{:?}", day.seen);
    assert_eq!(Channels::load(day.stored).unwrap(), day.channels);
    // Every commitment was explained in the end, most of them only by a request that came after their own; and of what
    // was paid next to nothing left without an HTLC.
    assert!(day.withheld.is_empty(), "{} commitments were never explained", day.withheld.len());
    assert!(day.ever_withheld > 50);
    assert!(day.offered > Amount::from_sat(100_000));
    assert_eq!(day.unexplained, Amount::ZERO);
    // Every channel was announced once it confirmed, and named its peer; but for the taproot channel, whose commitments no
    // request shows.
    assert!(day.unnamed.iter().all(|why| why.contains("belongs to no channel")), "{:?}", day.unnamed);
    let nameless: Vec<_> =
        day.channels.fundings().filter(|channel| day.channels.peer(channel).is_none()).collect();
    assert!(nameless.is_empty(), "{nameless:?}");
    let peers: BTreeSet<_> =
        day.channels.fundings().filter_map(|channel| day.channels.peer(&channel)).collect();
    assert!(peers.len() > 1, "{peers:?}");
    day.judges.rest();
}

/// VLS, which has nothing against the day; and, that this says something, VLS where it has.
struct Judges {
    policy: Policy,
    vls: Vls,
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
    unpleased: [Vls; 2],
    strangers: Accounts,
    refused: BTreeSet<String>,
}

/// Kinds of spend that VLS judges at all; the others are our own commitments and what lies on them.
const JUDGED: [&str; 8] = [
    "justice",
    "mutual close",
    "onchain",
    "sweep Anchor",
    "sweep Delayed",
    "sweep ToRemote",
    "their commitment",
    "their htlc",
];

impl Judges {
    fn new() -> Self {
        let regtest = bitcoin::Network::Regtest;
        let policy =
            Policy::from_toml(&Profile::Cautious.render(strongroom_policy::Network::Regtest)).unwrap();
        let mut limits = policy.vls().clone();
        // The day's user opened channels with a gift of this much.
        limits.max_push_sat = 4_000_000.try_into().unwrap();
        let strangers = strangers();
        let node = strangers.public_key(&KeyPath::Lightning(KeyLocator { family: 6, index: 0 })).unwrap();
        let vls = Vls::new(limits.clone(), regtest, node);
        // The chain far ahead, so that every HTLC has expired; and no feerate permitted.
        let mut far = Vls::new(limits.clone(), regtest, node);
        let _ = far.connect(&bitcoin::constants::genesis_block(regtest), 1_000_000).unwrap();
        limits.max_commitment_sat_per_kw = 0;
        limits.max_close_sat_per_kw = 0;
        limits.max_sweep_sat_per_kw = 0;
        limits.max_onchain_sat_per_kw = 0;
        let unpleased = [Vls::new(limits, regtest, node), far];
        Self { policy, vls, kept: BTreeMap::new(), unpleased, strangers, refused: BTreeSet::new() }
    }

    fn judge(
        &mut self,
        request: &SignRequest,
        ask: &SpendAsk,
        channels: &Channels,
        accounts: &Accounts,
        signed: &Signed,
    ) {
        let funded_by_us = match &ask.spend {
            Spend::CounterpartyCommitment { channel, .. }
            | Spend::CounterpartyHtlc { channel, .. }
            | Spend::MutualClose { channel, .. } => signed.output(channel).map(|output| output.value),
            _ => None,
        };
        let funded_by_us = funded_by_us.unwrap_or(Amount::ZERO);
        let allowed = self.policy.allowlist();
        let places = Places { accounts, allowed, network: bitcoin::Network::Regtest };
        let nowhere = Places { accounts: &self.strangers, ..places };
        for other in &mut self.unpleased {
            let judged = other.judge(request, ask, channels, funded_by_us, nowhere);
            if !judged.violations.is_empty() {
                self.refused.insert(name(&ask.spend));
            }
            other.learn(judged.taught);
        }
        let judged = self.vls.judge(request, ask, channels, funded_by_us, places);
        assert_eq!(judged.violations, [], "VLS refuses lnd's {}: {ask:?}", name(&ask.spend));
        self.kept.extend(judged.taught.records());
        self.vls.learn(judged.taught);
    }

    fn rest(self) {
        assert_eq!(self.refused.iter().map(String::as_str).collect::<Vec<_>>(), JUDGED);
        assert!(self.kept.len() > 2, "VLS learned of {} channels", self.kept.len());
        let node =
            self.strangers.public_key(&KeyPath::Lightning(KeyLocator { family: 6, index: 0 })).unwrap();
        assert!(Vls::load(self.policy.vls().clone(), bitcoin::Network::Regtest, node, self.kept).is_ok());
    }
}

/// Accounts of another seed: to it, none of the day's coins come home.
fn strangers() -> Accounts {
    let master = Xpriv::new_master(bitcoin::NetworkKind::Test, &[9; 32]).unwrap();
    let wallet = [49, 84, 86].map(|purpose| AccountPath { purpose, coin: 0, account: 0 });
    let families = (0..=9).map(|account| AccountPath { purpose: 1017, coin: 1, account });
    let xpub = |path: AccountPath| {
        let steps = [path.purpose, path.coin, path.account];
        let steps = steps.map(|step| ChildNumber::from_hardened_idx(step).unwrap());
        (path, Xpub::from_priv(SECP256K1, &master.derive_priv(SECP256K1, &steps).unwrap()))
    };
    Accounts::with_lookahead(wallet.into_iter().chain(families).map(xpub).collect(), 1).unwrap()
}

/// Every kind of request that the recorded day has; no other, and no "unknown".
const KINDS: [&str; 19] = [
    "channel announcement",
    "channel update",
    "ecdh",
    "invoice",
    "justice",
    "mutual close",
    "node announcement",
    "onchain",
    "our commitment",
    "our commitment 0",
    "our htlc",
    "reservation",
    "signed message",
    "sweep Anchor",
    "sweep Delayed",
    "sweep ToRemote",
    "taproot channel",
    "their commitment",
    "their htlc",
];
