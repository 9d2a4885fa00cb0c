//! A number signed again. lnd does so if it stopped before it sent the first version, and the second may take back what the
//! first changed. So the second is judged as if the first had not been, but for what that offered: its HTLCs stay
//! charged, since a peer may have either version, and they are not charged twice, since only one of them can confirm.

use std::collections::BTreeSet;

use bitcoin::OutPoint;
use strongroom_policy::Reopened;

use super::settle::change;
use super::step::Terms;
use super::{Books, Forward};
use crate::channels::{Before, Change, PendingHtlc};

impl Books {
    /// The books without what the latest number of a channel ended.
    pub(super) fn restored(&self, channel: &OutPoint, before: &Before) -> Self {
        let mut books = self.clone();
        for (id, old) in &before.forwards {
            let forward = books.forwards.entry(*id);
            forward.and_modify(|now| now.restore(channel, old)).or_insert_with(|| old.reopened(channel));
        }
        books
    }

    /// How the forwards that `changes` end stand here, for the ones not in `kept` yet: what another version has to begin
    /// from.
    pub(super) fn undo(&self, kept: &mut Vec<(u64, Forward)>, changes: &[Change], terms: Terms) {
        for change in changes {
            let (Change::Forwarded { id, .. } | Change::ForwardClosed { id }) = change else { continue };
            // Those that merely left the window have not been touched by the number.
            let touched =
                self.forwards.get(id).filter(|old| !old.in_gone || old.counts(terms.now, terms.window));
            if let Some(old) = touched.filter(|_| kept.iter().all(|(other, _)| other != id)) {
                kept.push((*id, old.clone()));
            }
        }
    }

    /// Marks the forwards of outgoing HTLCs that only a version has shown which lnd gives up now; those that the commitment
    /// before shows, which are `shown`, are older.
    pub(super) fn give_up(
        &self,
        channel: &OutPoint,
        shown: &[PendingHtlc],
        dropped: &[&PendingHtlc],
        changes: &mut Vec<Change>,
    ) {
        let mut taken: Vec<u64> = Vec::new();
        for htlc in dropped {
            let older = shown.iter().filter(|other| other.is_same(htlc)).count();
            let offering = self.forwards.iter().filter(|(_, forward)| {
                forward.is_out() && !forward.given_up && forward.offers(channel, htlc)
            });
            let Some((id, forward)) = offering.skip(older).find(|(id, _)| !taken.contains(id)) else {
                continue;
            };
            taken.push(*id);
            change(changes, *id, forward, |forward| forward.given_up = true);
        }
    }

    /// A forward whose outgoing HTLC lnd gave up, when it is offered after all; beside those in `taken`.
    pub(super) fn given_up(
        &self,
        channel: &OutPoint,
        htlc: &PendingHtlc,
        taken: &[u64],
        terms: Terms,
    ) -> Option<(u64, &Forward)> {
        let mut found = self.forwards.iter().filter(|(id, forward)| {
            forward.given_up
                && forward.is_out()
                && !forward.in_gone
                && forward.counts(terms.now, terms.window)
                && forward.offers(channel, htlc)
                && !taken.contains(id)
        });
        found.next().map(|(id, forward)| (*id, forward))
    }

    /// What is at risk in the books `restored`, if that is more than here: in all, and by the incoming channels.
    pub(super) fn reopened(&self, restored: &Self, terms: Terms) -> Option<Reopened> {
        let sum = |books: &Self, of: Option<&OutPoint>| books.provisional(of, terms.now, terms.window);
        let total = sum(restored, None);
        if total <= sum(self, None) {
            return None;
        }
        let incoming: BTreeSet<OutPoint> =
            restored.forwards.values().map(|forward| forward.incoming).collect();
        let channels = incoming.into_iter().filter_map(|channel| {
            let at_risk = sum(restored, Some(&channel));
            (at_risk > sum(self, Some(&channel))).then_some((channel, at_risk))
        });
        Some(Reopened { total, channels: channels.collect() })
    }
}

impl Forward {
    /// Takes back what one end of it did.
    fn restore(&mut self, channel: &OutPoint, old: &Self) {
        if self.outgoing == *channel {
            (self.out_gone, self.out_back, self.out_paid) = (old.out_gone, old.out_back, old.out_paid);
        }
        if self.incoming == *channel {
            self.in_gone = old.in_gone;
        }
    }

    /// It was closed, and one end of it has not been after all. What the other end did meanwhile is not known.
    fn reopened(&self, channel: &OutPoint) -> Self {
        Self {
            in_gone: self.in_gone || self.incoming != *channel,
            given_up: false,
            uncertain: true,
            ..self.clone()
        }
    }
}
