//! Numbers modulo the group order and points of the curve, zero and infinity included, which `secp256k1` leaves out.
//! For public values only: comparisons take variable time.

use secp256k1::{All, PublicKey, Scalar, Secp256k1, SecretKey};

/// The group order.
const ORDER: [u8; 32] = secp256k1::constants::CURVE_ORDER;

/// A public number modulo the group order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Residue(Option<SecretKey>);

impl Residue {
    pub(super) const ZERO: Self = Self(None);

    pub(super) fn one() -> Self {
        Self(SecretKey::from_slice(&secp256k1::constants::ONE).ok())
    }

    /// A hash, reduced.
    pub(super) fn reduce(mut bytes: [u8; 32]) -> Self {
        if bytes >= ORDER {
            // Below 2·order in any case, so once is enough.
            let mut borrow = 0i16;
            for (byte, order) in bytes.iter_mut().zip(ORDER).rev() {
                let difference = i16::from(*byte) - i16::from(order) - borrow;
                borrow = i16::from(difference < 0);
                *byte = difference.rem_euclid(256) as u8;
            }
        }
        Self(SecretKey::from_slice(&bytes).ok())
    }

    /// `None` if not below the group order.
    pub(super) fn parse(bytes: [u8; 32]) -> Option<Self> {
        (bytes < ORDER).then(|| Self::reduce(bytes))
    }

    pub(super) fn to_bytes(self) -> [u8; 32] {
        self.0.map_or([0; 32], |number| number.secret_bytes())
    }

    pub(super) fn add(self, other: Self) -> Self {
        match (self.0, other.0) {
            (None, _) => other,
            (_, None) => self,
            // Fails for zero only.
            (Some(a), Some(b)) => Self(a.add_tweak(&Scalar::from(b)).ok()),
        }
    }

    pub(super) fn multiply(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Self(a.mul_tweak(&Scalar::from(b)).ok()),
            _ => Self::ZERO,
        }
    }

    pub(super) fn negate_if(self, negate: bool) -> Self {
        if negate { Self(self.0.map(SecretKey::negate)) } else { self }
    }

    /// As a factor for secrets; `None` for zero.
    pub(super) fn factor(self) -> Option<Scalar> {
        self.0.map(Scalar::from)
    }
}

/// A point of the curve; `None` is infinity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Point(pub(super) Option<PublicKey>);

impl Point {
    pub(super) const INFINITY: Self = Self(None);

    /// by·G.
    pub(super) fn generated(secp: &Secp256k1<All>, by: Residue) -> Self {
        Self(by.0.map(|number| number.public_key(secp)))
    }

    pub(super) fn add(self, other: Self) -> Self {
        match (self.0, other.0) {
            (None, _) => other,
            (_, None) => self,
            // Fails for infinity only.
            (Some(a), Some(b)) => Self(a.combine(&b).ok()),
        }
    }

    pub(super) fn multiply(self, secp: &Secp256k1<All>, by: Residue) -> Self {
        match (self.0, by.factor()) {
            (Some(point), Some(factor)) => Self(point.mul_tweak(secp, &factor).ok()),
            _ => Self::INFINITY,
        }
    }

    pub(super) fn negate_if(self, secp: &Secp256k1<All>, negate: bool) -> Self {
        if negate { Self(self.0.map(|point| point.negate(secp))) } else { self }
    }

    /// Compressed; 33 zero bytes for infinity (BIP327's `cbytes_ext`).
    pub(super) fn serialize(self) -> [u8; 33] {
        self.0.map_or([0; 33], |point| point.serialize())
    }
}

/// Whether the Y coordinate is odd.
pub(super) fn is_odd(point: &PublicKey) -> bool {
    point.serialize()[0] == 3
}

/// The X coordinate.
pub(super) fn x_of(point: &PublicKey) -> [u8; 32] {
    point.x_only_public_key().0.serialize()
}
