use std::path::Path;
use std::sync::Arc;

use bitcoin::Network;
use strongroom_audit as audit;
use strongroom_hsm::LockedBytes;
use strongroom_policy::{Policy, Profile};

use super::*;
use crate::chain::fixture::{Miner, coin, output};
use crate::chain::{CheckedBlock, Funding, Source, Update};
use crate::journal::Opening;
use crate::journal::thread::Keeper;
use crate::metrics::Metrics;
use crate::store::{FjallStore, StoreKey};

fn keeper(dir: &Path) -> Keeper {
    let key = StoreKey::new(LockedBytes::take(&mut [1; 32]).expect("locked memory is to be had"));
    let policy = Profile::Cautious.render(strongroom_policy::Network::Regtest);
    Keeper::open(Opening {
        store: Arc::new(FjallStore::open(dir, &key, 0).expect("open")),
        origin: "strongroom/test".parse().expect("an origin"),
        policy: Arc::new(Policy::from_toml(&policy).expect("a shipped profile")),
        policy_digest: [0; 32],
        max_queue: 64,
        patience_ms: 100,
        metrics: Arc::new(Metrics::new().expect("metrics")),
        following: Some(Following {
            network: Network::Regtest,
            door: "http://127.0.0.1:1".parse().expect("an address"),
            source: Source::Cookie("none".into()),
            poll: std::time::Duration::from_secs(1),
        }),
    })
    .expect("a new journal")
}

fn anchored(dir: &Path) -> Keeper {
    let mut keeper = keeper(dir);
    let headers = vec![bitcoin::constants::genesis_block(Network::Regtest).header];
    keeper.chain_update(Update::Anchor { first: 0, headers }).expect("regtest's own");
    keeper
}

fn connect(keeper: &mut Keeper, miner: &mut Miner) -> Arc<CheckedBlock> {
    let block = Arc::new(miner.mine(vec![]));
    keeper.chain_update(Update::Connect(block.clone())).expect("mined by the rules");
    block
}

/// Kinds of the leaves since `from`.
fn leaves(keeper: &Keeper, from: u64) -> Vec<&'static str> {
    let leaf = |index| {
        let bytes = keeper.store.get(&keys::leaf(index)).expect("readable").expect("there");
        audit::Leaf::parse(&bytes).expect("a leaf").event.kind()
    };
    (from..keeper.chain.size).map(leaf).collect()
}

fn state(keeper: &Keeper) -> &'static str {
    keeper.onchain.report(keeper.now_ms()).state
}

#[test]
fn the_view_is_found_again_as_it_was_left() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = anchored(dir.path());
    assert_eq!(leaves(&keeper, keeper.chain.size - 1), ["chain-anchored"]);
    let from = keeper.chain.size;
    let mut miner = Miner::regtest();
    for _ in 0..4 {
        connect(&mut keeper, &mut miner);
    }
    assert_eq!(leaves(&keeper, from), [""; 0], "a block is no event");
    let mut other = miner.branch(2, 1);
    let blocks = (0..3).map(|_| Arc::new(other.mine(vec![]))).collect();
    keeper.chain_update(Update::Reorganise { fork: 2, undone: Vec::new(), blocks }).expect("more work");
    assert_eq!(leaves(&keeper, from), ["chain-reorganised"]);
    let tip = keeper.onchain.view().and_then(View::tip);
    drop(keeper);
    let keeper = self::keeper(dir.path());
    assert_eq!(keeper.onchain.view().and_then(View::tip), tip);
    assert_eq!(tip.map(|tip| tip.height), Some(5));
}

#[test]
fn a_contradiction_outlives_a_restart_and_only_an_operator_lifts_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = anchored(dir.path());
    let mut miner = Miner::regtest();
    let block = connect(&mut keeper, &mut miner);
    assert!(
        keeper.restart_at(block.hash()).expect_err("nothing is contradicted").contains("no contradiction")
    );
    let deep = Contradiction::DeepReorganisation { depth: Some(7), tip: 1 };
    let from = keeper.chain.size;
    for _ in 0..2 {
        assert!(keeper.chain_update(Update::TooDeep(deep.clone())).expect("taken").contradicted);
    }
    assert_eq!(leaves(&keeper, from), ["chain-contradicted"]);
    drop(keeper);

    let mut keeper = self::keeper(dir.path());
    assert_eq!(state(&keeper), "contradicting");
    let next = Update::Connect(Arc::new(miner.mine(vec![])));
    let stand = keeper.chain_update(next).expect("not taken in, and no fault");
    assert!(stand.contradicted);
    assert_eq!(stand.tip.map(|tip| tip.hash), Some(block.hash()));
    keeper.restart_at(block.hash()).expect("contradicted");
    drop(keeper);

    let mut keeper = self::keeper(dir.path());
    assert_eq!(state(&keeper), "starting");
    let headers = vec![*block.header()];
    let stand = keeper.chain_update(Update::Anchor { first: 1, headers }).expect("sound");
    assert_eq!((stand.tip.map(|tip| tip.hash), stand.accepted), (Some(block.hash()), None));
    drop(keeper);
    assert_eq!(self::keeper(dir.path()).onchain.stand().accepted, None);
}

#[test]
fn a_refusal_repeated_has_one_leaf_and_the_chain_followed_again_another() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = anchored(dir.path());
    let block = connect(&mut keeper, &mut Miner::regtest());
    let from = keeper.chain.size;
    for _ in 0..5 {
        let refused = Contradiction::LessWork { fork: 0 };
        keeper.chain_update(Update::Refused(refused)).expect("taken");
        assert_eq!(state(&keeper), "refused");
        keeper.chain_update(Update::Best { height: 1, hash: block.hash() }).expect("taken");
        assert_eq!(state(&keeper), "following");
    }
    assert_eq!(leaves(&keeper, from), ["chain-refused", "chain-followed"]);
    keeper.chain_update(Update::Best { height: 2, hash: crate::chain::fixture::no_hash() }).expect("taken");
    assert_eq!(state(&keeper), "catching-up");
    keeper.chain_update(Update::Best { height: 0, hash: crate::chain::fixture::no_hash() }).expect("taken");
    assert_eq!(state(&keeper), "behind");
}

#[test]
fn a_deadline_is_told_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = anchored(dir.path());
    connect(&mut keeper, &mut Miner::regtest());
    let from = keeper.chain.size;
    for _ in 0..2 {
        keeper.tell_deadlines(10, [(coin(1), 11), (coin(2), 12)], |_, _| false);
    }
    assert_eq!(leaves(&keeper, from), ["deadline-near"]);
    assert_eq!(keeper.metrics.deadlines_near.get(), 1);
}

#[test]
fn a_watch_is_found_again_with_what_was_seen() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut keeper = anchored(dir.path());
    let watched = crate::chain::fixture::spend(coin(1), output(7));
    let outpoint = OutPoint { txid: watched.compute_txid(), vout: 0 };
    let mut view = keeper.onchain.view.clone().expect("configured");
    let change = view.watch(outpoint, output(8), true);
    keeper.keep(view, change, Vec::new(), false).expect("stored");
    let from = keeper.chain.size;
    let block = Arc::new(Miner::regtest().mine(vec![watched]));
    keeper.chain_update(Update::Connect(block)).expect("sound");
    assert_eq!(leaves(&keeper, from), ["funding-confirmed"]);
    drop(keeper);
    let keeper = self::keeper(dir.path());
    let funding = keeper.onchain.view().expect("configured").funding(&outpoint);
    assert_eq!(funding, Funding::Confirmed { height: 1, depth: 1, txout: output(7) });
}
