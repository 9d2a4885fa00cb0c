//! Blocks of a regtest chain, with real work, and what VLS's tracker makes of them.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version as TxVersion;
use bitcoin::{
    Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, Witness,
};

use super::commitments::{next, opened};
use super::*;

pub(super) struct Miner {
    pub(super) tip: Block,
    height: u32,
    /// Makes blocks of another branch differ.
    branch: u8,
}

impl Miner {
    pub(super) fn at(height: u32) -> Self {
        Self { tip: mined(BlockHash::all_zeros(), height, 0, vec![]), height, branch: 0 }
    }

    /// A branch that leaves the chain at `block`, which is at `height`.
    fn from(block: Block, height: u32, branch: u8) -> Self {
        Self { tip: block, height, branch }
    }

    pub(super) fn pays(&self, amount: u64) -> Transaction {
        transaction(&[(outpoint(self.branch), 0)], vec![pays(amount, &stranger(1))], self.height)
    }

    pub(super) fn mine(&mut self, transactions: Vec<Transaction>) -> Block {
        self.height += 1;
        self.tip = mined(self.tip.block_hash(), self.height, self.branch, transactions);
        self.tip.clone()
    }
}

fn mined(prev_blockhash: BlockHash, height: u32, branch: u8, transactions: Vec<Transaction>) -> Block {
    let coinbase = Transaction {
        version: TxVersion::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from([&height.to_be_bytes()[..], &[branch]].concat()),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![pays(50, &stranger(height))],
    };
    let header = Header {
        version: Version::TWO,
        prev_blockhash,
        merkle_root: TxMerkleNode::all_zeros(),
        time: height,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let mut block = Block { header, txdata: [vec![coinbase], transactions].concat() };
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
    block
}

fn spend(funding: OutPoint) -> Transaction {
    transaction(&[(funding, 0x8000_0000)], vec![pays(9, &stranger(9))], 0)
}

#[test]
fn blocks_that_do_not_follow_are_refused_and_change_nothing() {
    let mut vls = vls();
    let mut miner = Miner::at(200);
    let first = miner.tip.clone();
    let _ = vls.connect(&first, 200).unwrap();
    let good = miner.mine(vec![]);
    let mut lazy = good.clone();
    while lazy.header.validate_pow(lazy.header.target()).is_ok() {
        lazy.header.nonce += 1;
    }
    let elsewhere = Miner::at(300).mine(vec![]);
    let mut easier = good.clone();
    easier.header.bits = CompactTarget::from_consensus(0x207f_fffe);
    while easier.header.validate_pow(easier.header.target()).is_err() {
        easier.header.nonce += 1;
    }
    for (block, height) in [(&good, 200), (&good, 202), (&lazy, 201), (&elsewhere, 201), (&easier, 201)] {
        assert!(vls.connect(block, height).is_err(), "{height}");
        assert_eq!(vls.height(), Some(200));
    }
    assert_eq!(vls.disconnect(&good), Err(ChainError::NotTheTip(200)));
    assert_eq!(vls.disconnect(&first), Err(ChainError::TooDeep));
    let taught = vls.connect(&good, 201).unwrap();
    assert_eq!((vls.height(), taught.records().len()), (Some(201), 1));
}

/// A transaction that the block's header does not commit to proves nothing, also if it is one that is waited for.
#[test]
fn a_transaction_that_is_not_in_the_header_confirms_nothing() {
    let (mut vls, mut miner) = opened(node(1), false);
    let funding = miner.pays(10_000_000);
    let mut block = miner.mine(vec![]);
    block.txdata.push(funding);
    assert!(matches!(vls.connect(&block, 201), Err(ChainError::Refused(_))));
    assert_eq!(vls.height(), Some(200));
    let found = vls.counterparty_commitment(&next(&vls, 1, Vec::new()));
    assert!(tags(&found).contains("policy-commitment-spends-active-utxo"));
}

/// What VLS had done before it failed is undone.
#[test]
fn a_panic_of_the_tracker_changes_nothing() {
    let (mut vls, mut miner) = opened(node(1), false);
    let (funding, confirms) = (*vls.channels.keys().next().unwrap(), miner.pays(10_000_000));
    let block = miner.mine(vec![confirms]);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let chain = vls.chain.as_mut().unwrap();
    let outcome = chain.guarded(|chain| {
        chain.connect(&block, 201).unwrap();
        panic!("as VLS may");
    });
    std::panic::set_hook(hook);
    assert!(matches!(outcome, Err(ChainError::Refused(_))));
    assert_eq!(
        (vls.height(), vls.chain.as_ref().unwrap().funding(&funding).unwrap().confirmed),
        (Some(200), None)
    );
    let _ = vls.connect(&block, 201).unwrap();
    assert_eq!(vls.chain.as_ref().unwrap().funding(&funding).unwrap().confirmed, Some(201));
}

/// Difficulty is set anew with every 2,016th block; on regtest to what it was.
#[test]
fn a_new_period_of_difficulty_goes_on() {
    let mut vls = vls();
    let mut miner = Miner::at(2_013);
    let _ = vls.connect(&miner.tip, 2_013).unwrap();
    for height in 2_014..=2_018 {
        let _ = vls.connect(&miner.mine(vec![]), height).unwrap();
    }
}

#[test]
fn networks_whose_difficulty_vls_does_not_know_are_refused() {
    for network in [Network::Signet, Network::Testnet4] {
        let mut vls = Vls::new(limits(), network, node(1));
        assert_eq!(vls.connect(&Miner::at(5).tip, 5), Err(ChainError::Network(network)));
    }
}

#[test]
fn a_reorganisation_of_six_takes_back_confirmation_and_closing() {
    let (mut vls, mut miner) = opened(node(1), false);
    let (fork, funding) = (miner.tip.clone(), *vls.channels.keys().next().unwrap());
    let allowed = |vls: &Vls| vls.counterparty_commitment(&next(vls, 1, Vec::new())).is_empty();
    assert!(!allowed(&vls));
    let confirms = miner.pays(10_000_000);
    let mut blocks = vec![miner.mine(vec![confirms.clone()])];
    let _ = vls.connect(&blocks[0], 201).unwrap();
    assert!(allowed(&vls));
    // Spent in the fourth of six.
    for height in 202..=206 {
        let inside = if height == 204 { vec![spend(funding)] } else { vec![] };
        blocks.push(miner.mine(inside));
        let _ = vls.connect(&blocks[blocks.len() - 1], height).unwrap();
        assert_eq!(allowed(&vls), height < 204, "{height}");
    }
    for (height, block) in (201..=206).rev().zip(blocks.iter().rev()) {
        assert_eq!(vls.height(), Some(height));
        let _ = vls.disconnect(block).unwrap();
        assert_eq!(allowed(&vls), (202..=204).contains(&height), "{height}");
    }
    // The other branch confirms it two blocks later, and nobody spends it.
    let mut other = Miner::from(fork, 200, 1);
    for height in 201..=207 {
        let inside = if height == 203 { vec![confirms.clone()] } else { vec![] };
        let _ = vls.connect(&other.mine(inside), height).unwrap();
        assert_eq!(allowed(&vls), height >= 203, "{height}");
    }
}

#[test]
fn funding_and_spend_in_one_block_is_a_closed_channel() {
    let (mut vls, mut miner) = opened(node(1), false);
    let funding = *vls.channels.keys().next().unwrap();
    let confirms = miner.pays(10_000_000);
    let block = miner.mine(vec![confirms, spend(funding)]);
    let _ = vls.connect(&block, 201).unwrap();
    let found = vls.counterparty_commitment(&next(&vls, 1, Vec::new()));
    assert!(tags(&found).contains("policy-commitment-spends-active-utxo"), "{found:?}");
}

#[test]
fn what_confirmed_before_we_looked_is_unknown_until_bitcoind_says() {
    let mut vls = vls();
    let facts = commitments::commitment(3, 5_000_000, Vec::new());
    vls.learn(vls.learns(&facts));
    let mut miner = Miner::at(200);
    let _ = vls.connect(&miner.tip, 200).unwrap();
    let funding = facts.channel.funding;
    let after = commitments::commitment(4, 5_000_000, Vec::new());
    assert_eq!(vls.unknown_fundings(), [funding]);
    assert_eq!(vls.counterparty_commitment(&after), []);
    assert_eq!(vls.confirmed(funding, 150).records().len(), 1);
    assert_eq!(vls.unknown_fundings(), []);
    assert_eq!(vls.counterparty_commitment(&after), []);
    let _ = vls.connect(&miner.mine(vec![spend(funding)]), 201).unwrap();
    assert!(!vls.counterparty_commitment(&after).is_empty());
}

/// A block whose filter seems to match an output that it does not spend comes in pieces. Such a block cannot be mined
/// on purpose, so the pieces are given as the tracker would get them.
#[test]
fn a_block_in_pieces_says_the_same() {
    use bitcoin::absolute::LockTime;
    use lightning_signer::chain::tracker::ChainListener as _;
    use push_decoder::Listener as _;

    let funding = outpoint(1);
    let watch = super::super::funding_watch::FundingWatch::default();
    let from_opening = Funding { from_opening: true, confirmed: None, spent: None };
    watch.lock().fundings.insert(funding, from_opening);
    let spends = spend(funding);
    watch.on_push(|pieces| pieces.on_block_start(&Miner::at(1).tip.header));
    watch.on_push(|pieces| {
        for (txid, inputs) in [(funding.txid, vec![]), (spends.compute_txid(), spends.input.clone())] {
            pieces.on_transaction_start(2);
            inputs.iter().for_each(|input| pieces.on_transaction_input(input));
            pieces.on_transaction_end(LockTime::ZERO, txid);
        }
        pieces.on_block_end();
    });
    assert_eq!(watch.lock().fundings[&funding], from_opening);
    watch.on_add_streamed_block_end(&BlockHash::all_zeros());
    let seen = Funding { from_opening: true, confirmed: Some(1), spent: Some(1) };
    assert_eq!(watch.lock().fundings[&funding], seen);
    let mut watched = watch.lock();
    watched.on_transaction_end(LockTime::ZERO, funding.txid);
    drop(watched);
    watch.on_remove_streamed_block_end(&BlockHash::all_zeros());
    assert_eq!(watch.lock().fundings[&funding], from_opening);
}
