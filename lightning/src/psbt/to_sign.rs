//! One signature to be made.

use bitcoin::{ScriptBuf, TapLeafHash, TapNodeHash};
use secp256k1::PublicKey;
use strongroom_policy::KeyPath;
use strongroom_policy::case::{Lock, SignedInput, Tweak};
use zeroize::Zeroizing;

/// One signature to be made: all that the keyring needs beside the base private key.
///
/// The public key is proven: derived from our accounts, tweaked as asked, found in the script, which hashes to
/// the output spent. No `Debug` and no `Clone`: it may hold a per-commitment secret.
pub struct ToSign {
    /// Index of the input.
    pub index: usize,
    /// The key, before any tweak.
    pub key: KeyPath,
    /// Public key after LND's tweak and before any taproot tweak.
    pub public_key: PublicKey,
    /// How the output is locked.
    pub lock: Lock,
    /// Sighash byte; 0 is BIP 341's DEFAULT and occurs with taproot only.
    pub sighash: u8,
    /// LND's tweak.
    pub tweak: TweakData,
    /// The BIP 143 or BIP 341 signature hash.
    pub digest: [u8; 32],
    /// What taproot needs further; `Some` exactly if `lock` is one of the taproot ones.
    pub tap: Option<TapSpend>,
    /// The witness program (P2WPKH, nested or not), witness script or tapscript; empty for taproot's key path.
    pub script: ScriptBuf,
}

/// LND's key tweak, applied to the private key before anything else.
pub enum TweakData {
    /// The derived key itself.
    None,
    /// d + t: a channel basepoint's per-commitment key.
    Single([u8; 32]),
    /// d·H(R‖C) + c·H(C‖R) with R = d·G, C = c·G: the revocation key, from the per-commitment secret c (BOLT 3).
    Double(Zeroizing<[u8; 32]>),
}

/// What a taproot signature needs further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapSpend {
    /// Key path: the private key is tweaked by BIP 341 with this root, or without one (BIP 86).
    Key(Option<TapNodeHash>),
    /// Script path of this leaf: no taproot tweak.
    Script {
        /// The leaf signed for.
        leaf: TapLeafHash,
        /// The x-only key that field 0x14 names: LND puts the key before its tweak there.
        stated_key: [u8; 32],
    },
}

impl TweakData {
    /// The kind, without the data.
    pub fn kind(&self) -> Tweak {
        match self {
            TweakData::None => Tweak::None,
            TweakData::Single(_) => Tweak::Single,
            TweakData::Double(_) => Tweak::Double,
        }
    }
}

impl ToSign {
    /// What policy sees of it.
    pub fn fact(&self) -> SignedInput {
        SignedInput {
            index: self.index,
            key: self.key,
            lock: self.lock,
            sighash: u32::from(self.sighash),
            tweak: self.tweak.kind(),
        }
    }

    /// Whether the signature commits to the amounts and scripts of all inputs (BIP 341 without ANYONECANPAY);
    /// otherwise it commits to its own input's only.
    pub fn commits_to_all_inputs(&self) -> bool {
        self.tap.is_some() && self.sighash & 0x80 == 0
    }
}
