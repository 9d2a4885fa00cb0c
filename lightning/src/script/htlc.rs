//! HTLC outputs of a commitment (BOLT 3), legacy and anchors.

use super::KeyBytes;
use super::scan::Scan;

/// An HTLC output. "Local" is the owner of the commitment, who need not be us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Htlc {
    /// HASH160 of the revocation key.
    pub revocation_hash: [u8; 20],
    /// HTLC key of the party that does not own the commitment.
    pub remote_key: KeyBytes,
    /// HTLC key of the commitment's owner.
    pub local_key: KeyBytes,
    /// RIPEMD160 of the payment hash.
    pub payment_hash160: [u8; 20],
    /// Direction.
    pub kind: HtlcKind,
    /// Has the `1 OP_CSV OP_DROP` of `option_anchors`.
    pub anchors: bool,
}

/// Direction of an HTLC, seen from the commitment's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HtlcKind {
    /// The owner offered it; its timeout is in the second-level transaction's locktime.
    Offered,
    /// The owner received it, and the other party may take it back from this block height on.
    Received {
        /// Block height (or time) of the timeout.
        cltv_expiry: u32,
    },
}

// OP_DUP OP_HASH160 … OP_EQUAL OP_IF OP_CHECKSIG OP_ELSE … OP_SWAP OP_SIZE 32 OP_EQUAL
const HEAD: [u8; 2] = [0x76, 0xa9];
const REVOKED: [u8; 4] = [0x87, 0x63, 0xac, 0x67];
const SIZED: [u8; 5] = [0x7c, 0x82, 0x01, 0x20, 0x87];
const ANCHORS: [u8; 3] = [0x51, 0xb2, 0x75];

impl Htlc {
    /// Matches the whole script.
    pub fn parse(script: &[u8]) -> Option<Self> {
        let mut scan = Scan::new(script);
        scan.literal(&HEAD)?;
        let revocation_hash = scan.push()?;
        scan.literal(&REVOKED)?;
        let remote_key = scan.push()?;
        scan.literal(&SIZED)?;
        let (local_key, payment_hash160, kind) = if scan.literal(&[0x64]).is_some() {
            // OP_NOTIF OP_DROP 2 OP_SWAP <local> 2 OP_CHECKMULTISIG OP_ELSE OP_HASH160 <h> OP_EQUALVERIFY
            scan.literal(&[0x75, 0x52, 0x7c])?;
            let local = scan.push()?;
            scan.literal(&[0x52, 0xae, 0x67, 0xa9])?;
            let hash = scan.push()?;
            scan.literal(&[0x88, 0xac, 0x68])?;
            (local, hash, HtlcKind::Offered)
        } else {
            // OP_IF OP_HASH160 <h> OP_EQUALVERIFY 2 OP_SWAP <local> 2 OP_CHECKMULTISIG
            // OP_ELSE OP_DROP <cltv> OP_CLTV OP_DROP OP_CHECKSIG OP_ENDIF
            scan.literal(&[0x63, 0xa9])?;
            let hash = scan.push()?;
            scan.literal(&[0x88, 0x52, 0x7c])?;
            let local = scan.push()?;
            scan.literal(&[0x52, 0xae, 0x67, 0x75])?;
            let cltv_expiry = scan.number()?;
            scan.literal(&[0xb1, 0x75, 0xac, 0x68])?;
            (local, hash, HtlcKind::Received { cltv_expiry })
        };
        let anchors = match scan.literal(&ANCHORS) {
            Some(()) => true,
            None if scan.is_empty() => return None,
            None => false,
        };
        scan.literal(&[0x68])?;
        scan.end()?;
        Some(Self { revocation_hash, remote_key, local_key, payment_hash160, kind, anchors })
    }
}
