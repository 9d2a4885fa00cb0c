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

/// Thousandths of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct PerMille(u64);

impl PerMille {
    /// So much of `amount`, whole satoshis.
    pub fn of(self, amount: Amount) -> Amount {
        // By parts, so that nothing overflows.
        let (thousands, rest) = (amount.to_sat() / 1_000, amount.to_sat() % 1_000);
        Amount::from_sat(thousands * self.0 + rest * self.0 / 1_000)
    }
}

impl TryFrom<u64> for PerMille {
    type Error = String;
    fn try_from(given: u64) -> Result<Self, String> {
        if given > 1_000 {
            return Err(format!("given {given}; allowed: 0 to 1000 thousandths"));
        }
        Ok(Self(given))
    }
}

impl From<PerMille> for u64 {
    fn from(share: PerMille) -> u64 {
        share.0
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
