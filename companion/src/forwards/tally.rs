//! How many forwards were failed and why: counted, and told of at most once a minute for each cause, since whoever sends them
//! pays nothing for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use strongroom_proto::strongroom::v1::PreflightViolation;

/// Between two lines about one cause.
const QUIET: Duration = Duration::from_secs(60);

/// What forwards that were let go on unasked are counted as.
const UNASKED: &str = "unasked";

/// The counts since the start, by rule.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, Count>>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    in_all: u64,
    told: Option<Instant>,
}

impl Tally {
    /// One was failed for breaking these rules.
    pub fn failed(&self, broken: &[PreflightViolation], now: Instant) {
        for violation in broken {
            if let Some(in_all) = self.count(&violation.tag, now) {
                let (rule, because) = (&violation.tag, &violation.message);
                tracing::warn!(rule, in_all, because, "forwards failed");
            }
        }
    }

    /// The signer could not be asked about one.
    pub fn unasked(&self, because: &str, now: Instant) {
        if let Some(in_all) = self.count(UNASKED, now) {
            tracing::warn!(in_all, because, "forwards went on that the signer was not asked about");
        }
    }

    /// Counts one; how many there are if it is time to tell.
    fn count(&self, cause: &str, now: Instant) -> Option<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(cause.to_owned()).or_default();
        count.in_all = count.in_all.saturating_add(1);
        let due = count.told.is_none_or(|told| now.saturating_duration_since(told) >= QUIET);
        due.then(|| {
            count.told = Some(now);
            count.in_all
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_of_once_a_minute() {
        let (tally, start) = (Tally::default(), Instant::now());
        assert_eq!(tally.count("forward-cltv", start), Some(1));
        assert!((2..=9_000).all(|_| tally.count("forward-cltv", start).is_none()));
        assert_eq!(tally.count("forward-exposure", start), Some(1), "another rule is told of at once");
        assert_eq!(tally.count("forward-cltv", start + QUIET), Some(9_001));
        assert_eq!(tally.count("forward-cltv", start + QUIET), None);
    }
}
