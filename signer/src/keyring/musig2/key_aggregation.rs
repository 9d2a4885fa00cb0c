//! The combined key of all signers, with its tweaks.

use bitcoin::TapNodeHash;
use bitcoin::hashes::Hash as _;
use bitcoin::taproot::TapTweakHash;
use secp256k1::{All, PublicKey, Secp256k1};

use super::arithmetic::{Point, Residue, is_odd, x_of};
use super::error::SessionError;
use super::request::{Musig2Tweaks, Musig2Version};
use crate::keyring::requests::tagged_hash;

/// What signing needs of the key aggregation: BIP327's key aggregation context, and our own coefficient.
#[derive(Clone, Copy)]
pub(super) struct CombinedKey {
    /// With all tweaks.
    pub(super) key: PublicKey,
    /// Before the taproot tweak, if there is one.
    pub(super) internal: Option<PublicKey>,
    /// The accumulated sign that the tweaks give the signers' keys.
    pub(super) negated: bool,
    /// The accumulated tweak.
    pub(super) tweak: Residue,
    /// Our key's coefficient.
    pub(super) coefficient: Residue,
    /// Whether our own key is negated beside: 0.4.0 takes all keys as even.
    pub(super) own_negated: bool,
    /// How many signers there are.
    pub(super) signers: usize,
}

impl CombinedKey {
    /// Combines `keys`, sorted, `own` among them.
    pub(super) fn aggregate(
        secp: &Secp256k1<All>,
        version: Musig2Version,
        keys: &[PublicKey],
        own: &PublicKey,
        tweaks: &Musig2Tweaks,
    ) -> Result<Self, SessionError> {
        let mut sorted: Vec<(Vec<u8>, &PublicKey)> =
            keys.iter().map(|key| (version.encode(key), key)).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        Self::aggregate_ordered(secp, version, &sorted, own, tweaks)
    }

    /// The same with keys in the order given, each with its encoding.
    pub(super) fn aggregate_ordered(
        secp: &Secp256k1<All>,
        version: Musig2Version,
        keys: &[(Vec<u8>, &PublicKey)],
        own: &PublicKey,
        tweaks: &Musig2Tweaks,
    ) -> Result<Self, SessionError> {
        let own_encoded = version.encode(own);
        if !keys.iter().any(|(encoded, _)| *encoded == own_encoded) {
            return Err(SessionError::NotASigner);
        }
        let encoded: Vec<&[u8]> = keys.iter().map(|(encoded, _)| &encoded[..]).collect();
        let list = tagged_hash(b"KeyAgg list", &encoded);
        let second = encoded.iter().find(|key| **key != encoded[0]);
        let coefficient = |key: &[u8]| match second {
            Some(second) if *second == key => Residue::one(),
            _ => Residue::reduce(tagged_hash(b"KeyAgg coefficient", &[&list, key])),
        };
        let sum = keys.iter().fold(Point::INFINITY, |sum, (encoded, key)| {
            sum.add(Point(Some(**key)).multiply(secp, coefficient(encoded)))
        });
        let mut combined = Self {
            key: sum.0.ok_or(SessionError::Infinity)?,
            internal: None,
            negated: false,
            tweak: Residue::ZERO,
            coefficient: coefficient(&own_encoded),
            own_negated: version == Musig2Version::V040 && is_odd(own),
            signers: keys.len(),
        };
        match tweaks {
            Musig2Tweaks::Generic(tweaks) => {
                for (tweak, x_only) in tweaks {
                    combined.apply(secp, *tweak, *x_only)?;
                }
            }
            Musig2Tweaks::Taproot(root) => {
                combined.internal = Some(combined.key);
                let root = root.map(TapNodeHash::from_byte_array);
                let internal = combined.key.x_only_public_key().0;
                let tweak = TapTweakHash::from_key_and_tweak(internal, root).to_byte_array();
                combined.apply(secp, tweak, true)?;
            }
        }
        Ok(combined)
    }

    /// BIP327's `ApplyTweak`.
    fn apply(&mut self, secp: &Secp256k1<All>, tweak: [u8; 32], x_only: bool) -> Result<(), SessionError> {
        let tweak = Residue::parse(tweak).ok_or(SessionError::TweakRange)?;
        let negate = x_only && is_odd(&self.key);
        let key = Point(Some(self.key)).negate_if(secp, negate).add(Point::generated(secp, tweak));
        self.key = key.0.ok_or(SessionError::Infinity)?;
        self.negated ^= negate;
        self.tweak = self.tweak.negate_if(negate).add(tweak);
        Ok(())
    }

    /// X coordinate of the combined key.
    pub(super) fn x(&self) -> [u8; 32] {
        x_of(&self.key)
    }

    /// Whether our private key is negated in signing: BIP327's g·gacc, and 0.4.0's sign of our own key.
    pub(super) fn negates_own(&self) -> bool {
        is_odd(&self.key) ^ self.negated ^ self.own_negated
    }
}
