//! Time that VLS's rules take for one commitment of the peer's, by its HTLCs, and for a block:
//! `cargo run --release -p strongroom-lightning --example vls_speed`.

#![expect(clippy::print_stdout, reason = "it is its output")]

use std::hint::black_box;
use std::time::Instant;

use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, Block, Network, OutPoint, Txid};
use secp256k1::PublicKey;
use strongroom_lightning::Vls;
use strongroom_lightning::vls::{ChannelFacts, CommitmentFacts, HtlcFacts};
use strongroom_policy::{Policy, Profile};

const TIMES: u32 = 2_000;

fn main() {
    let text = Profile::Cautious.render(strongroom_policy::Network::Regtest);
    let limits = Policy::from_toml(&text).expect("the shipped profile").vls().clone();
    for htlcs in [0, 10, 100, 483] {
        let mut vls = Vls::new(limits.clone(), Network::Regtest, generator());
        let before = commitment(1, htlcs);
        let taught = vls.learns(&before);
        let stored: usize = taught.records().iter().map(|(key, value)| key.len() + value.len()).sum();
        vls.learn(taught);
        let next = commitment(2, htlcs + 1);
        assert_eq!(vls.counterparty_commitment(&next), []);
        let judged = each(|| drop(black_box(vls.counterparty_commitment(black_box(&next)))));
        let learned = each(|| {
            let taught = vls.learns(black_box(&next));
            black_box(taught.records());
            vls.learn(taught);
        });
        println!(
            "{htlcs:4} HTLCs: judged in {judged:7.1} µs; written and learned in {learned:7.1} µs, {stored} bytes"
        );
    }
    let mut vls = Vls::new(limits, Network::Regtest, generator());
    let genesis = genesis_block(Network::Regtest);
    let _ = vls.connect(&genesis, 0).expect("the first block");
    for index in 0..500u32 {
        let mut facts = commitment(0, 0);
        facts.channel.funding = OutPoint { txid: Txid::hash(&index.to_be_bytes()), vout: 0 };
        vls.learn(vls.learns(&facts));
    }
    let block = full_block(&genesis);
    let start = Instant::now();
    let _ = vls.connect(&block, 1).expect("the next block");
    println!(
        "a block of {} transactions, 500 channels watched: {:.1} ms",
        block.txdata.len(),
        start.elapsed().as_secs_f64() * 1e3
    );
}

/// A block as full as bitcoin's, with regtest's work.
fn full_block(genesis: &Block) -> Block {
    let mut block = genesis.clone();
    let coinbase = genesis.txdata[0].clone();
    for index in 0..4_000u32 {
        let mut transaction = coinbase.clone();
        let spent = |vout| OutPoint { txid: Txid::hash(&index.to_le_bytes()), vout };
        transaction.input = (1..3)
            .map(|vout| bitcoin::TxIn { previous_output: spent(vout), ..coinbase.input[0].clone() })
            .collect();
        block.txdata.push(transaction);
    }
    block.header.prev_blockhash = genesis.block_hash();
    block.header.merkle_root = block.compute_merkle_root().expect("it has transactions");
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
    block
}

/// Microseconds, the mean of the better half of ten rounds.
fn each(mut step: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..10)
        .map(|_| {
            let start = Instant::now();
            (0..TIMES / 10).for_each(|_| step());
            start.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES / 10)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[..5].iter().sum::<f64>() / 5.0
}

fn commitment(number: u64, htlcs: u32) -> CommitmentFacts {
    let channel = ChannelFacts {
        funding: OutPoint { txid: Txid::all_zeros(), vout: 0 },
        capacity: Amount::from_sat(16_000_000),
        anchors: true,
        we_funded: Some(true),
        from_zero: true,
    };
    let htlcs: Vec<HtlcFacts> = (0..htlcs)
        .map(|n| {
            let mut payment_hash160 = [7; 20];
            payment_hash160[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
            HtlcFacts {
                offered_by_us: n.is_multiple_of(2),
                amount: Amount::from_sat(1_000 + u64::from(n % 50)),
                payment_hash160,
                cltv_expiry: 800_000 + n,
            }
        })
        .collect();
    let carried: Amount = htlcs.iter().map(|htlc| htlc.amount).sum();
    let fee = Amount::from_sat((1_124 + 172 * htlcs.len() as u64) * 5 / 2 + 660);
    let to_remote = Amount::from_sat(8_000_000);
    let to_local = channel.capacity - to_remote - fee - carried;
    CommitmentFacts { channel, number, to_remote, to_local, htlcs, unread: Vec::new() }
}

/// Any key serves as the node's id.
fn generator() -> PublicKey {
    "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse().expect("the generator")
}
