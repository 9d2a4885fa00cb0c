//! The fields of one input that matter to signing, and where signatures belong among them.

use super::malformed::{InputProblem, Malformed};
use super::raw::Reader;

/// Field types of a PSBT input (BIP 174, BIP 371) and LND's own (`btcwallet/psbt.go`).
pub(super) mod kind {
    pub(crate) const NON_WITNESS_UTXO: u8 = 0x00;
    pub(crate) const WITNESS_UTXO: u8 = 0x01;
    pub(crate) const PARTIAL_SIG: u8 = 0x02;
    pub(crate) const SIGHASH: u8 = 0x03;
    pub(crate) const REDEEM_SCRIPT: u8 = 0x04;
    pub(crate) const WITNESS_SCRIPT: u8 = 0x05;
    pub(crate) const BIP32: u8 = 0x06;
    pub(crate) const FINAL_SCRIPT_SIG: u8 = 0x07;
    pub(crate) const FINAL_WITNESS: u8 = 0x08;
    pub(crate) const TAP_KEY_SIG: u8 = 0x13;
    pub(crate) const TAP_SCRIPT_SIG: u8 = 0x14;
    pub(crate) const TAP_LEAF_SCRIPT: u8 = 0x15;
    pub(crate) const TAP_BIP32: u8 = 0x16;
    pub(crate) const TAP_MERKLE_ROOT: u8 = 0x18;
    pub(crate) const SINGLE_TWEAK: u8 = 0x51;
    pub(crate) const DOUBLE_TWEAK: u8 = 0xd0;
}

/// A taproot leaf as field 0x15 gives it. The control block beside it is LND's invention and not looked at.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a> {
    pub(super) script: &'a [u8],
    pub(super) version: u8,
}

/// A key stated in field 0x06 or 0x16.
#[derive(Clone, Copy)]
pub(super) struct Stated<'a> {
    pub(super) key: &'a [u8],
    /// Derivation path after the fingerprint, four bytes each.
    path: &'a [u8],
}

impl Stated<'_> {
    pub(super) fn path(&self) -> Vec<u32> {
        let number = |n: &[u8]| u32::from_le_bytes(n.try_into().expect("chunks of four bytes"));
        self.path.chunks_exact(4).map(number).collect()
    }

    pub(super) fn same_path(&self, other: &Stated<'_>) -> bool {
        self.path == other.path
    }
}

/// Where one field lies, for placing signatures.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) start: usize,
    pub(super) rank: u8,
    pub(super) key: &'a [u8],
}

/// One input's map.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) non_witness_utxo: Option<&'a [u8]>,
    pub(super) witness_utxo: Option<&'a [u8]>,
    pub(super) partial_sigs: Vec<&'a [u8]>,
    pub(super) sighash: Option<u32>,
    pub(super) redeem_script: Option<&'a [u8]>,
    pub(super) witness_script: Option<&'a [u8]>,
    /// First in the order given: the one that LND signs with.
    pub(super) bip32: Option<Stated<'a>>,
    pub(super) final_script_sig: Option<&'a [u8]>,
    pub(super) final_witness: bool,
    pub(super) tap_key_sig: bool,
    pub(super) tap_script_sigs: Vec<&'a [u8]>,
    pub(super) tap_leaves: Vec<Leaf<'a>>,
    pub(super) tap_bip32: Vec<(Stated<'a>, &'a [u8])>,
    pub(super) tap_merkle_root: Option<&'a [u8]>,
    pub(super) single_tweak: Option<&'a [u8]>,
    pub(super) double_tweak: Option<&'a [u8]>,
    pub(super) places: Vec<Place<'a>>,
    /// Position of the separator.
    pub(super) end: usize,
}

/// Order in which btcutil's serializer writes input fields: signatures and scripts, then the final ones, then
/// whatever it does not know.
pub(super) fn rank(kind: Option<u8>) -> u8 {
    match kind {
        Some(k @ kind::NON_WITNESS_UTXO..=kind::BIP32) => k,
        Some(k @ kind::TAP_KEY_SIG..=kind::TAP_MERKLE_ROOT) => k,
        Some(kind::FINAL_SCRIPT_SIG) => 0x20,
        Some(kind::FINAL_WITNESS) => 0x21,
        _ => 0xff,
    }
}

impl<'a> Fields<'a> {
    /// Reads the map of input `index`.
    pub(super) fn read(reader: &mut Reader<'a>, index: usize) -> Result<Self, Malformed> {
        let mut fields = Self::default();
        loop {
            fields.end = reader.position();
            let Some(pair) = reader.pair()? else { break };
            let bad = |kind| Malformed::Input { index, problem: InputProblem::Field(kind) };
            fields.places.push(Place { start: pair.start, rank: rank(pair.kind), key: pair.key });
            let Some(kind) = pair.kind else { continue };
            let once = |slot: &mut Option<&'a [u8]>| {
                let fresh = slot.is_none() && pair.key.is_empty();
                *slot = Some(pair.value);
                fresh.then_some(()).ok_or(bad(kind))
            };
            match kind {
                kind::NON_WITNESS_UTXO => once(&mut fields.non_witness_utxo)?,
                kind::WITNESS_UTXO => once(&mut fields.witness_utxo)?,
                kind::REDEEM_SCRIPT => once(&mut fields.redeem_script)?,
                kind::WITNESS_SCRIPT => once(&mut fields.witness_script)?,
                kind::TAP_MERKLE_ROOT => once(&mut fields.tap_merkle_root)?,
                kind::SINGLE_TWEAK if pair.key.is_empty() => once(&mut fields.single_tweak)?,
                kind::DOUBLE_TWEAK if pair.key.is_empty() => once(&mut fields.double_tweak)?,
                kind::PARTIAL_SIG => fields.partial_sigs.push(pair.key),
                kind::SIGHASH => {
                    let value: [u8; 4] = pair.value.try_into().map_err(|_| bad(kind))?;
                    if fields.sighash.is_some() || !pair.key.is_empty() {
                        return Err(bad(kind));
                    }
                    fields.sighash = Some(u32::from_le_bytes(value));
                }
                kind::BIP32 => {
                    let path = path_after_fingerprint(pair.value).ok_or(bad(kind))?;
                    fields.bip32.get_or_insert(Stated { key: pair.key, path });
                }
                kind::FINAL_SCRIPT_SIG => once(&mut fields.final_script_sig)?,
                kind::FINAL_WITNESS => fields.final_witness = true,
                kind::TAP_KEY_SIG => fields.tap_key_sig = true,
                kind::TAP_SCRIPT_SIG => fields.tap_script_sigs.push(pair.key),
                kind::TAP_LEAF_SCRIPT => {
                    let (&version, script) = pair.value.split_last().ok_or(bad(kind))?;
                    fields.tap_leaves.push(Leaf { script, version });
                }
                kind::TAP_BIP32 => {
                    let (hashes, rest) = leaf_hashes(pair.value).ok_or(bad(kind))?;
                    let path = path_after_fingerprint(rest).ok_or(bad(kind))?;
                    fields.tap_bip32.push((Stated { key: pair.key, path }, hashes));
                }
                _ => {}
            }
        }
        Ok(fields)
    }
}

fn path_after_fingerprint(value: &[u8]) -> Option<&[u8]> {
    value.len().is_multiple_of(4).then(|| value.get(4..))?
}

/// The leaf hashes, 32 bytes each, and what follows them.
fn leaf_hashes(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(value);
    let count = reader.compact_size().ok()?;
    let hashes = reader.take(count.checked_mul(32)?).ok()?;
    Some((hashes, &value[reader.position()..]))
}
