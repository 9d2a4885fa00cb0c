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
    let kinds = kinds(gone);
    let (least, most) = range(gone, inflow, less, more);
    let counts = match Search::ways(&kinds, least, most, u32::min) {
        Ways::TooMany => bound(&kinds, least),
        Ways::None => Vec::new(),
        Ways::Found(counts) => counts,
    };
    gone.keys().copied().zip(counts).filter(|(_, count)| *count > 0).collect()
}

/// How many of each kind can have brought their amount at most: the reading best for whoever let them go. Up to `less` of
/// the rise may have come from elsewhere, and up to `more` may have gone elsewhere.
pub(super) fn possible(gone: &Gone, inflow: u64, less: u64, more: u64) -> Gone {
    let kinds = kinds(gone);
    let (least, most) = range(gone, inflow, less, more);
    let counts = match Search::ways(&kinds, least, most, u32::max) {
        Ways::Found(counts) => counts,
        // All of the rise may be of any one kind.
        Ways::TooMany | Ways::None => kinds
            .iter()
            .map(|(amount, count)| {
                let fit = most.checked_div(*amount).unwrap_or(u64::MAX);
                u32::try_from(fit).unwrap_or(u32::MAX).min(*count)
            })
            .collect(),
    };
    gone.keys().copied().zip(counts).collect()
}

fn kinds(gone: &Gone) -> Vec<(u64, u32)> {
    gone.iter().map(|((_, amount), count)| (*amount, *count)).collect()
}

/// What all that came in may come to.
fn range(gone: &Gone, inflow: u64, less: u64, more: u64) -> (u64, u64) {
    // A balance and an HTLC's output are each cut down to whole satoshis.
    let slack = gone.values().fold(1u64, |sum, count| sum.saturating_add(u64::from(*count)));
    (inflow.saturating_sub(less).saturating_sub(slack), inflow.saturating_add(more).saturating_add(slack))
}

enum Ways {
    None,
    /// Of each kind, over all ways.
    Found(Vec<u32>),
    TooMany,
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
    /// Of two ways, what is kept of each kind.
    keep: fn(u32, u32) -> u32,
    found: Option<Vec<u32>>,
}

impl Search<'_> {
    fn ways(kinds: &[(u64, u32)], least: u64, most: u64, keep: fn(u32, u32) -> u32) -> Ways {
        let mut search = Search {
            kinds,
            rest: rests(kinds),
            least,
            most,
            tried: 0,
            chosen: Vec::new(),
            keep,
            found: None,
        };
        search.choose(0);
        match search.found {
            _ if search.tried >= MOST_TRIED => Ways::TooMany,
            Some(counts) => Ways::Found(counts),
            None => Ways::None,
        }
    }

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
                Some(found) => found.into_iter().zip(chosen).map(|(a, b)| (self.keep)(a, b)).collect(),
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

    #[test]
    fn what_cannot_have_come_in_did_not() {
        let both = gone(&[(Side::Incoming, 7_000, 2), (Side::Offered, 5_000, 1)]);
        assert_eq!(possible(&both, 0, 0, 0).values().sum::<u32>(), 0);
        let either = gone(&[(Side::Incoming, 7_000, 1), (Side::Offered, 5_000, 0)]);
        assert_eq!(possible(&both, 7_000, 0, 0), either);
        assert_eq!(possible(&both, 12_000, 0, 0).values().sum::<u32>(), 2);
        // What went elsewhere may have come in first.
        assert_eq!(possible(&both, 0, 0, 5_000)[&(Side::Offered, 5_000)], 1);
        assert_eq!(possible(&both, 0, 0, 4_000).values().sum::<u32>(), 0);
        // A part of an amount is none of it; what nothing explains may be any that fits.
        assert_eq!(possible(&both, 3_000, 0, 0).values().sum::<u32>(), 0);
        assert_eq!(
            possible(&both, 6_000, 0, 0),
            gone(&[(Side::Incoming, 7_000, 0), (Side::Offered, 5_000, 1)])
        );
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
            for (less, more, seen) in [(dust, 0, inflow + dust), (0, dust, inflow.saturating_sub(dust))] {
                let most = possible(&all, seen, less, more);
                for (kind, count) in &truth {
                    prop_assert!(most[kind] >= *count, "{:?} {:?}", kind, most);
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
