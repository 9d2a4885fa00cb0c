//! LND's double tweak, on the private side.

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use secp256k1::{All, PublicKey, Scalar, Secp256k1};

use super::error::KeyringError;
use super::secret::Secret;

/// BOLT 3's revocation private key: d·H(R‖C) + c·H(C‖R) with R = d·G and C = c·G.
pub(super) fn revocation_key(
    secp: &Secp256k1<All>,
    base: &Secret,
    commitment: &Secret,
) -> Result<Secret, KeyringError> {
    let (base_point, commitment_point) = (base.public_key(secp), commitment.public_key(secp));
    let base = weighed(base, &base_point, &commitment_point)?;
    let commitment = weighed(commitment, &commitment_point, &base_point)?;
    let mut addend = Scalar::from(*commitment);
    let sum = base.add_tweak(&addend).map(Secret::new);
    addend.non_secure_erase();
    sum.map_err(|_| NO_KEY)
}

fn weighed(key: &Secret, own: &PublicKey, other: &PublicKey) -> Result<Secret, KeyringError> {
    let mut engine = sha256::Hash::engine();
    engine.input(&own.serialize());
    engine.input(&other.serialize());
    let factor = sha256::Hash::from_engine(engine).to_byte_array();
    let factor = Scalar::from_be_bytes(factor).map_err(|_| NO_KEY)?;
    key.mul_tweak(&factor).map(Secret::new).map_err(|_| NO_KEY)
}

const NO_KEY: KeyringError = KeyringError::NoKey("the per-commitment secret gives no revocation key");
