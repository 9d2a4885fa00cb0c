//! Requests too many and too harmless to record one by one: counted by class, one leaf an interval, so that a flood
//! of them cannot flood the journal. The count commits to every request's digest in order.

use std::collections::BTreeMap;

use strongroom_audit::{ClassTally, Digest, Gossip};
use strongroom_policy::{ClientName, NodeName};

/// Leaves are written after this many milliseconds at most.
pub(super) const INTERVAL_MS: u64 = 1_000;

/// One client's counts: first and last request (Unix milliseconds), and a tally for each class.
type Tally = (u64, u64, BTreeMap<String, ClassTally>);

/// Counts since the last leaves.
#[derive(Default)]
pub(super) struct Tallies {
    open: BTreeMap<(NodeName, ClientName), Tally>,
}

impl Tallies {
    /// Counts one approved request; `now` in Unix milliseconds.
    pub(super) fn count(
        &mut self,
        node: &NodeName,
        client: &ClientName,
        class: &str,
        digest: &[u8; 32],
        now: u64,
    ) {
        let (_, until, classes) =
            self.open.entry((node.clone(), client.clone())).or_insert_with(|| (now, now, BTreeMap::new()));
        *until = now;
        if !classes.contains_key(class) {
            classes.insert(class.to_owned(), ClassTally::new(class));
        }
        if let Some(tally) = classes.get_mut(class) {
            tally.count(&Digest(*digest));
        }
    }

    /// When the next leaves are due, Unix milliseconds.
    pub(super) fn due(&self) -> Option<u64> {
        self.open.values().map(|(from, _, _)| from + INTERVAL_MS).min()
    }

    /// Takes what was counted; starts anew.
    pub(super) fn take(&mut self, policy: Digest) -> Vec<Gossip> {
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|((node, client), (from, until, classes))| Gossip {
                node: node.into(),
                client: client.into(),
                from,
                until,
                policy,
                classes: classes.into_values().collect(),
            })
            .collect()
    }
}
