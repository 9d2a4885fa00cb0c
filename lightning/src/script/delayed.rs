//! `to_local` and second-level HTLC outputs (BOLT 3).

use super::KeyBytes;
use super::scan::Scan;

/// `OP_IF <revocation> OP_ELSE <csv> OP_CSV OP_DROP <delayed> OP_ENDIF OP_CHECKSIG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delayed {
    /// Key that punishes.
    pub revocation: KeyBytes,
    /// Delay, a relative locktime.
    pub csv: u32,
    /// Key of the commitment's owner.
    pub delayed: KeyBytes,
}

impl Delayed {
    /// Matches the whole script.
    pub fn parse(script: &[u8]) -> Option<Self> {
        let mut scan = Scan::new(script);
        scan.literal(&[0x63])?;
        let revocation = scan.push()?;
        scan.literal(&[0x67])?;
        let csv = scan.number()?;
        scan.literal(&[0xb2, 0x75])?;
        let delayed = scan.push()?;
        scan.literal(&[0x68, 0xac])?;
        scan.end()?;
        Some(Self { revocation, csv, delayed })
    }
}
