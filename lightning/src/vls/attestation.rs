//! The attestation that a TXOO proof must carry, signed by ourselves.
//!
//! VLS can be told to trust blocks that named oracles attest. Here no oracle is named: blocks come from our own bitcoind,
//! and proof of work and linkage are what VLS checks. A proof without any attestation is malformed all the same, so each
//! gets one by a key that everybody knows and that vouches for nothing.

use bitcoin::hash_types::FilterHeader;
use bitcoin::{Block, BlockHash};
use secp256k1::{Keypair, PublicKey, SECP256K1};
use txoo::filter::BlockSpendFilter;
use txoo::util::sign_attestation;
use txoo::{Attestation, SignedAttestation};

/// The secret key 1.
const NOBODYS: [u8; 32] = {
    let mut one = [0; 32];
    one[31] = 1;
    one
};

/// Attests a block and the filter of the outputs it spends, which follows on the filter before.
pub(super) fn attest(
    block: &Block,
    height: u32,
    before: &FilterHeader,
) -> Vec<(PublicKey, SignedAttestation)> {
    let block_hash: BlockHash = block.block_hash();
    let filter_header = BlockSpendFilter::from_block(block).filter_header(before);
    let attestation = Attestation { block_hash, block_height: height, filter_header, time: 0 };
    let key = Keypair::from_seckey_slice(SECP256K1, &NOBODYS).expect("one is a secret key");
    vec![(key.public_key(), sign_attestation(attestation, &key, SECP256K1))]
}
