//! What the journal makes of a commitment that may be either side's, and of a close that an operator allowed.

use std::path::Path;
use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::{PublicKey, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{NetworkKind, ScriptBuf, Sequence, TxIn, Witness};
use strongroom_audit as audit;
use strongroom_hsm::LockedBytes;
use strongroom_lightning::script::{Anchor, anchor_script, funding_script, to_remote_script};
use strongroom_lightning::{AccountPath, Accounts, CloseAllowance, Limits};
use strongroom_policy::{Policy, Profile};
use tokio::sync::oneshot;

use super::*;
use crate::journal::{Decided, Opening};
use crate::metrics::Metrics;
use crate::share::Share;
use crate::store::{FjallStore, StoreKey};

const CAPACITY: u64 = 1_000_000;
const PEER: [u8; 33] = [2; 33];
const HARDENED: u32 = 1 << 31;

fn master() -> Xpriv {
    Xpriv::new_master(NetworkKind::Test, &[1; 32]).expect("a seed")
}

fn accounts() -> Accounts {
    let wallet = [49, 84, 86].map(|purpose| AccountPath { purpose, coin: 0, account: 0 });
    let channels = (0..=9).map(|account| AccountPath { purpose: 1017, coin: 1, account });
    let xpub = |path: &AccountPath| {
        let hardened = [path.purpose, path.coin, path.account]
            .map(|index| ChildNumber::from_hardened_idx(index).expect("below 2^31"));
        Xpub::from_priv(
            &Secp256k1::new(),
            &master().derive_priv(&Secp256k1::new(), &hardened).expect("a key"),
        )
    };
    let all = wallet.into_iter().chain(channels).map(|path| (path, xpub(&path))).collect();
    Accounts::with_lookahead(all, 2).expect("lnd's accounts")
}

fn key(steps: [u32; 5]) -> PublicKey {
    let path: Vec<ChildNumber> = steps.into_iter().map(ChildNumber::from).collect();
    let key = master().derive_priv(&Secp256k1::new(), &path).expect("a key");
    Xpub::from_priv(&Secp256k1::new(), &key).public_key
}

const MULTISIG: [u32; 5] = [1017 + HARDENED, 1 + HARDENED, HARDENED, 0, 0];

fn keeper(dir: &Path) -> Keeper {
    let key = StoreKey::new(LockedBytes::take(&mut [1; 32]).expect("locked memory is to be had"));
    let policy = Profile::Cautious.render(Network::Regtest);
    let mut keeper = Keeper::open(Opening {
        store: Arc::new(FjallStore::open(dir, &key, 0).expect("open")),
        origin: "strongroom/test".parse().expect("an origin"),
        policy: Arc::new(Policy::from_toml(&policy).expect("a shipped profile")),
        policy_digest: [0; 32],
        max_queue: 64,
        patience_ms: 100,
        metrics: Arc::new(Metrics::new().expect("metrics")),
        following: None,
    })
    .expect("a new journal");
    keeper.open_node(node(), Arc::new(accounts())).expect("its books are read");
    keeper
}

fn node() -> NodeName {
    "alice".parse().expect("a name")
}

fn funding() -> OutPoint {
    OutPoint { txid: Txid::hash(b"funding"), vout: 0 }
}

fn pays(amount: u64, script: ScriptBuf) -> TxOut {
    TxOut { value: Amount::from_sat(amount), script_pubkey: script }
}

fn somebodys(number: u8) -> ScriptBuf {
    ScriptBuf::from(vec![number]).to_p2wsh()
}

/// A spend of the channel's funding output, as lnd asks for it.
fn request(sequence: u32, lock_time: u32, output: Vec<TxOut>) -> SignRequest {
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(lock_time),
        input: vec![TxIn {
            previous_output: funding(),
            script_sig: ScriptBuf::new(),
            sequence: Sequence(sequence),
            witness: Witness::new(),
        }],
        output,
    };
    let ours = key(MULTISIG).serialize();
    let script = funding_script(&ours, &PEER);
    let spent = pays(CAPACITY, script.to_p2wsh());
    let mut path = vec![0; 4];
    path.extend(MULTISIG.iter().flat_map(|step| step.to_le_bytes()));
    let fields: [(Vec<u8>, Vec<u8>); 4] = [
        (vec![1], serialize(&spent)),
        (vec![3], 1u32.to_le_bytes().to_vec()),
        (vec![5], script.to_bytes()),
        ([&[6][..], &ours].concat(), path),
    ];
    let mut bytes = b"psbt\xff".to_vec();
    let unsigned = [(vec![0], serialize(&transaction))];
    for map in [&unsigned[..], &fields] {
        for part in map.iter().flat_map(|(key, value)| [key, value]) {
            bytes.extend(serialize(&bitcoin::VarInt::from(part.len())));
            bytes.extend(part);
        }
        bytes.push(0);
    }
    bytes.extend(transaction.output.iter().map(|_| 0));
    SignRequest::parse(&bytes, &accounts(), &Limits::default()).expect("a request as lnd makes it")
}

/// A commitment of number `number`, with anchors and these outputs.
fn commitment(number: u32, outputs: Vec<TxOut>) -> SignRequest {
    let anchors = [key(MULTISIG).serialize(), PEER]
        .map(|key| pays(Anchor::AMOUNT.to_sat(), anchor_script(&key).to_p2wsh()));
    request(0x8000_0000, 0x2000_0000 | number, [anchors.to_vec(), outputs].concat())
}

/// Our own: `to_local`, an HTLC, and the peer's `to_remote`.
fn own_commitment() -> SignRequest {
    commitment(7, vec![pays(300_000, somebodys(1)), pays(50_000, somebodys(2)), pays(640_000, somebodys(3))])
}

/// Asks, and waits for nothing that may still explain it.
fn ask(
    keeper: &mut Keeper,
    request: SignRequest,
    gone: bool,
) -> Option<Result<Decided<SignRequest>, Refusal>> {
    let (reply, mut answer) = oneshot::channel();
    let turn = Arc::new(Share::default()).begin(1).expect("the first");
    let client = "lnd".parse().expect("a name");
    if gone {
        answer.close();
    }
    keeper.spend_until(Asked { node: node(), client, turn, request, reply }, 0);
    answer.try_recv().ok()
}

/// What the last leaf says: kind, and rules broken; none where it was approved.
fn last(keeper: &Keeper) -> (String, Vec<String>) {
    let bytes = keeper.store.get(&keys::leaf(keeper.chain.size - 1)).expect("readable").expect("there");
    match audit::Leaf::parse(&bytes).expect("a leaf").event {
        audit::Event::Decision(audit::Decision { what: audit::Ask::Spend(spend), verdict, .. }) => {
            let refused = match verdict {
                audit::Verdict::Refused { enforced } => enforced.into_iter().map(|v| v.tag).collect(),
                _ => Vec::new(),
            };
            (spend.kind, refused)
        }
        other => (other.kind().to_owned(), Vec::new()),
    }
}

fn own_wallet() -> ScriptBuf {
    let key = key([84 + HARDENED, HARDENED, HARDENED, 0, 0]);
    ScriptBuf::new_p2wpkh(&bitcoin::key::CompressedPublicKey(key).wpubkey_hash())
}

/// It pays our payment key, so it is the peer's, and nothing of an unknown channel is.
#[test]
fn what_is_surely_the_peers_is_not_signed_as_our_own() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = keeper(dir.path());
    let payment = key([1017 + HARDENED, 1 + HARDENED, 3 + HARDENED, 0, 0]).serialize();
    let outputs = vec![
        pays(300_000, to_remote_script(&payment).to_p2wsh()),
        pays(50_000, somebodys(2)),
        pays(640_000, somebodys(3)),
    ];
    let answer = ask(&mut keeper, commitment(7, outputs), false);
    assert!(matches!(answer, Some(Err(Refusal::Denied(_)))));
    let (kind, refused) = last(&keeper);
    assert_eq!(kind, "counterparty-commitment");
    assert!(refused.contains(&"unexplained-output".to_owned()), "{refused:?}");
    assert!(keeper.books[&node()].channels.is_empty(), "a refusal teaches nothing");
}

/// Who stopped before it had asked for all HTLC transactions asks again, if it was the peer's.
#[test]
fn nothing_is_read_as_our_own_for_an_asker_that_is_gone() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = keeper(dir.path());
    assert!(ask(&mut keeper, own_commitment(), true).is_none());
    assert_eq!(last(&keeper).0, "counterparty-commitment");
    assert!(!last(&keeper).1.is_empty(), "refused");
}

/// Refused as the peer's, and our own by the other reading: signed, recorded as what it is, and known again after a restart.
#[test]
fn our_own_commitment_of_a_channel_never_seen_is_signed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = keeper(dir.path());
    let asked = |keeper: &mut Keeper| ask(keeper, own_commitment(), false).expect("an answer");
    let decided = asked(&mut keeper).unwrap_or_else(|refusal| panic!("{refusal}"));
    drop(decided);
    assert_eq!(last(&keeper), ("holder-commitment".to_owned(), Vec::new()));
    assert!(keeper.books[&node()].channels.is_known(&funding()));
    drop(keeper);
    let mut keeper = self::keeper(dir.path());
    let (size, before) = (keeper.chain.size, keeper.books[&node()].channels.len());
    assert!(asked(&mut keeper).is_ok(), "approved before");
    assert_eq!((keeper.chain.size, before), (size, 1), "and not decided again");
}

/// Until a signature is asked for its HTLC transactions may come: it waits, and keeps nobody else waiting.
#[test]
fn our_own_commitment_waits_as_the_peers_would() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = keeper(dir.path());
    let (reply, mut answer) = oneshot::channel();
    let turn = Arc::new(Share::default()).begin(1).expect("the first");
    let client = "lnd".parse().expect("a name");
    keeper.spend(Asked { node: node(), client, turn, request: own_commitment(), reply });
    assert!(answer.try_recv().is_err() && keeper.withheld.due().is_some());
    for asked in keeper.withheld.overdue(u64::MAX) {
        keeper.spend_until(asked, 0);
    }
    assert!(matches!(answer.try_recv(), Ok(Ok(_))));
}

/// Default deny; then held to the operator's word, over a restart, until its time is over.
#[test]
fn a_close_of_a_channel_never_seen_is_held_to_an_operators_word() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = keeper(dir.path());
    let close = |ours: u64| {
        let outputs = vec![pays(ours, own_wallet()), pays(CAPACITY - ours - 1_000, somebodys(1))];
        request(u32::MAX, 0, outputs)
    };
    let answer = ask(&mut keeper, close(400_000), false);
    let Some(Err(refusal)) = answer else { panic!("signed without a word") };
    let command = format!("strongroom channel allow-close NODE {} --at-least SAT", funding());
    assert!(refusal.to_string().contains(&command), "{refusal}");

    let now = keeper.now();
    let word = |expires| CloseAllowance { at_least: Amount::from_sat(400_000), expires, created: 0 };
    assert!(keeper.allow_close(&node(), funding(), word(now)).is_err(), "over already");
    keeper.allow_close(&node(), funding(), word(now + 60)).expect("a word");
    assert_eq!(last(&keeper).0, "close-allowed");
    drop(keeper);
    let mut keeper = self::keeper(dir.path());
    let answer = ask(&mut keeper, close(399_999), false);
    assert!(matches!(answer, Some(Err(Refusal::Denied(_)))));
    assert_eq!(last(&keeper), ("mutual-close".to_owned(), vec!["mutual-close-balance".to_owned()]));
    assert!(matches!(ask(&mut keeper, close(400_000), false), Some(Ok(_))));
    assert!(matches!(ask(&mut keeper, close(410_000), false), Some(Ok(_))), "the next fee");
    assert_eq!(last(&keeper), ("mutual-close".to_owned(), Vec::new()));
    assert_eq!(keeper.allowed_closes(None).len(), 1);
}
