//! The funding output: 2-of-2 of both nodes' multisig keys (BOLT 3).

use bitcoin::ScriptBuf;

use super::KeyBytes;
use super::scan::Scan;

/// `2 <key> <key> 2 OP_CHECKMULTISIG`, keys in lexical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funding {
    /// The two keys as they stand.
    pub keys: [KeyBytes; 2],
}

impl Funding {
    /// Matches the whole script; keys out of order are no funding script.
    pub fn parse(script: &[u8]) -> Option<Self> {
        let mut scan = Scan::new(script);
        scan.literal(&[0x52])?;
        let keys = [scan.push()?, scan.push()?];
        scan.literal(&[0x52, 0xae])?;
        scan.end()?;
        (keys[0] < keys[1]).then_some(Self { keys })
    }

    /// The other party's key, if `ours` is one of the two.
    pub fn peer_of(&self, ours: &KeyBytes) -> Option<KeyBytes> {
        match &self.keys {
            [a, b] if a == ours => Some(*b),
            [a, b] if b == ours => Some(*a),
            _ => None,
        }
    }
}

/// Funding script of two keys.
pub fn funding_script(a: &KeyBytes, b: &KeyBytes) -> ScriptBuf {
    let (first, second) = if a < b { (a, b) } else { (b, a) };
    let mut script = Vec::with_capacity(71);
    script.extend([0x52, 33]);
    script.extend(first);
    script.push(33);
    script.extend(second);
    script.extend([0x52, 0xae]);
    ScriptBuf::from_bytes(script)
}
