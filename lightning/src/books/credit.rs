//! Which of the HTLCs that disappeared have brought us their amount.
//!
//! An offered HTLC that failed and an incoming one that settled both raise our balance by what they held; nothing else
//! tells their fate. So of all ways to explain the balance the one worst for us is taken.

use std::collections::BTreeMap;

/// HTLCs that disappeared, by side and amount in satoshis, with their number.
pub(super) type Gone = BTreeMap<(Side, u64), u32>;

/// Whose HTLC it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// The peer's; ours if settled.
    Incoming,
    /// Ours, and again if failed.
    Offered,
}

/// Ways tried at most; beyond, a bound takes the place of the search.
const MOST_TRIED: u32 = 20_000;

/// How many of each kind have brought their amount for certain, when our balance rose by `inflow` satoshis: up to `less`
/// of it may have come from HTLCs too small to be seen or from a fee's fall, and up to `more` may have gone into a fee.
pub(super) fn certain(gone: &Gone, inflow: u64, less: u64, more: u64) -> Gone {
    // A balance and an HTLC's output are each cut down to whole satoshis.
    let slack = gone.values().fold(1u64, |sum, count| sum.saturating_add(u64::from(*count)));
    let kinds: Vec<(u64, u32)> = gone.iter().map(|((_, amount), count)| (*amount, *count)).collect();
    let least = inflow.saturating_sub(less).saturating_sub(slack);
    let most = inflow.saturating_add(more).saturating_add(slack);
    let mut search =
        Search { kinds: &kinds, rest: rests(&kinds), least, most, tried: 0, chosen: Vec::new(), found: None };
    search.choose(0);
    let counts =
        if search.tried >= MOST_TRIED { bound(&kinds, least) } else { search.found.unwrap_or_default() };
    gone.keys().copied().zip(counts).filter(|(_, count)| *count > 0).collect()
}

struct Search<'a> {
    kinds: &'a [(u64, u32)],
    /// Sum of all amounts from a kind on.
    rest: Vec<u64>,
    /// What the amounts must come to.
    least: u64,
    most: u64,
    tried: u32,
    chosen: Vec<u32>,
    /// The least of each kind in all ways found.
    found: Option<Vec<u32>>,
}

impl Search<'_> {
    fn choose(&mut self, sum: u64) {
        self.tried += 1;
        let at = self.chosen.len();
        if self.tried >= MOST_TRIED || sum > self.most || sum.saturating_add(self.rest[at]) < self.least {
            return;
        }
        let Some((amount, count)) = self.kinds.get(at).copied() else {
            let chosen = self.chosen.clone();
            self.found = Some(match self.found.take() {
                None => chosen,
                Some(found) => found.into_iter().zip(chosen).map(|(a, b)| a.min(b)).collect(),
            });
            return;
        };
        for n in 0..=count {
            self.chosen.push(n);
            self.choose(sum.saturating_add(amount.saturating_mul(u64::from(n))));
            self.chosen.pop();
        }
    }
}

fn rests(kinds: &[(u64, u32)]) -> Vec<u64> {
    let mut rests = vec![0u64; kinds.len() + 1];
    for (at, (amount, count)) in kinds.iter().enumerate().rev() {
        rests[at] = rests[at + 1].saturating_add(amount.saturating_mul(u64::from(*count)));
    }
    rests
}

/// What all the other kinds together cannot make up must be of this kind.
fn bound(kinds: &[(u64, u32)], least: u64) -> Vec<u32> {
    let all = rests(kinds)[0];
    kinds
        .iter()
        .map(|(amount, count)| {
            let others = all.saturating_sub(amount.saturating_mul(u64::from(*count)));
            let own = least.saturating_sub(others);
            let least = if *amount == 0 { 0 } else { own.div_ceil(*amount) };
            u32::try_from(least).unwrap_or(u32::MAX).min(*count)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gone(items: &[(Side, u64, u32)]) -> Gone {
        items.iter().map(|(side, amount, count)| ((*side, *amount), *count)).collect()
    }

    #[test]
    fn nothing_came_in_proves_nothing() {
        let both = gone(&[(Side::Incoming, 5_000, 1), (Side::Offered, 5_000, 1)]);
        assert!(certain(&both, 0, 0, 0).is_empty());
        // One of the two, and which one nobody knows.
        assert!(certain(&both, 5_000, 0, 0).is_empty());
        assert_eq!(certain(&both, 10_000, 0, 0), both);
    }

    #[test]
    fn amounts_that_differ_tell_themselves_apart() {
        let both = gone(&[(Side::Incoming, 7_000, 1), (Side::Offered, 5_000, 2)]);
        assert_eq!(certain(&both, 7_000, 0, 0), gone(&[(Side::Incoming, 7_000, 1)]));
        assert_eq!(certain(&both, 5_000, 0, 0), gone(&[(Side::Offered, 5_000, 1)]));
        assert_eq!(
            certain(&both, 12_001, 0, 0),
            gone(&[(Side::Incoming, 7_000, 1), (Side::Offered, 5_000, 1)])
        );
    }

    #[test]
    fn dust_may_stand_in_for_what_is_as_small() {
        let one = gone(&[(Side::Incoming, 50_000, 1)]);
        assert_eq!(certain(&one, 50_200, 200, 0), one);
        assert!(certain(&one, 50_200, 0, 0).is_empty(), "nothing explains it");
        let alike = gone(&[(Side::Incoming, 50_000, 1), (Side::Offered, 50_100, 1)]);
        assert!(certain(&alike, 50_300, 300, 0).is_empty());
        assert!(certain(&gone(&[(Side::Incoming, 300, 1)]), 300, 300, 0).is_empty());
    }

    /// More kinds than can be tried one by one.
    #[test]
    fn a_crowd_is_bounded() {
        let all: Gone = (0..40).map(|n| ((Side::Incoming, 1_000 + n * 37), 3)).collect();
        let inflow = all.iter().map(|((_, amount), count)| amount * u64::from(*count)).sum();
        assert_eq!(certain(&all, inflow, 0, 0).values().sum::<u32>(), 120);
        assert!(certain(&all, inflow / 2, 0, 0).is_empty());
    }

    proptest! {
        /// Whatever really happened, no more is called certain than did happen.
        #[test]
        fn never_more_than_the_truth(
            items in prop::collection::vec((any::<bool>(), 300u64..3_000, any::<bool>()), 0..40),
            dust in 0u64..300,
        ) {
            let (mut all, mut truth, mut inflow) = (Gone::new(), Gone::new(), 0);
            for (incoming, amount, credited) in items {
                // Few different amounts, so that they are mistaken for each other.
                let amount = amount / 500 * 500 + 300;
                let kind = (if incoming { Side::Incoming } else { Side::Offered }, amount);
                *all.entry(kind).or_default() += 1;
                if credited {
                    *truth.entry(kind).or_default() += 1;
                    inflow += amount;
                }
            }
            // Or as much of it went into a fee.
            for (kind, count) in certain(&all, inflow.saturating_sub(dust), 0, dust) {
                prop_assert!(count <= truth.get(&kind).copied().unwrap_or(0));
            }
            for dust in [0, dust] {
                for (kind, count) in certain(&all, inflow + dust, dust, 0) {
                    prop_assert!(count <= truth.get(&kind).copied().unwrap_or(0));
                }
            }
        }
    }
}
