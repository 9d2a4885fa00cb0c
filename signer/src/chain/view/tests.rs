use proptest::prelude::*;

use super::*;
use crate::chain::fixture::{Miner, coin, output, spend};

/// Regtest's block 0.
fn genesis() -> Arc<CheckedBlock> {
    let block = bitcoin::constants::genesis_block(Network::Regtest);
    Arc::new(CheckedBlock::check(0, block.block_hash(), block).expect("regtest's own"))
}

/// A view of regtest's block 0, and its miner.
fn beginning() -> (View, Miner) {
    let mut view = View::new(Network::Regtest);
    view.anchor(0, &[*genesis().header()]).expect("regtest's own");
    (view, Miner::regtest())
}

fn grow(view: &mut View, miner: &mut Miner, blocks: u32) {
    for _ in 0..blocks {
        view.connect(&miner.mine(vec![])).expect("mined by the rules");
    }
}

/// Funding and close of a channel: the outpoint, the output, both transactions.
fn channel() -> (OutPoint, TxOut, bitcoin::Transaction, bitcoin::Transaction) {
    let txout = output(100_000);
    let funding = spend(coin(1), txout.clone());
    let outpoint = OutPoint { txid: funding.compute_txid(), vout: 0 };
    let close = spend(outpoint, output(99_000));
    (outpoint, txout, funding, close)
}

/// Answers the view's questions as a bitcoind that has `blocks` would.
fn look_up(view: &mut View, blocks: &[Arc<CheckedBlock>]) -> Result<(), Contradiction> {
    loop {
        let (asks, scan) = view.wanted(2);
        let spent = |outpoint: &OutPoint| {
            blocks.iter().any(|b| {
                b.block().txdata.iter().any(|t| t.input.iter().any(|i| i.previous_output == *outpoint))
            })
        };
        for outpoint in &asks {
            let made = blocks.iter().find(|b| b.transactions().any(|(txid, _)| txid == outpoint.txid));
            match made.filter(|_| !spent(outpoint)) {
                Some(block) => view.unspent(*outpoint, block)?,
                None => view.not_unspent(*outpoint),
            };
        }
        let scanned = scan.and_then(|height| blocks.iter().find(|b| b.height() == height));
        if let Some(block) = scanned {
            view.scan(block);
        }
        if asks.is_empty() && scanned.is_none() {
            return Ok(());
        }
    }
}

#[test]
fn a_funding_is_seen_to_confirm_to_be_spent_and_to_be_undone() {
    let (mut view, mut miner) = beginning();
    grow(&mut view, &mut miner, 3);
    let (outpoint, txout, funding, close) = channel();
    assert_eq!(view.funding(&outpoint), Funding::Unknown);
    view.watch(outpoint, txout.clone(), true);
    assert_eq!(view.funding(&outpoint), Funding::Unknown, "nobody has looked yet");
    view.not_unspent(outpoint);

    let seen = view.connect(&miner.mine(vec![funding])).expect("sound").seen;
    let confirmed = Seen::Confirmed { outpoint, height: 4, differs: false, txout: txout.clone() };
    assert_eq!(seen, [confirmed]);
    grow(&mut view, &mut miner, 2);
    assert_eq!(view.funding(&outpoint), Funding::Confirmed { height: 4, depth: 3, txout: txout.clone() });

    let by = close.compute_txid();
    let seen = view.connect(&miner.mine(vec![close])).expect("sound").seen;
    assert_eq!(seen, [Seen::Spent { outpoint, by, height: 7 }]);
    assert_eq!(view.funding(&outpoint), Funding::Spent { by, height: 7, depth: 1 });

    view.disconnect().expect("not the last");
    assert_eq!(view.funding(&outpoint), Funding::Confirmed { height: 4, depth: 3, txout });
    for _ in 0..2 {
        view.disconnect().expect("not the last");
    }
    let change = view.disconnect().expect("not the last");
    assert_eq!(change.unconfirmed, BTreeSet::from([outpoint]));
    assert!(!matches!(view.funding(&outpoint), Funding::Confirmed { .. } | Funding::Spent { .. }));
}

#[test]
fn an_output_that_is_not_the_one_signed_for_is_told() {
    let (mut view, mut miner) = beginning();
    let (outpoint, _, funding, _) = channel();
    view.watch(outpoint, output(5_000_000), true);
    let seen = view.connect(&miner.mine(vec![funding])).expect("sound").seen;
    assert!(matches!(seen.as_slice(), [Seen::Confirmed { differs: true, .. }]), "{seen:?}");
    let Funding::Confirmed { txout, .. } = view.funding(&outpoint) else { panic!("it is confirmed") };
    assert_eq!(txout, output(100_000));
}

#[test]
fn what_was_buried_before_is_looked_up() {
    let (outpoint, txout, funding, close) = channel();
    for (spent, new) in [(false, false), (true, false), (false, true), (true, true)] {
        let (mut view, mut miner) = beginning();
        let mut blocks = vec![genesis()];
        blocks.extend((0..3).map(|_| Arc::new(miner.mine(vec![]))));
        blocks.push(Arc::new(miner.mine(vec![funding.clone()])));
        blocks.extend((0..2).map(|_| Arc::new(miner.mine(vec![]))));
        if spent {
            blocks.push(Arc::new(miner.mine(vec![close.clone()])));
        }
        for block in &blocks[1..] {
            view.connect(block).expect("sound");
        }
        view.watch(outpoint, txout.clone(), new);
        assert_eq!(view.funding(&outpoint), Funding::Unknown);
        look_up(&mut view, &blocks).expect("sound");
        let height = view.tip().expect("a tip").height;
        let expected = if spent {
            Funding::Spent { by: close.compute_txid(), height, depth: 1 }
        } else {
            Funding::Confirmed { height: 4, depth: 3, txout: txout.clone() }
        };
        assert_eq!(view.funding(&outpoint), expected, "spent {spent}, new {new}");
    }
}

#[test]
fn what_is_in_no_block_is_unconfirmed_only_if_all_that_matters_was_looked_through() {
    let (outpoint, txout, ..) = channel();
    let (mut view, mut miner) = beginning();
    let mut blocks: Vec<_> = (0..8).map(|_| Arc::new(miner.mine(vec![]))).collect();
    blocks.iter().for_each(|b| drop(view.connect(b).expect("sound")));
    view.watch(outpoint, txout.clone(), true);
    look_up(&mut view, &blocks).expect("sound");
    assert_eq!(view.funding(&outpoint), Funding::Unconfirmed);

    // Heard of at an unknown time: every block is looked through, and only then it is known to be in none.
    let old = OutPoint { vout: 1, ..outpoint };
    view.watch(old, txout, false);
    look_up(&mut view, &blocks).expect("sound");
    assert_eq!(view.funding(&old), Funding::Unknown, "block 0 was not to be had");
    blocks.insert(0, genesis());
    look_up(&mut view, &blocks).expect("sound");
    assert_eq!(view.funding(&old), Funding::Unconfirmed);
}

#[test]
fn an_old_output_that_two_weeks_of_blocks_do_not_hold_stays_unknown() {
    let mut watch = Watch::new(output(1), None);
    watch.begin_scan(900_000);
    for height in 900_000 - 2_015..=900_000 {
        assert_eq!(watch.funding(900_000), Funding::Unknown);
        watch.scanned(height);
    }
    assert_eq!(watch.lookup, Lookup::Lost);
    assert_eq!(watch.funding(900_000), Funding::Unknown);
}

#[test]
fn an_unspent_output_is_believed_from_its_block_only() {
    let (outpoint, txout, funding, _) = channel();
    let (mut view, mut miner) = beginning();
    let empty = Arc::new(miner.mine(vec![]));
    view.connect(&empty).expect("sound");
    let holds = Arc::new(miner.mine(vec![funding.clone()]));
    view.connect(&holds).expect("sound");
    view.watch(outpoint, txout, false);
    let refused = view.unspent(outpoint, &empty).expect_err("the block does not make it");
    assert_eq!(refused.name(), "not-in-block");
    // Another block at that height is not of the chain followed.
    let other = miner.branch(1, 9).mine(vec![funding]);
    view.unspent(outpoint, &other).expect("not believed, and no contradiction: the chain may have moved");
    assert_eq!(view.funding(&outpoint), Funding::Unknown);
    view.unspent(outpoint, &holds).expect("sound");
    assert!(matches!(view.funding(&outpoint), Funding::Confirmed { height: 2, .. }));
}

#[test]
fn a_branch_needs_more_work_and_at_most_six_blocks_undone() {
    let (mut view, mut miner) = beginning();
    grow(&mut view, &mut miner, 10);
    let branch = |from: u32, blocks: usize| -> Vec<_> {
        let mut other = miner.branch(from, 7);
        (0..blocks).map(|_| Arc::new(other.mine(vec![]))).collect()
    };
    let before = view.tip();
    assert_eq!(view.reorganise(4, &branch(4, 6)).expect_err("as much work").name(), "less-work");
    assert_eq!(view.reorganise(3, &branch(3, 8)).expect_err("seven deep").name(), "deep-reorganisation");
    // A branch that breaks off is not followed half way.
    let mut broken = branch(4, 7);
    broken.swap(5, 6);
    assert_eq!(view.reorganise(4, &broken).expect_err("out of order").name(), "broken-link");
    assert_eq!(view.tip(), before);
    for depth in 1..=6 {
        let mut view = view.clone();
        let blocks = branch(10 - depth, depth as usize + 1);
        let change = view.reorganise(10 - depth, &blocks).expect("more work");
        assert_eq!(view.tip().expect("a tip").hash, blocks[depth as usize].hash());
        assert_eq!(change.headers.len(), depth as usize + 1);
    }
}

#[test]
fn a_funding_in_both_branches_is_not_told_as_lost() {
    let (outpoint, txout, funding, _) = channel();
    let (mut view, mut miner) = beginning();
    grow(&mut view, &mut miner, 2);
    view.watch(outpoint, txout, true);
    view.connect(&miner.mine(vec![funding.clone()])).expect("sound");
    let mut with = miner.branch(2, 1);
    let blocks = [Arc::new(with.mine(vec![])), Arc::new(with.mine(vec![funding]))];
    let mut kept = view.clone();
    let change = kept.reorganise(2, &blocks).expect("more work");
    assert!(change.unconfirmed.is_empty());
    assert!(matches!(kept.funding(&outpoint), Funding::Confirmed { height: 4, depth: 1, .. }));
    let mut without = miner.branch(2, 2);
    let blocks = [Arc::new(without.mine(vec![])), Arc::new(without.mine(vec![]))];
    let change = view.reorganise(2, &blocks).expect("more work");
    assert_eq!(change.unconfirmed, BTreeSet::from([outpoint]));
}

#[test]
fn the_view_is_current_only_within_every_limit() {
    let (mut view, mut miner) = beginning();
    grow(&mut view, &mut miner, 1);
    let tip = view.tip().expect("a tip");
    let now = (u64::from(tip.time) + 100) * 1_000;
    let limits = |agreed_ms, tip_seconds| Limits { agreed_ms, tip_seconds };
    assert!(matches!(View::new(Network::Regtest).is_current(now, &limits(1, 1)), Err(NotCurrent::NoTip)));
    assert!(matches!(view.is_current(now, &limits(9, 1_000)), Err(NotCurrent::Silent { .. })));
    assert!(!view.compare(crate::chain::fixture::no_hash(), now));
    assert!(matches!(view.is_current(now, &limits(9, 1_000)), Err(NotCurrent::Silent { .. })));
    assert!(view.compare(tip.hash, now - 10));
    assert!(matches!(view.is_current(now, &limits(9, 1_000)), Err(NotCurrent::Silent { .. })));
    assert!(matches!(
        view.is_current(now, &limits(10, 99)),
        Err(NotCurrent::OldTip { age_seconds: 100, .. })
    ));
    assert_eq!(view.is_current(now, &limits(10, 100)), Ok(()));
    view.contradict(&Contradiction::LessWork { fork: 0 });
    assert!(matches!(view.is_current(now, &limits(10, 100)), Err(NotCurrent::Contradicted(_))));
    assert!(!view.compare(tip.hash, now), "a contradicted view agrees with nobody");
}

#[test]
fn an_operators_word_starts_anew() {
    let (outpoint, txout, funding, _) = channel();
    let (mut view, mut miner) = beginning();
    view.watch(outpoint, txout, true);
    let block = miner.mine(vec![funding]);
    view.connect(&block).expect("sound");
    view.contradict(&Contradiction::LessWork { fork: 0 });
    let change = view.restart();
    assert_eq!(change.headers, BTreeMap::from([(0, None), (1, None)]));
    assert_eq!((view.tip(), view.contradiction(), view.funding(&outpoint)), (None, None, Funding::Unknown));
    assert_eq!(view.wanted(9), (vec![outpoint], None));
}

/// What a view should know, worked out from the whole chain at once.
fn expected(chain: &[Arc<CheckedBlock>], outpoint: OutPoint) -> (Option<u32>, Option<u32>) {
    let at = |holds: &dyn Fn(&bitcoin::Transaction) -> bool| {
        chain.iter().find(|b| b.block().txdata.iter().any(holds)).map(|b| b.height())
    };
    let made = at(&|t| t.compute_txid() == outpoint.txid);
    let spent = at(&|t| t.input.iter().any(|i| i.previous_output == outpoint));
    (made, spent)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever blocks come and go, and whenever the watch begins: what is known is what the chain that is left holds,
    /// also after a restart from what was told to be stored.
    #[test]
    fn the_view_is_what_its_chain_says(
        steps in prop::collection::vec((0u32..4, 1u32..5, any::<bool>(), any::<bool>()), 1..14),
        watched_at in 0usize..14,
    ) {
        let (outpoint, txout, funding, close) = channel();
        let (mut view, mut miner) = beginning();
        let mut chain = vec![genesis()];
        let mut stored = BTreeMap::from([(0, *genesis().header())]);
        let mut keep = |change: Change| {
            for (height, header) in change.headers {
                match header {
                    Some(header) => drop(stored.insert(height, header)),
                    None => drop(stored.remove(&height)),
                }
            }
            stored.clone()
        };
        for (salt, (undo, more, fund, spend)) in (1u32..).zip(&steps) {
            if salt as usize == watched_at {
                view.watch(outpoint, txout.clone(), false);
            }
            let fork = (chain.len() as u32 - 1).saturating_sub(*undo);
            miner = miner.branch(fork, salt);
            chain.truncate(fork as usize + 1);
            let undone = view.tip().expect("a tip").height - fork;
            let blocks: Vec<_> = (0..undone + more).map(|n| {
                let (made, gone) = expected(&chain, outpoint);
                let mut transactions = Vec::new();
                if *fund && n == 0 && made.is_none() {
                    transactions.push(funding.clone());
                }
                if *spend && n + 1 == undone + more && gone.is_none() && (made.is_some() || !transactions.is_empty()) {
                    transactions.push(close.clone());
                }
                let block = Arc::new(miner.mine(transactions));
                chain.push(block.clone());
                block
            }).collect();
            let change = view.reorganise(fork, &blocks).expect("more work, by the rules");
            let stored = keep(change);
            look_up(&mut view, &chain).expect("sound");
            let watches = view.watches.clone();
            let again = View::load(Network::Regtest, &stored, watches, None).expect("what was stored is sound");
            prop_assert_eq!(again.tip(), view.tip());
            for view in [&view, &again] {
                let (made, spent) = match view.watched(&outpoint) {
                    None => (None, None),
                    Some(watch) => {
                        let height = |at: &(u32, TxOut)| at.0;
                        (watch.confirmed.as_ref().map(height), watch.spent.map(|(height, _)| height))
                    }
                };
                if view.watched(&outpoint).is_some() {
                    prop_assert_eq!((made, spent), expected(&chain, outpoint));
                }
            }
        }
    }
}
