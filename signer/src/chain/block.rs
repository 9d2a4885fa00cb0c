//! A block whose own commitments hold.

use bitcoin::block::Header;
use bitcoin::{Block, BlockHash, Transaction, Txid, merkle_tree};

use super::contradiction::Contradiction;

/// A block that has the hash it was asked for by, the work its header names, and the transactions its header commits
/// to. Whether it belongs to the chain only [`View`](super::View) can say.
#[derive(Debug)]
pub struct CheckedBlock {
    height: u32,
    hash: BlockHash,
    block: Block,
    /// Ids of its transactions, in order: computed once, and not on the journal's thread.
    txids: Vec<Txid>,
}

impl CheckedBlock {
    /// Checks `block`, which was asked for as `asked` at `height`.
    pub fn check(height: u32, asked: BlockHash, block: Block) -> Result<Self, Contradiction> {
        let hash = block.block_hash();
        if hash != asked {
            return Err(Contradiction::WrongHash { asked, found: hash, height });
        }
        has_work(&block.header, height)?;
        let wrong = |what| Err(Contradiction::Transactions { hash, height, what });
        // A block cut in the middle of its merkle tree has inner nodes for transactions; none of them is a coinbase.
        if !block.txdata.first().is_some_and(Transaction::is_coinbase) {
            return wrong("its first transaction is no coinbase");
        }
        let txids: Vec<Txid> = block.txdata.iter().map(Transaction::compute_txid).collect();
        let root = merkle_tree::calculate_root(txids.iter().map(|txid| txid.to_raw_hash()));
        if root != Some(block.header.merkle_root.to_raw_hash()) {
            return wrong("its transactions are not those of the merkle root");
        }
        if !block.check_witness_commitment() {
            return wrong("its witnesses are not those that the coinbase commits to");
        }
        Ok(Self { height, hash, block, txids })
    }

    /// Its height, as bitcoind says.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Its hash.
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        &self.block.header
    }

    /// The block itself, for whoever follows the chain beside us.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Its transactions with their ids.
    pub fn transactions(&self) -> impl Iterator<Item = (Txid, &Transaction)> {
        self.txids.iter().copied().zip(&self.block.txdata)
    }
}

/// The header's hash meets the target that it names.
pub(super) fn has_work(header: &Header, height: u32) -> Result<BlockHash, Contradiction> {
    header.validate_pow(header.target()).map_err(|_| Contradiction::ProofOfWork {
        hash: header.block_hash(),
        height,
        bits: header.bits.to_consensus(),
    })
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;
    use bitcoin::{Amount, ScriptBuf, TxOut};

    use super::*;
    use crate::chain::fixture::{Miner, mined, spend};

    fn block() -> Block {
        let mut miner = Miner::regtest();
        let coin = bitcoin::OutPoint { txid: Txid::from_byte_array([7; 32]), vout: 0 };
        let out = TxOut { value: Amount::from_sat(5), script_pubkey: ScriptBuf::new() };
        miner.mine(vec![spend(coin, out)]).block().clone()
    }

    #[test]
    fn what_the_header_does_not_commit_to_is_refused() {
        let good = block();
        let refused = |asked, block: Block| {
            CheckedBlock::check(1, asked, block).map(|_| ()).expect_err("must be refused").name()
        };

        let mut more = good.clone();
        more.txdata[1].output[0].value = Amount::from_sat(6);
        assert_eq!(refused(good.block_hash(), more), "transactions");

        let mut headless = good.clone();
        headless.txdata.remove(0);
        let headless = mined(headless);
        assert_eq!(refused(headless.block_hash(), headless), "transactions");

        let mut witness = good.clone();
        witness.txdata[1].input[0].witness.push([1]);
        assert_eq!(refused(good.block_hash(), witness), "transactions");

        let mut lazy = good.clone();
        while lazy.header.validate_pow(lazy.header.target()).is_ok() {
            lazy.header.nonce += 1;
        }
        assert_eq!(refused(lazy.block_hash(), lazy), "proof-of-work");

        assert_eq!(refused(BlockHash::all_zeros(), good), "wrong-hash");
    }

    #[test]
    fn a_sound_block_is_taken() {
        let good = block();
        let checked = CheckedBlock::check(1, good.block_hash(), good.clone()).expect("sound");
        assert_eq!(checked.transactions().count(), 2);
        assert_eq!(checked.block(), &good);
    }
}
