//! LND's key tweaks, on the public side.

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};
use zeroize::Zeroizing;

use super::fields::Fields;
use super::malformed::InputProblem;
use super::to_sign::TweakData;
use crate::accounts::DerivedKey;

/// The tweak an input asks for.
pub(super) fn tweak_of(fields: &Fields<'_>) -> Result<TweakData, InputProblem> {
    let bytes = |value: &[u8]| -> Result<[u8; 32], InputProblem> {
        value.try_into().map_err(|_| InputProblem::Tweak("not 32 bytes"))
    };
    match (fields.single_tweak, fields.double_tweak) {
        (None, None) => Ok(TweakData::None),
        (Some(tweak), None) => Ok(TweakData::Single(bytes(tweak)?)),
        (None, Some(secret)) => Ok(TweakData::Double(Zeroizing::new(bytes(secret)?))),
        (Some(_), Some(_)) => Err(InputProblem::Tweak("both 0x51 and 0xd0 are given")),
    }
}

/// The public key after `tweak`.
pub(super) fn tweaked(base: &DerivedKey, tweak: &TweakData) -> Result<PublicKey, InputProblem> {
    match tweak {
        TweakData::None => Ok(base.key),
        TweakData::Single(tweak) => base
            .plus(tweak)
            .ok_or(InputProblem::Tweak("0x51 is not below the group order, or it cancels the key")),
        TweakData::Double(secret) => revocation_key(&base.key, secret),
    }
}

/// BOLT 3: R·H(R‖C) + C·H(C‖R), C being the secret's point.
fn revocation_key(base: &PublicKey, secret: &[u8; 32]) -> Result<PublicKey, InputProblem> {
    let mut scalar =
        SecretKey::from_slice(secret).map_err(|_| InputProblem::Tweak("0xd0 is no private key"))?;
    let commitment = scalar.public_key(SECP256K1);
    scalar.non_secure_erase();
    let weigh = |point: &PublicKey, other: &PublicKey| {
        let mut engine = sha256::Hash::engine();
        engine.input(&point.serialize());
        engine.input(&other.serialize());
        let factor = sha256::Hash::from_engine(engine).to_byte_array();
        let factor = Scalar::from_be_bytes(factor).map_err(|_| IMPOSSIBLE)?;
        point.mul_tweak(SECP256K1, &factor).map_err(|_| IMPOSSIBLE)
    };
    weigh(base, &commitment)?.combine(&weigh(&commitment, base)?).map_err(|_| IMPOSSIBLE)
}

/// Needs a hash beyond the group order or two points that cancel: nobody can find such inputs.
const IMPOSSIBLE: InputProblem = InputProblem::Tweak("0xd0 gives no revocation key");
