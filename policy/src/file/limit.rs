//! Numbers that limit.

use bitcoin::Amount;
use serde::{Deserialize, Serialize};

/// An amount in satoshis, at most all bitcoin there will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Sats(Amount);

impl Sats {
    /// The amount.
    pub fn amount(self) -> Amount {
        self.0
    }
}

impl TryFrom<u64> for Sats {
    type Error = String;
    fn try_from(given: u64) -> Result<Self, String> {
        let most = Amount::MAX_MONEY.to_sat();
        if given > most {
            return Err(format!("given {given}; allowed: 0 to {most} sat"));
        }
        Ok(Self(Amount::from_sat(given)))
    }
}

impl From<Sats> for u64 {
    fn from(sats: Sats) -> u64 {
        sats.0.to_sat()
    }
}

/// A feerate in sat/vB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct FeeRateLimit(u64);

impl FeeRateLimit {
    /// Whole satoshis per virtual byte.
    pub fn sat_per_vb(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for FeeRateLimit {
    type Error = String;
    fn try_from(given: u64) -> Result<Self, String> {
        if !(1..=1_000_000).contains(&given) {
            return Err(format!("given {given}; allowed: 1 to 1000000 sat/vB"));
        }
        Ok(Self(given))
    }
}

impl From<FeeRateLimit> for u64 {
    fn from(rate: FeeRateLimit) -> u64 {
        rate.0
    }
}
