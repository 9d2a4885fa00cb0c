//! `to_remote`: what a commitment pays to the party that did not broadcast it.

use bitcoin::ScriptBuf;

use super::KeyBytes;
use super::scan::Scan;

/// Form of a channel's `to_remote` output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ToRemote {
    /// P2WPKH of the payment basepoint (`option_static_remotekey`).
    StaticKey,
    /// P2WSH of `<key> OP_CHECKSIGVERIFY 1 OP_CSV` (`option_anchors`).
    Anchors,
}

/// `<key> OP_CHECKSIGVERIFY 1 OP_CHECKSEQUENCEVERIFY`.
pub fn to_remote_script(key: &KeyBytes) -> ScriptBuf {
    let mut script = Vec::with_capacity(37);
    script.push(33);
    script.extend(key);
    script.extend([0xad, 0x51, 0xb2]);
    ScriptBuf::from_bytes(script)
}

/// The key of an anchors `to_remote` script.
pub fn parse_to_remote(script: &[u8]) -> Option<KeyBytes> {
    let mut scan = Scan::new(script);
    let key = scan.push()?;
    scan.literal(&[0xad, 0x51, 0xb2])?;
    scan.end()?;
    Some(key)
}
