//! How an output is locked, and the proof that our key and the script given belong to it.

use bitcoin::hashes::{Hash as _, hash160};
use bitcoin::key::TapTweak as _;
use bitcoin::script::Instruction;
use bitcoin::taproot::{LeafVersion, TapLeafHash};
use bitcoin::{Script, ScriptBuf, TapNodeHash};
use secp256k1::{PublicKey, SECP256K1};
use strongroom_policy::case::Lock;

use super::fields::Fields;
use super::malformed::InputProblem;
use super::to_sign::TapSpend;

/// A lock whose script and key are proven.
pub(super) struct Proven {
    pub(super) lock: Lock,
    /// The witness program (P2WPKH, nested or not), witness script or tapscript; empty for taproot's key path.
    pub(super) script: ScriptBuf,
    pub(super) tap: Option<TapSpend>,
}

/// Proves that `key` (after LND's tweak; `stated` is the PSBT's, before it) opens `script_pubkey`.
///
/// A signature for anything else could be a signature that was asked for under a false description.
pub(super) fn prove(
    fields: &Fields<'_>,
    script_pubkey: &Script,
    key: &PublicKey,
    stated: &[u8; 33],
) -> Result<Proven, InputProblem> {
    if script_pubkey.is_p2wpkh() {
        // lnd puts the witness program into both script fields.
        for given in [fields.redeem_script, fields.witness_script].into_iter().flatten() {
            matches(given == script_pubkey.as_bytes())?;
        }
        return p2wpkh(script_pubkey, key, Lock::P2wpkh);
    }
    if script_pubkey.is_p2sh() {
        let redeem = Script::from_bytes(fields.redeem_script.ok_or(InputProblem::ScriptMismatch)?);
        matches(redeem.to_p2sh() == *script_pubkey)?;
        if !redeem.is_p2wpkh() {
            return Err(InputProblem::Unsupported("P2SH other than nested P2WPKH"));
        }
        matches(fields.witness_script.is_none_or(|given| given == redeem.as_bytes()))?;
        return p2wpkh(redeem, key, Lock::P2shP2wpkh);
    }
    if script_pubkey.is_p2wsh() {
        if fields.redeem_script.is_some() {
            return Err(InputProblem::Unsupported("P2WSH with a redeem script"));
        }
        let script = Script::from_bytes(fields.witness_script.ok_or(InputProblem::ScriptMismatch)?);
        matches(script.to_p2wsh() == *script_pubkey)?;
        let bytes = key.serialize();
        let hash = hash160::Hash::hash(&bytes);
        occurs(script, |push| push == bytes || push == hash.as_byte_array())?;
        return Ok(Proven { lock: Lock::P2wsh, script: script.to_owned(), tap: None });
    }
    if script_pubkey.is_p2tr() {
        return taproot(fields, script_pubkey, key, stated);
    }
    Err(InputProblem::Unsupported("not P2WPKH, nested P2WPKH, P2WSH or P2TR"))
}

fn matches(fits: bool) -> Result<(), InputProblem> {
    fits.then_some(()).ok_or(InputProblem::ScriptMismatch)
}

/// `program` is `0014…`.
fn p2wpkh(program: &Script, key: &PublicKey, lock: Lock) -> Result<Proven, InputProblem> {
    let hash = hash160::Hash::hash(&key.serialize());
    if program.as_bytes()[2..] != hash.as_byte_array()[..] {
        return Err(InputProblem::KeyNotInScript);
    }
    Ok(Proven { lock, script: program.to_owned(), tap: None })
}

fn occurs(script: &Script, is_key: impl Fn(&[u8]) -> bool) -> Result<(), InputProblem> {
    let found = script
        .instructions()
        .map_while(Result::ok)
        .any(|step| matches!(step, Instruction::PushBytes(push) if is_key(push.as_bytes())));
    found.then_some(()).ok_or(InputProblem::KeyNotInScript)
}

/// The rules of `validateSigningMethod` in lnd's `btcwallet/psbt.go`, with the key proven beside.
fn taproot(
    fields: &Fields<'_>,
    script_pubkey: &Script,
    key: &PublicKey,
    stated: &[u8; 33],
) -> Result<Proven, InputProblem> {
    let [(derivation, leaf_hashes)] = fields.tap_bip32[..] else {
        return Err(InputProblem::Taproot("not exactly one taproot derivation"));
    };
    let same_path = fields.bip32.is_some_and(|bip32| bip32.same_path(&derivation));
    if derivation.key != &stated[1..] || !same_path {
        return Err(InputProblem::Taproot("the two derivations name different keys"));
    }
    let (internal, _) = key.x_only_public_key();
    if leaf_hashes.is_empty() {
        let root = match fields.tap_merkle_root.unwrap_or_default() {
            [] => None,
            root => Some(
                TapNodeHash::from_slice(root)
                    .map_err(|_| InputProblem::Taproot("the merkle root is not 32 bytes"))?,
            ),
        };
        let (output, _) = internal.tap_tweak(SECP256K1, root);
        if script_pubkey.as_bytes()[2..] != output.serialize() {
            return Err(InputProblem::KeyNotInScript);
        }
        let lock = if root.is_none() { Lock::TaprootKeyBip86 } else { Lock::TaprootKeyTweaked };
        return Ok(Proven { lock, script: ScriptBuf::new(), tap: Some(TapSpend::Key(root)) });
    }
    let [leaf] = fields.tap_leaves[..] else {
        return Err(InputProblem::Taproot("not exactly one leaf script"));
    };
    if leaf.version != LeafVersion::TapScript.to_consensus() {
        return Err(InputProblem::Taproot("the leaf is no tapscript"));
    }
    let script = Script::from_bytes(leaf.script);
    let hash = TapLeafHash::from_script(script, LeafVersion::TapScript);
    if leaf_hashes != hash.as_byte_array() {
        return Err(InputProblem::Taproot("the leaf script does not hash to the one leaf hash"));
    }
    let internal = internal.serialize();
    occurs(script, |push| push == internal)?;
    let mut stated_key = [0; 32];
    stated_key.copy_from_slice(derivation.key);
    Ok(Proven {
        lock: Lock::TaprootScript,
        script: script.to_owned(),
        // The leaf's place in the tree is not proven: lnd's control block is fake. The signature commits to leaf
        // and output script both, so it is worthless for an output without that leaf.
        tap: Some(TapSpend::Script { leaf: hash, stated_key }),
    })
}
