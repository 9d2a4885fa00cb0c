use std::path::Path;
use std::sync::Arc;

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, ScriptBuf, Txid, Weight};
use strongroom_hsm::LockedBytes;
use strongroom_lightning::{AccountPath, Accounts};
use strongroom_policy::{
    Ask, Case, Destination, Facts, Lock, Network, Operation, OutputFact, Policy, Profile, SignedInput, Tweak,
};

use super::*;
use crate::journal::Opening;
use crate::journal::decide::{Effects, Waits};
use crate::metrics::Metrics;
use crate::store::{FjallStore, StoreKey};

fn claim(number: u32, sat: u64, known: bool) -> RefusedClaim {
    let outpoint = OutPoint { txid: Txid::hash(&number.to_be_bytes()), vout: number };
    RefusedClaim {
        outpoint,
        kind: "sweep-delayed".to_owned(),
        sat,
        at: 5,
        because: "fee-cap: 5; allowed: 4".to_owned(),
        way_out: "raise it".to_owned(),
        known,
    }
}

#[test]
fn invented_claims_push_no_true_one_out_and_fill_nothing() {
    let mut claims = RefusedClaims::default();
    let true_one = claim(0, 1_000, true);
    claims.take(claims.with(vec![true_one.clone()]));
    for number in 1..500 {
        let retold = claims.with(vec![claim(number, 2_100_000_000_000_000, false)]);
        assert!(!retold.is_news(&claims), "a flood of invented claims is news to nobody");
        claims.take(retold);
    }
    assert_eq!(claims.list().len(), MOST);
    assert_eq!(claims.list()[0], true_one);
    // The smallest of the true ones gives way to a larger one, never the other way round.
    for number in 1_000..1_064 {
        claims.take(claims.with(vec![claim(number, 2_000, true)]));
    }
    assert!(claims.list().iter().all(|claim| claim.known && claim.sat == 2_000));
    assert!(!claims.with(vec![true_one]).is_news(&claims));
}

#[test]
fn what_is_signed_for_is_told_of_no_more() {
    let mut claims = RefusedClaims::default();
    let (first, second) = (claim(1, 5, true), claim(2, 6, true));
    let news = claims.with(vec![first.clone(), second.clone()]);
    assert!(news.is_news(&claims));
    claims.take(news);
    let again = claims.with(vec![first.clone()]);
    assert!(!again.is_news(&claims), "the same again is no news");
    claims.take(claims.without(&[second.outpoint, OutPoint::null()]));
    assert_eq!(claims.list(), std::slice::from_ref(&first));
    let stored = serde_json::to_vec(&first).expect("JSON");
    assert_eq!(RefusedClaims::load([stored, b"{".to_vec()].into_iter()).list(), [first]);
}

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

fn accounts() -> Accounts {
    let master = bitcoin::bip32::Xpriv::new_master(bitcoin::NetworkKind::Test, &[1; 32]).expect("a seed");
    let wallet = [49, 84, 86].map(|purpose| AccountPath { purpose, coin: 0, account: 0 });
    let channels = (0..=9).map(|account| AccountPath { purpose: 1017, coin: 1, account });
    let xpub = |path: &AccountPath| {
        let hardened = [path.purpose, path.coin, path.account]
            .map(|index| bitcoin::bip32::ChildNumber::from_hardened_idx(index).expect("below 2^31"));
        let secp = bitcoin::secp256k1::Secp256k1::new();
        let account = master.derive_priv(&secp, &hardened).expect("a key");
        bitcoin::bip32::Xpub::from_priv(&secp, &account)
    };
    let all = wallet.into_iter().chain(channels).map(|path| (path, xpub(&path))).collect();
    Accounts::with_lookahead(all, 2).expect("lnd's accounts")
}

/// A request of this kind with one input, paying `to`.
fn asked(number: u32, spend: Spend, to: Destination) -> SpendAsk {
    let key = KeyPath::Lightning(KeyLocator { family: KeyLocator::DELAY_BASE, index: 1 });
    SpendAsk {
        claimed: Amount::ZERO,
        txid: Txid::hash(&[9, 9]),
        spend,
        signed: vec![SignedInput { index: 0, key, lock: Lock::P2wsh, sighash: 1, tweak: Tweak::Single }],
        inputs: vec![InputFact {
            outpoint: claim(number, 0, true).outpoint,
            amount: Amount::from_sat(8_640_000),
            script_pubkey: ScriptBuf::new(),
            sequence: 144,
            evidence: Evidence::PreviousTransaction,
        }],
        outputs: vec![OutputFact {
            amount: Amount::from_sat(8_630_000),
            script_pubkey: ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::all_zeros()),
            to,
        }],
        weight: Weight::from_wu(600),
    }
}

/// Decides it, and says whether it was approved.
fn decide(keeper: &mut Keeper, ask: SpendAsk) -> bool {
    let client = "lnd".parse().expect("a name");
    let case = Case { node: node(), client, operation: Operation::SignPsbt, ask: Ask::Spend(ask) };
    let verdict = keeper.policy.decide(&case, &Facts { channel_known: true, ..Facts::default() });
    let Ask::Spend(ask) = &case.ask else { panic!("it is one") };
    let effects = Effects { retold: keeper.retold(&case.node, ask, &verdict), ..Effects::default() };
    let (reply, _answer) = tokio::sync::oneshot::channel::<Result<crate::journal::Decided<()>, Refusal>>();
    keeper.settle(&case, [7; 32], &verdict, effects, Waits::Flush, (), reply);
    verdict.allowed()
}

fn told(keeper: &Keeper) -> Vec<RefusedClaim> {
    keeper.books[&node()].refused_claims.list()
}

const OURS: Destination =
    Destination::OwnWallet(strongroom_policy::WalletPath { purpose: 86, branch: 0, index: 0 });

#[test]
fn a_refused_claim_is_told_over_a_restart_until_it_is_signed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = self::keeper(dir.path());
    let sweep = |to| asked(1, Spend::Sweep(SweepOf::Delayed), to);
    assert!(!decide(&mut keeper, sweep(Destination::Stranger)));
    let first = told(&keeper);
    assert_eq!((first.len(), first[0].sat, first[0].kind.as_str()), (1, 8_640_000, "sweep-delayed"));
    assert!(first[0].because.contains("closing-destination"), "{}", first[0].because);
    assert!(first[0].way_out.ends_with("then start lnd again, which will not ask again by itself"));
    assert!(!first[0].known, "no transaction that we signed");
    drop(keeper);
    let mut keeper = self::keeper(dir.path());
    assert_eq!(told(&keeper), first);
    let gauge = |keeper: &Keeper| {
        let report = keeper.books[&node()].report(&node(), &keeper.policy, 0);
        keeper.metrics.set_books(&[report]);
        keeper.metrics.refused_closing.with_label_values(&["alice", "sweep-delayed"]).get()
    };
    assert_eq!(gauge(&keeper), 1);
    assert!(decide(&mut keeper, sweep(OURS)));
    assert_eq!((told(&keeper).len(), gauge(&keeper)), (0, 0));
    drop(keeper);
    assert_eq!(told(&self::keeper(dir.path())), []);
}

#[test]
fn what_belongs_to_a_channel_that_goes_on_is_no_claim() {
    let channel = OutPoint::null();
    let unknown = || Spend::Unknown { why: "nothing known".to_owned() };
    let mut commitment = asked(1, unknown(), Destination::Stranger);
    commitment.inputs[0].sequence = 0x80ab_cdef;
    let mut theirs = asked(1, unknown(), Destination::Stranger);
    theirs.signed[0].sighash = 0x83;
    for ask in [
        commitment,
        theirs,
        asked(1, Spend::Onchain, Destination::Stranger),
        asked(1, Spend::HolderCommitment { channel, number: 0 }, Destination::Stranger),
    ] {
        assert!(!brings_home(&ask), "{ask:?}");
    }
    for spend in [
        unknown(),
        Spend::HolderCommitment { channel, number: 1 },
        Spend::HolderHtlc { commitment: Txid::all_zeros() },
        Spend::MutualClose {
            channel,
            our_balance: Amount::ZERO,
            peers_balance: Amount::ZERO,
            htlcs_pending: false,
            by_word: false,
        },
        Spend::Sweep(SweepOf::Anchor),
        Spend::Justice,
    ] {
        assert!(brings_home(&asked(1, spend.clone(), Destination::Stranger)), "{spend:?}");
        assert_eq!(claimed(&asked(1, spend, Destination::Stranger)), [0]);
    }
}

#[test]
fn a_refused_fee_is_told_of_what_it_pays_for() {
    let wallet = KeyPath::Wallet(strongroom_policy::WalletPath { purpose: 84, branch: 0, index: 0 });
    let mut bump = asked(1, Spend::Sweep(SweepOf::Anchor), OURS);
    let mut anchor = bump.inputs[0].clone();
    anchor.amount = Amount::from_sat(330);
    bump.signed[0].key = wallet;
    bump.inputs.push(anchor);
    assert_eq!(claimed(&bump), [1]);
    let commitment = bump.inputs[1].outpoint.txid;
    bump.inputs[0].outpoint.txid = Txid::all_zeros();
    bump.spend = Spend::HolderHtlc { commitment };
    assert_eq!(claimed(&bump), [1]);
}

#[test]
fn a_flood_of_refusals_does_not_hide_a_claim_on_what_we_signed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = self::keeper(dir.path());
    for _ in 0..320 {
        assert!(!decide(&mut keeper, asked(1, Spend::Sweep(SweepOf::Delayed), Destination::Stranger)));
    }
    let (size, sweep) = (keeper.chain.size, Spend::Sweep(SweepOf::Delayed));
    decide(&mut keeper, asked(2, sweep.clone(), Destination::Stranger));
    assert_eq!(told(&keeper).len(), 1, "an invented claim beyond the refusals that are listed");
    let ours = asked(3, sweep, Destination::Stranger);
    let mut batch = Batch::default();
    batch.put(keys::transaction(&node(), &ours.inputs[0].outpoint.txid), vec![1]);
    keeper.record_all([], batch).expect("stored");
    decide(&mut keeper, ours);
    assert_eq!((told(&keeper).len(), told(&keeper)[0].known), (2, true));
    assert_eq!(keeper.chain.size, size, "no leaf beyond those that are listed");
    drop(keeper);
    assert_eq!(told(&self::keeper(dir.path())).len(), 2);
}
