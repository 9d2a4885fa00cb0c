//! Anchor outputs (BOLT 3, `option_anchors`).

use bitcoin::{Amount, ScriptBuf};

use super::KeyBytes;
use super::scan::Scan;

/// `<funding key> OP_CHECKSIG OP_IFDUP OP_NOTIF 16 OP_CSV OP_ENDIF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The funding key of the party that may bump.
    pub key: KeyBytes,
}

const TAIL: [u8; 6] = [0xac, 0x73, 0x64, 0x60, 0xb2, 0x68];

impl Anchor {
    /// Value of every anchor.
    pub const AMOUNT: Amount = Amount::from_sat(330);

    /// Matches the whole script.
    pub fn parse(script: &[u8]) -> Option<Self> {
        let mut scan = Scan::new(script);
        let key = scan.push()?;
        scan.literal(&TAIL)?;
        scan.end()?;
        Some(Self { key })
    }
}

/// Anchor script of a funding key.
pub fn anchor_script(key: &KeyBytes) -> ScriptBuf {
    let mut script = Vec::with_capacity(40);
    script.push(33);
    script.extend(key);
    script.extend(TAIL);
    ScriptBuf::from_bytes(script)
}
