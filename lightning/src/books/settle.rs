//! The end of forwards, as far as a step proves it.

use bitcoin::hex::DisplayHex as _;
use bitcoin::{Amount, OutPoint};
use strongroom_policy::UnpaidForward;

use super::credit::{self, Gone, Side};
use super::step::{Terms, without};
use super::{Books, Forward, Hash160};
use crate::channels::{Before, Change, CounterpartyState, PendingHtlc};

/// What a step is to the forwards.
pub(super) struct Settled {
    pub(super) changes: Vec<Change>,
    /// Incoming HTLCs let go for nothing, although what was paid for them is gone for certain.
    pub(super) unpaid: Vec<UnpaidForward>,
}

impl Settled {
    /// What becomes of a forward, if anything.
    pub(super) fn of(&self, id: u64) -> Option<&Change> {
        self.changes.iter().find(|change| is_of(change, id))
    }
}

impl Books {
    /// Closes the forwards whose end this step proves, and marks those whose HTLC is gone without proof. `again` says that
    /// another version of the commitment was signed already.
    pub(super) fn settle(
        &self,
        channel: &OutPoint,
        before: &Before,
        after: &CounterpartyState,
        again: bool,
        inflow: u64,
        terms: Terms,
    ) -> Settled {
        let incoming = without(&before.htlcs, &[&after.htlcs], false);
        let offered = without(&before.htlcs, &[&after.htlcs], true);
        let mut changes: Vec<Change> = self
            .forwards
            .iter()
            .filter(|(_, forward)| forward.in_gone && !forward.counts(terms.now, terms.window))
            .take(16)
            .map(|(id, _)| Change::ForwardClosed { id: *id })
            .collect();
        let mut unpaid = Vec::new();
        let mut gone = Gone::new();
        for (side, htlcs) in [(Side::Incoming, &incoming), (Side::Offered, &offered)] {
            for htlc in htlcs {
                *gone.entry((side, htlc.amount.to_sat())).or_default() += 1;
            }
        }
        // What the gap lost may be dust that came in, or a fee of ours that came back; what it gained may be a fee that we
        // paid out of what came in, if we pay it, and may as well be dust of the peer's.
        let gap = |of: Amount, than: Amount| of.to_sat().saturating_sub(than.to_sat());
        let less = gap(before.gap, after.gap);
        let more = if terms.funded_by_us { gap(after.gap, before.gap) } else { 0 };
        let mut certain = credit::certain(&gone, inflow, less, more);
        // To call something unpaid takes more: no dust and no fee, old or new, may hide the payment.
        let mut possible = credit::possible(&gone, inflow, before.gap.to_sat(), after.gap.to_sat());
        // HTLCs that are alike end as many forwards as there are of them.
        let mut taken = Vec::new();
        // HTLCs of one amount are alike to the balance: those that forward nothing are taken to have come in first.
        for (side, htlcs) in [(Side::Incoming, incoming), (Side::Offered, offered)] {
            let (forwarded, own): (Vec<_>, Vec<_>) = htlcs
                .into_iter()
                .map(|htlc| {
                    let forward = self.forward_of(side, channel, htlc, &taken);
                    taken.extend(forward.map(|(id, _)| id));
                    (htlc, forward)
                })
                .partition(|(_, f)| f.is_some());
            for (htlc, forward) in own.into_iter().chain(forwarded) {
                let left = certain.get_mut(&(side, htlc.amount.to_sat())).filter(|left| **left > 0);
                let proven = left.map(|left| *left -= 1).is_some();
                let Some((id, forward)) = forward else { continue };
                let over = match side {
                    Side::Incoming => proven || forward.out_back,
                    Side::Offered => proven && forward.in_gone,
                };
                if over {
                    changes.push(Change::ForwardClosed { id });
                    continue;
                }
                let mut forward = forward.clone();
                let possible = possible.entry((side, htlc.amount.to_sat())).or_default();
                match side {
                    Side::Incoming => {
                        let owed = forward.out_paid && !forward.uncertain && before.is_alone(htlc);
                        if owed && *possible == 0 {
                            unpaid.push(UnpaidForward {
                                payment_hash160: htlc.payment_hash160.to_lower_hex_string(),
                                amount: htlc.amount,
                            });
                        }
                        // What may have come in is taken for what is owed.
                        *possible = possible.saturating_sub(u32::from(owed));
                        forward.in_gone = true;
                    }
                    Side::Offered if proven => forward.out_back = true,
                    Side::Offered => {
                        forward.out_gone = Some(terms.now);
                        forward.out_paid = *possible == 0;
                    }
                }
                changes.push(Change::Forwarded { id, forward: Box::new(forward) });
            }
        }
        let overdue = self.forwards.iter().filter(|(_, forward)| {
            forward.incoming == *channel && forward.is_overdue(terms.now, terms.claim_seconds) && !again
        });
        let passed = overdue.filter_map(|(id, forward)| Some((*id, forward.pass_over()?)));
        let untouched: Vec<_> = passed.filter(|(id, _)| version(&mut changes, *id).is_none()).collect();
        changes.extend(
            untouched.into_iter().map(|(id, forward)| Change::Forwarded { id, forward: Box::new(forward) }),
        );
        Settled { changes, unpaid }
    }

    /// HTLCs of the hash can be taken for each other from now on.
    pub(super) fn doubt(&self, hash: &Hash160, changes: &mut Vec<Change>) {
        for (id, forward) in self.forwards.iter().filter(|(_, forward)| forward.payment_hash160 == *hash) {
            change(changes, *id, forward, |forward| forward.uncertain = true);
        }
    }

    /// Claims that a channel's incoming HTLCs are overdue for, and that it went on without.
    pub(super) fn passed_over(&self, incoming: &OutPoint) -> u32 {
        let overdue = |forward: &&Forward| forward.incoming == *incoming && forward.is_passed_over();
        u32::try_from(self.forwards.values().filter(overdue).count()).unwrap_or(u32::MAX)
    }

    fn forward_of(
        &self,
        side: Side,
        channel: &OutPoint,
        htlc: &PendingHtlc,
        taken: &[u64],
    ) -> Option<(u64, &Forward)> {
        let of = |forward: &Forward| match side {
            Side::Incoming => !forward.in_gone && forward.consumes(channel, htlc),
            Side::Offered => forward.is_out() && !forward.given_up && forward.offers(channel, htlc),
        };
        let found = self.forwards.iter().find(|(id, forward)| of(forward) && !taken.contains(id));
        found.map(|(id, forward)| (*id, forward))
    }
}

impl Forward {
    pub(super) fn consumes(&self, channel: &OutPoint, htlc: &PendingHtlc) -> bool {
        self.incoming == *channel
            && self.payment_hash160 == htlc.payment_hash160
            && (self.in_amount, self.in_cltv) == (htlc.amount, htlc.cltv_expiry)
    }

    pub(super) fn offers(&self, channel: &OutPoint, htlc: &PendingHtlc) -> bool {
        self.outgoing == *channel
            && self.payment_hash160 == htlc.payment_hash160
            && (self.out_amount, self.out_cltv) == (htlc.amount, htlc.cltv_expiry)
    }
}

impl Before {
    /// No other incoming HTLC has its hash.
    fn is_alone(&self, htlc: &PendingHtlc) -> bool {
        let alike =
            |other: &&PendingHtlc| !other.offered_by_us && other.payment_hash160 == htlc.payment_hash160;
        self.htlcs.iter().filter(alike).count() == 1
    }
}

/// Changes a forward further; one that is closed by then stays so.
pub(super) fn change(changes: &mut Vec<Change>, id: u64, now: &Forward, make: impl FnOnce(&mut Forward)) {
    match version(changes, id) {
        Some(Change::Forwarded { forward, .. }) => make(forward),
        Some(_) => {}
        None => {
            let mut forward = Box::new(now.clone());
            make(&mut forward);
            changes.push(Change::Forwarded { id, forward });
        }
    }
}

/// What becomes of a forward by `changes`, if anything.
fn version(changes: &mut [Change], id: u64) -> Option<&mut Change> {
    changes.iter_mut().find(|change| is_of(change, id))
}

fn is_of(change: &Change, id: u64) -> bool {
    matches!(change, Change::Forwarded { id: of, .. } | Change::ForwardClosed { id: of } if *of == id)
}
