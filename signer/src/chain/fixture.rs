//! Blocks mined for tests, with regtest's work.

use std::collections::HashMap;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash as _;
use bitcoin::{
    Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Txid, Witness, transaction,
};

use super::block::CheckedBlock;

/// Mines on regtest, from block 1.
#[derive(Clone)]
pub(crate) struct Miner {
    tip: Header,
    height: u32,
    /// So that two branches differ.
    salt: u32,
    earlier: HashMap<u32, Header>,
}

impl Miner {
    /// At block 0.
    pub(crate) fn regtest() -> Self {
        let genesis = genesis_block(Network::Regtest).header;
        Self { tip: genesis, height: 0, salt: 0, earlier: HashMap::from([(0, genesis)]) }
    }

    /// A miner whose next block follows the one at `height`, on a branch of its own.
    pub(crate) fn branch(&self, height: u32, salt: u32) -> Self {
        Self { tip: self.earlier[&height], height, salt, earlier: self.earlier.clone() }
    }

    /// A header for an empty next block, not mined yet.
    pub(crate) fn next_header(&self) -> Header {
        Header {
            version: Version::TWO,
            prev_blockhash: self.tip.block_hash(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: self.tip.time + 600,
            bits: self.tip.bits,
            nonce: 0,
        }
    }

    /// Mines a block with these transactions after its coinbase.
    pub(crate) fn mine(&mut self, transactions: Vec<Transaction>) -> CheckedBlock {
        self.height += 1;
        let script_sig = ScriptBuf::builder().push_int(i64::from(self.height)).push_int(i64::from(self.salt));
        let coinbase = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: script_sig.into_script(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut { value: Amount::from_sat(50), script_pubkey: ScriptBuf::new() }],
        };
        let txdata = [vec![coinbase], transactions].concat();
        let block = mined(Block { header: self.next_header(), txdata });
        self.tip = block.header;
        self.earlier.insert(self.height, block.header);
        CheckedBlock::check(self.height, block.block_hash(), block).expect("mined by the rules")
    }
}

/// The block with the merkle root of its transactions and work done.
pub(crate) fn mined(mut block: Block) -> Block {
    block.header.merkle_root = block.compute_merkle_root().expect("a block has transactions");
    block.header = mine_header(block.header);
    block
}

/// The header with a nonce that meets its target.
pub(crate) fn mine_header(mut header: Header) -> Header {
    while header.validate_pow(header.target()).is_err() {
        header.nonce += 1;
    }
    header
}

/// Spends `coin` to `out`.
pub(crate) fn spend(coin: OutPoint, out: TxOut) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: coin,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![out],
    }
}

/// A coin that nobody watches.
pub(crate) fn coin(n: u8) -> OutPoint {
    OutPoint { txid: Txid::from_byte_array([n; 32]), vout: 0 }
}

/// An output of `sat`.
pub(crate) fn output(sat: u64) -> TxOut {
    TxOut { value: Amount::from_sat(sat), script_pubkey: ScriptBuf::from(vec![0x51]) }
}

/// No block has this hash.
pub(crate) fn no_hash() -> BlockHash {
    BlockHash::all_zeros()
}
