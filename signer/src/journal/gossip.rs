//! Requests too many to record one by one: counted by class, one leaf an interval, so that a flood of them cannot
//! flood the journal. Approved ones are counted if they are harmless (onion secrets, repeats), refused ones beyond the
//! first few hundred a minute. Each count commits to every request's digest in order.

use std::collections::{BTreeMap, HashMap};

use strongroom_audit::{ClassTally, Digest, Gossip, RefusedTally};
use strongroom_policy::{ClientName, NodeName};

/// Leaves are written after this many milliseconds at most.
pub(super) const INTERVAL_MS: u64 = 1_000;

/// Refusals of one client that get a leaf each, in one minute.
const LISTED_A_MINUTE: u32 = 300;

type Who = (NodeName, ClientName);

/// One client's counts since the last leaf.
struct Tally {
    from: u64,
    until: u64,
    approved: BTreeMap<String, ClassTally>,
    refused: BTreeMap<String, RefusedTally>,
}

/// Counts since the last leaves.
#[derive(Default)]
pub(super) struct Tallies {
    open: BTreeMap<Who, Tally>,
    /// Minute, and refusals listed in it.
    listed: HashMap<Who, (u64, u32)>,
}

impl Tallies {
    fn of(&mut self, who: Who, now: u64) -> &mut Tally {
        let tally = self.open.entry(who).or_insert_with(|| Tally {
            from: now,
            until: now,
            approved: BTreeMap::new(),
            refused: BTreeMap::new(),
        });
        tally.until = now;
        tally
    }

    /// Counts one approved request; `now` in Unix milliseconds.
    pub(super) fn count(
        &mut self,
        node: &NodeName,
        client: &ClientName,
        class: &str,
        digest: &[u8; 32],
        now: u64,
    ) {
        let approved = &mut self.of((node.clone(), client.clone()), now).approved;
        if !approved.contains_key(class) {
            approved.insert(class.to_owned(), ClassTally::new(class));
        }
        if let Some(tally) = approved.get_mut(class) {
            tally.count(&Digest(*digest));
        }
    }

    /// Whether a refusal gets a leaf of its own; if not, it was counted here.
    pub(super) fn lists_refusal(
        &mut self,
        node: &NodeName,
        client: &ClientName,
        class: &str,
        digest: &[u8; 32],
        now: u64,
    ) -> bool {
        let who = (node.clone(), client.clone());
        let minute = now / 60_000;
        let listed = self.listed.entry(who.clone()).or_insert((minute, 0));
        if listed.0 != minute {
            *listed = (minute, 0);
        }
        if listed.1 < LISTED_A_MINUTE {
            listed.1 += 1;
            return true;
        }
        let refused = &mut self.of(who, now).refused;
        refused.entry(class.to_owned()).or_insert_with(|| RefusedTally::new(class)).count(&Digest(*digest));
        false
    }

    /// When the next leaves are due, Unix milliseconds.
    pub(super) fn due(&self) -> Option<u64> {
        self.open.values().map(|tally| tally.from + INTERVAL_MS).min()
    }

    /// Takes what was counted, under a policy whose list of checks is that leaf; starts anew.
    pub(super) fn take(&mut self, policy: Digest, checks: u64) -> Vec<Gossip> {
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|((node, client), tally)| Gossip {
                node: node.into(),
                client: client.into(),
                from: tally.from,
                until: tally.until,
                policy,
                checks: Some(checks),
                classes: tally.approved.into_values().collect(),
                refused: tally.refused.into_values().collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_counted_and_a_new_minute_lists_again() {
        let node: NodeName = "alice".parse().expect("a name");
        let client: ClientName = "lnd".parse().expect("a name");
        let mut tallies = Tallies::default();
        let mut listed = 0;
        for n in 0..LISTED_A_MINUTE + 50 {
            listed += u32::from(tallies.lists_refusal(&node, &client, "unknown", &[n as u8; 32], 61_000));
        }
        assert_eq!(listed, LISTED_A_MINUTE);
        let gossip = tallies.take(Digest([0; 32]), 2);
        assert_eq!(gossip[0].refused[0].refused, 50);
        assert!(tallies.lists_refusal(&node, &client, "unknown", &[0; 32], 121_000));
        assert!(tallies.due().is_none());
    }
}
