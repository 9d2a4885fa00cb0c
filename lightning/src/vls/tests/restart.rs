//! What a restart must not lose.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::blocks::Miner;
use super::commitments::{commitment, htlc, next, opened};
use super::*;

#[test]
fn records_that_cannot_be_read_are_refused() {
    let load = |key: &[u8], value: &[u8]| {
        Vls::load(limits(), Network::Regtest, node(1), [(key.to_vec(), value.to_vec())]).err()
    };
    let taught = vls().learns(&commitment(1, 5_000_000, vec![]));
    let (key, value) = taught.records().remove(0);
    assert_eq!(load(&key, &value), None);
    let other_form = [&[9][..], &value[1..]].concat();
    let longer = [&value[..], &[0]].concat();
    for (key, value) in [
        (&b""[..], &value[..]),
        (b"?", &value),
        (&key, &[]),
        (&key, &other_form),
        (&key, &value[..value.len() - 1]),
        (&key, &longer),
        (b"t", &value),
        (b"w123", &value),
    ] {
        assert_eq!(load(key, value), Some(BadRecord { key: key.to_vec() }));
    }
}

#[test]
fn everything_is_as_it_was() {
    let mut stored = BTreeMap::new();
    let mut vls = vls();
    let mut miner = Miner::at(200);
    let funding = miner.pays(10_000_000);
    let outpoint = OutPoint { txid: funding.compute_txid(), vout: 0 };
    let mut blocks = vec![miner.tip.clone()];
    stored.extend(vls.connect(&blocks[0], 200).unwrap().records());
    let mut facts = commitment(0, 9_996_530, vec![]);
    facts.channel.funding = outpoint;
    for number in 0..3 {
        facts.number = number;
        if number == 1 {
            blocks.push(miner.mine(vec![funding.clone()]));
            stored.extend(vls.connect(&blocks[1], 201).unwrap().records());
        }
        assert_eq!(vls.counterparty_commitment(&facts), []);
        let taught = vls.learns(&facts);
        stored.extend(taught.records());
        vls.learn(taught);
    }
    let mut again = Vls::load(limits(), Network::Regtest, node(1), stored.clone()).unwrap();
    assert_eq!(again.height(), vls.height());
    for number in [1, 2, 3] {
        let asked = next(&vls, number, vec![htlc(1, 20_000)]);
        assert_eq!(again.counterparty_commitment(&asked), vls.counterparty_commitment(&asked), "{number}");
    }
    // The chain goes on, and back beyond the restart.
    let next_block = miner.mine(vec![]);
    for vls in [&mut vls, &mut again] {
        assert_eq!(vls.connect(&next_block.clone(), 202).unwrap().records().len(), 1);
        for block in [next_block.clone(), blocks[1].clone()] {
            let _ = vls.disconnect(&block).unwrap();
        }
        assert_eq!(vls.height(), Some(200));
        assert!(!vls.counterparty_commitment(&next(vls, 3, vec![])).is_empty());
    }
}

#[test]
fn only_as_many_blocks_are_kept_as_vls_goes_back() {
    let (mut vls, mut miner) = opened(node(1), false);
    let mut sizes = Vec::new();
    let mut blocks = Vec::new();
    for height in 201..=201 + DEPTH as u32 + 3 {
        blocks.push(miner.mine(vec![]));
        let taught = vls.connect(&blocks[blocks.len() - 1], height).unwrap();
        sizes.push(taught.records().iter().map(|(_, value)| value.len()).sum::<usize>());
    }
    assert_eq!(sizes[sizes.len() - 1], sizes[sizes.len() - 3]);
    for block in blocks.iter().rev().take(DEPTH) {
        let _ = vls.disconnect(block).unwrap();
    }
    let oldest = &blocks[blocks.len() - 1 - DEPTH];
    assert_eq!(vls.disconnect(oldest), Err(ChainError::TooDeep));
}

proptest! {
    #[test]
    fn no_facts_panic(
        number: u64,
        amounts in prop::collection::vec(any::<u64>(), 0..6),
        (to_remote, to_local, capacity) in any::<(u64, u64, u64)>(),
        cltv_expiry: u32,
        flags: u8,
    ) {
        let (mut vls, _) = opened(node(1), flags & 1 == 0);
        let mut facts = next(&vls, number, vec![]);
        facts.to_remote = sat(to_remote);
        facts.to_local = sat(to_local);
        facts.channel.capacity = sat(capacity);
        facts.channel.anchors = flags & 2 == 0;
        facts.channel.from_zero = flags & 4 == 0;
        facts.htlcs = amounts.iter().map(|n| HtlcFacts { cltv_expiry, ..htlc(*n as u32, *n) }).collect();
        facts.unread = amounts.iter().map(|n| sat(*n)).collect();
        let found = vls.counterparty_commitment(&facts);
        prop_assert!(!tags(&found).contains(PANIC), "{found:?}");
        for htlc in &facts.htlcs {
            let found = vls.counterparty_htlc(&facts.channel, htlc, sat(to_local));
            prop_assert!(!tags(&found).contains(PANIC), "{found:?}");
        }
        let taught = vls.learns(&facts);
        let _ = taught.records();
        vls.learn(taught);
    }
}
