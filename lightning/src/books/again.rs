//! A number signed again. lnd does so if it stopped before it sent the first version, and the second may take back what the
//! first changed. So the second is judged as if the first had not been, but for what that offered: its HTLCs stay
//! charged, since a peer may have either version, and they are not charged twice, since only one of them can confirm.

use bitcoin::OutPoint;

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

    /// A forward whose outgoing HTLC only a version given up has shown, when the HTLC is offered again: beside those in
    /// `taken`, and those on the commitment before, which are `shown`.
    pub(super) fn given_up(
        &self,
        channel: &OutPoint,
        htlc: &PendingHtlc,
        shown: &[PendingHtlc],
        taken: &[u64],
    ) -> Option<(u64, &Forward)> {
        let alike = shown.iter().filter(|other| other.is_same(htlc)).count();
        let offered = self.forwards.iter().filter(|(id, forward)| {
            forward.out_gone.is_none()
                && !forward.out_back
                && forward.offers(channel, htlc)
                && !taken.contains(id)
        });
        let mut beyond = offered.skip(alike).filter(|(_, forward)| !forward.in_gone);
        beyond.next().map(|(id, forward)| (*id, forward))
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
        Self { in_gone: self.in_gone || self.incoming != *channel, uncertain: true, ..self.clone() }
    }
}
