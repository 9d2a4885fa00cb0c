//! Counts of what leaves record.

use serde::Serialize;

use crate::event::{Event, Verdict};
use crate::leaf::Leaf;

/// What a run of leaves records, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Approved decisions, repeats not counted.
    pub approved: u64,
    /// Repeated approvals.
    pub repeated: u64,
    /// Refusals.
    pub refused: u64,
    /// Requests counted in aggregates.
    pub aggregated: u64,
    /// Other events.
    pub other: u64,
    /// Leaves whose time is before the leaf before them: the clock was set back.
    pub clock_set_back: u64,
    /// Time of the first leaf, unix ms.
    pub first_time: Option<u64>,
    /// Time of the last, unix ms.
    pub last_time: Option<u64>,
}

impl Tally {
    /// Counts one leaf.
    pub fn count(&mut self, leaf: &Leaf) {
        if self.last_time.is_some_and(|last| leaf.time < last) {
            self.clock_set_back += 1;
        }
        self.first_time.get_or_insert(leaf.time);
        self.last_time = Some(leaf.time);
        match &leaf.event {
            Event::Decision(decision) => match decision.verdict {
                Verdict::Approved { .. } => self.approved += 1,
                Verdict::Repeated { .. } => self.repeated += 1,
                Verdict::Refused { .. } => self.refused += 1,
            },
            Event::Gossip(gossip) => {
                let counted =
                    gossip.classes.iter().fold(0, |sum: u64, class| sum.saturating_add(class.approved));
                self.aggregated = self.aggregated.saturating_add(counted);
                let refused =
                    gossip.refused.iter().fold(0, |sum: u64, class| sum.saturating_add(class.refused));
                self.refused = self.refused.saturating_add(refused);
            }
            _ => self.other += 1,
        }
    }
}
