//! Requests turned away at the door, counted by reason until their leaf is due: one a second at most, however many come.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use strongroom_audit::{Event, TurnedAwayTally};

/// How long requests are counted before their leaf is written.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Different tallies in one leaf; what comes beyond is counted together.
const TALLIES: usize = 32;

/// Why, who is named, from where.
type Kind = (String, Option<String>, Option<IpAddr>);

/// Counts since the last leaf.
struct Count {
    from: u64,
    until: u64,
    tallies: BTreeMap<Kind, u64>,
}

/// The counts that no leaf records yet.
#[derive(Default)]
pub(super) struct TurnedAway(Mutex<Option<Count>>);

impl TurnedAway {
    /// Counts one; `now` in Unix milliseconds. True for the first since the last leaf: the next one is due then, in one
    /// [`INTERVAL`].
    pub(super) fn count(&self, why: String, who: Option<String>, address: Option<IpAddr>, now: u64) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = open.is_none();
        let count = open.get_or_insert_with(|| Count { from: now, until: now, tallies: BTreeMap::new() });
        count.until = count.until.max(now);
        let mut kind = (why, who, address);
        if count.tallies.len() >= TALLIES && !count.tallies.contains_key(&kind) {
            kind = ("other reasons, names and addresses".to_owned(), None, None);
        }
        *count.tallies.entry(kind).or_default() += 1;
        first
    }

    /// Takes what was counted, as an event.
    pub(super) fn take(&self) -> Option<Event> {
        let Count { from, until, tallies } = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let tallies = tallies
            .into_iter()
            .map(|((why, who, address), requests)| TurnedAwayTally {
                why,
                who,
                address: address.map(|ip| ip.to_canonical().to_string()),
                requests,
            })
            .collect();
        Some(Event::TurnedAway { from, until, tallies })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_event_and_names_no_more_than_it_must() {
        let counts = TurnedAway::default();
        assert!(counts.count("forged".to_owned(), None, None, 5));
        for n in 0..1_000u32 {
            let address = Some(IpAddr::from(n.to_be_bytes()));
            assert!(!counts.count("not a macaroon".to_owned(), None, address, 6));
        }
        assert!(!counts.count("forged".to_owned(), None, None, 7));
        let Some(Event::TurnedAway { from: 5, until: 7, tallies }) = counts.take() else {
            panic!("no event of that time")
        };
        assert_eq!(tallies.len(), TALLIES + 1);
        assert_eq!(tallies.iter().map(|tally| tally.requests).sum::<u64>(), 1_002);
        assert_eq!(tallies.iter().find(|tally| tally.why == "forged").map(|tally| tally.requests), Some(2));
        assert_eq!(counts.take(), None);
        assert!(counts.count("forged".to_owned(), None, None, 8), "the next leaf is due anew");
    }
}
