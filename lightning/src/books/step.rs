//! One step of a channel: the peer's next commitment against the one before.

use std::collections::HashMap;

use bitcoin::hex::DisplayHex as _;
use bitcoin::{Amount, OutPoint};
use strongroom_policy::case::{Spend, SpendAsk};
use strongroom_policy::{ChannelUpdate, Cover, Frozen, OfferedHtlc};

use super::settle::change;
use super::{Books, Forward};
use crate::channels::{Before, Change, Channels, CounterpartyState, HtlcAnswers, Learned, PendingHtlc};

/// What the journal knows beside the channels.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// We funded the channel, so its commitment's fee is ours to pay.
    pub funded_by_us: bool,
    /// Unix seconds.
    pub now: u64,
    /// Length of the policy's rolling window in seconds.
    pub window: u64,
    /// How many seconds the claim of an incoming HTLC may take.
    pub claim_seconds: u64,
}

/// What a step is, and what the books have to keep if it is approved.
#[derive(Debug, Default)]
pub struct Step {
    /// For the rules.
    pub update: ChannelUpdate,
    /// For the books.
    pub learned: Learned,
}

/// Below this no HTLC has an output (the dust limit of P2WSH, Bitcoin Core's default).
pub(crate) const DUST: u64 = 330;

impl Channels {
    /// The step that a commitment of the peer's makes, `learned` being what [`Channels::classify`] took from it;
    /// `None` for any other request, and for a commitment that changes nothing.
    pub fn step(&self, ask: &SpendAsk, learned: &Learned, terms: Terms) -> Option<Step> {
        let Spend::CounterpartyCommitment { channel, number, .. } = &ask.spend else { return None };
        let known = self.channels.get(channel).map(|channel| &channel.record);
        if let Some(record) = known.filter(|record| record.lags_behind(*number)) {
            // Nothing can be said of a step from a state that is not the one before.
            let frozen = record.frozen_at(*number);
            let update = ChannelUpdate { frozen, ..ChannelUpdate::default() };
            return Some(Step { update, learned: Learned::default() });
        }
        let record = learned.changes.iter().find_map(|change| match change {
            Change::Channel(record) if record.funding == *channel => Some(record),
            _ => None,
        })?;
        let after = record.counterparty.as_ref().filter(|state| state.txid == ask.txid)?;
        let latest = known.and_then(|record| record.counterparty.as_ref());
        if latest.is_some_and(|latest| latest.txid == after.txid) {
            return None;
        }
        let before = after.before.as_deref();
        // Another version of this commitment, signed already.
        let version = latest.filter(|latest| latest.number == after.number);
        let restored =
            before.filter(|_| version.is_some()).map(|before| self.books.restored(channel, before));
        let books = restored.as_ref().unwrap_or(&self.books);
        let mut step = Step::default();
        // A channel that this request opens begins with what its reservation says.
        let unopened = || (!record.reserved).then_some(Frozen::Unseen);
        step.update.frozen = known.map_or_else(unopened, |record| record.frozen_at(*number));

        let shown = before.map_or(&[][..], |before| &before.htlcs);
        let offered = without(&after.htlcs, &[shown], true);
        let new_offered: i64 = offered.iter().map(|htlc| sats(htlc.amount)).sum();
        // What our balance lost beyond the HTLCs it offers, and beyond the fee's rise if we pay that.
        let lost = before.map_or(0, |before| {
            let fee_rise = if terms.funded_by_us { sats(after.gap) - sats(before.gap) } else { 0 };
            sats(before.to_remote) - sats(after.to_remote) - new_offered - fee_rise
        });
        step.update.unexplained_outflow = Amount::from_sat(u64::try_from(lost).unwrap_or(0));
        let answers = self.htlc_answers.get(&after.txid);
        (step.update.unexplained_outputs, step.update.perhaps_htlcs) =
            unexplained(after, before, answers, lost);
        step.update.peer_balance = (before.map_or(Amount::ZERO, |before| before.peers), after.peers());

        let mut changes = Vec::new();
        if let Some(before) = before {
            let inflow = sats(after.to_remote) - sats(before.to_remote) + new_offered;
            let inflow = u64::try_from(inflow).unwrap_or(0);
            let settled = books.settle(channel, before, after, version.is_some(), inflow, terms);
            let mut undo = before.forwards.clone();
            books.undo(&mut undo, &settled.changes, terms);
            let restored = before.forwards.iter().filter_map(|(id, _)| {
                let forward = Box::new(books.forwards.get(id).filter(|_| version.is_some())?.clone());
                settled.of(*id).is_none().then_some(Change::Forwarded { id: *id, forward })
            });
            changes = restored.collect();
            if undo != before.forwards {
                changes.push(Change::Channel(Box::new(record.undone_by(undo))));
            }
            changes.extend(settled.changes);
            step.update.unpaid = settled.unpaid;
        }
        let charged = version.map_or(&[][..], |version| &version.htlcs);
        if version.is_some() {
            let dropped = without(charged, &[shown, &after.htlcs], true);
            books.give_up(channel, shown, &dropped, &mut changes);
            step.update.reopened = self.books.reopened(books, terms);
        }
        let offered = without(&after.htlcs, &[shown, charged], true);
        step.update.offered = self.cover(books, channel, shown, &offered, &mut changes, terms);
        step.learned = Learned { changes };
        Some(step)
    }

    /// What each new HTLC is paid from: an authorisation of its hash, an incoming HTLC of its hash, or our own. `shown` are
    /// the HTLCs of the commitment before.
    pub(crate) fn cover(
        &self,
        books: &Books,
        channel: &OutPoint,
        shown: &[PendingHtlc],
        offered: &[&PendingHtlc],
        changes: &mut Vec<Change>,
        terms: Terms,
    ) -> Vec<OfferedHtlc> {
        let mut next = self.next_forward(books);
        let mut taken = Vec::new();
        let mut authorizations = HashMap::new();
        let mut forwards: Vec<Forward> = Vec::new();
        let mut covered = Vec::with_capacity(offered.len());
        for htlc in offered {
            let hash = htlc.payment_hash160;
            let cover = if let Some(kept) = books.authorizations.get(&hash) {
                let (authorization, flying) = authorizations
                    .entry(hash)
                    .or_insert_with(|| (kept.clone(), self.in_flight_beside(channel, shown, &hash)));
                let sum = |a: Amount| a.checked_add(htlc.amount).unwrap_or(Amount::MAX_MONEY);
                let (in_flight, in_all) = (sum(*flying), sum(authorization.offered));
                if terms.now >= authorization.expires {
                    Cover::Beyond {
                        value: format!("HTLC of {} sat at Unix second {}", htlc.amount.to_sat(), terms.now),
                        limit: format!("authorised until Unix second {}", authorization.expires),
                    }
                } else if in_flight > authorization.amount {
                    Cover::Beyond {
                        value: format!(
                            "{} sat in flight for hash160 {}",
                            in_flight.to_sat(),
                            hash.to_lower_hex_string()
                        ),
                        limit: format!("{} sat authorised, fees included", authorization.amount.to_sat()),
                    }
                } else if in_all > authorization.most() {
                    Cover::Beyond {
                        value: format!("{} sat in all attempts", in_all.to_sat()),
                        limit: format!(
                            "{} attempts of {} sat authorised",
                            authorization.max_attempts,
                            authorization.amount.to_sat()
                        ),
                    }
                } else {
                    (*flying, authorization.offered) = (in_flight, in_all);
                    Cover::Authorized
                }
            } else if let Some((id, forward)) = books.given_up(channel, htlc, &taken, terms) {
                taken.push(id);
                change(changes, id, forward, |forward| forward.given_up = false);
                Cover::Forward {
                    incoming: forward.incoming,
                    incoming_cltv: forward.in_cltv,
                    provisional: books.provisional(Some(&forward.incoming), terms.now, terms.window),
                    again: true,
                    claims_overdue: books.passed_over(&forward.incoming),
                }
            } else if let Some(mut forward) = self.forward(books, channel, htlc, &forwards, terms) {
                forward.uncertain = !self.is_alone(books, &hash)
                    || offered.iter().filter(|o| o.payment_hash160 == hash).count() > 1;
                if forward.uncertain {
                    books.doubt(&hash, changes);
                }
                let of_channel = |f: &&Forward| f.incoming == forward.incoming;
                let provisional = forwards
                    .iter()
                    .filter(of_channel)
                    .map(|f| f.out_amount)
                    .fold(books.provisional(Some(&forward.incoming), terms.now, terms.window), |a, b| {
                        a.checked_add(b).unwrap_or(Amount::MAX_MONEY)
                    });
                let cover = Cover::Forward {
                    incoming: forward.incoming,
                    incoming_cltv: forward.in_cltv,
                    provisional,
                    again: false,
                    claims_overdue: books.passed_over(&forward.incoming),
                };
                changes.push(Change::Forwarded { id: next, forward: Box::new(forward.clone()) });
                next += 1;
                forwards.push(forward);
                cover
            } else {
                Cover::Own
            };
            covered.push(OfferedHtlc {
                payment_hash160: hash.to_lower_hex_string(),
                amount: htlc.amount,
                cltv_expiry: htlc.cltv_expiry,
                cover,
            });
        }
        changes.extend(authorizations.into_iter().map(|(hash160, (authorization, _))| Change::Authorized {
            hash160,
            authorization: Box::new(authorization),
        }));
        covered
    }

    /// An id that no forward has, nor one that a version may bring back.
    fn next_forward(&self, books: &Books) -> u64 {
        let states = self.channels.values().filter_map(|channel| channel.record.counterparty.as_ref());
        let kept = states.filter_map(|state| state.before.as_ref()).flat_map(|before| &before.forwards);
        kept.map(|(id, _)| id + 1).fold(books.next_forward(), u64::max)
    }

    /// The incoming HTLC, on another channel, that pays for an outgoing one: not used for another forward, not less,
    /// and of all such the one that leaves most time.
    fn forward(
        &self,
        books: &Books,
        channel: &OutPoint,
        htlc: &PendingHtlc,
        made_now: &[Forward],
        terms: Terms,
    ) -> Option<Forward> {
        let others = self.channels.iter().filter(|(funding, _)| *funding != channel);
        let incoming = others.flat_map(|(funding, other)| {
            let state = other.record.counterparty.as_ref().filter(|_| other.record.frozen.is_none());
            let htlcs = state.map_or(&[][..], |state| &state.htlcs);
            htlcs.iter().map(move |incoming| (*funding, incoming))
        });
        incoming
            .filter(|(_, incoming)| {
                !incoming.offered_by_us
                    && incoming.payment_hash160 == htlc.payment_hash160
                    && incoming.amount >= htlc.amount
            })
            .filter(|(funding, incoming)| {
                let same = |f: &&Forward| !f.in_gone && f.consumes(funding, incoming);
                let used = books.forwards.values().chain(made_now).filter(same).count();
                let held = self.channels[funding].record.counterparty.iter().flat_map(|state| &state.htlcs);
                held.filter(|other| other.is_same(incoming)).count() > used
            })
            .max_by_key(|(_, incoming)| incoming.cltv_expiry)
            .map(|(funding, incoming)| Forward {
                incoming: funding,
                payment_hash160: htlc.payment_hash160,
                in_amount: incoming.amount,
                in_cltv: incoming.cltv_expiry,
                outgoing: *channel,
                out_amount: htlc.amount,
                out_cltv: htlc.cltv_expiry,
                at: terms.now,
                in_gone: false,
                out_gone: None,
                out_back: false,
                out_paid: false,
                given_up: false,
                uncertain: false,
                passed: 0,
            })
    }

    /// Whether one HTLC of the hash came in, and none goes out or was forwarded.
    fn is_alone(&self, books: &Books, hash: &super::Hash160) -> bool {
        let states = self.channels.values().filter_map(|channel| channel.record.counterparty.as_ref());
        let mut others = states.flat_map(|state| &state.htlcs).filter(|htlc| htlc.payment_hash160 == *hash);
        let first = others.next().is_some_and(|htlc| !htlc.offered_by_us);
        first
            && others.next().is_none()
            && books.forwards.values().all(|forward| forward.payment_hash160 != *hash)
    }

    /// Sum of the HTLCs of a hash that we offer on the latest commitments.
    pub fn in_flight(&self, hash: &super::Hash160) -> Amount {
        self.in_flight_beside(&OutPoint::null(), &[], hash)
    }

    /// The same with `shown` as the HTLCs of one channel.
    fn in_flight_beside(&self, channel: &OutPoint, shown: &[PendingHtlc], hash: &super::Hash160) -> Amount {
        let others = self.channels.iter().filter(|(funding, _)| *funding != channel);
        let states = others.filter_map(|(_, other)| other.record.counterparty.as_ref());
        states
            .flat_map(|state| &state.htlcs)
            .chain(shown)
            .filter(|htlc| htlc.offered_by_us && htlc.payment_hash160 == *hash)
            .fold(Amount::ZERO, |sum, htlc| sum.checked_add(htlc.amount).unwrap_or(Amount::MAX_MONEY))
    }
}

/// HTLCs of one side that `these` have and none of `those` has, each as often as it is missing.
pub(super) fn without<'a>(
    these: &'a [PendingHtlc],
    those: &[&[PendingHtlc]],
    offered_by_us: bool,
) -> Vec<&'a PendingHtlc> {
    let mut there: HashMap<_, u32> = HashMap::new();
    for those in those {
        let mut here: HashMap<_, u32> = HashMap::new();
        for htlc in those.iter().filter(|htlc| htlc.offered_by_us == offered_by_us) {
            let count = here.entry(htlc.terms()).or_default();
            *count += 1;
            let most = there.entry(htlc.terms()).or_default();
            *most = (*most).max(*count);
        }
    }
    let missing = these.iter().filter(|htlc| htlc.offered_by_us == offered_by_us).filter(|htlc| {
        let left = there.get_mut(&htlc.terms()).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_none()
    });
    missing.collect()
}

/// Outputs that are neither ours, an anchor, nor an HTLC asked for, beyond the one that is the peer's balance; and how many
/// may still turn out to be HTLCs.
///
/// The peer's balance pays what the HTLC transactions pay; where there is no HTLC it is the last one left. It is not taken for
/// the peer's if the peer had none before and all of it left our balance: then it is an HTLC still to be asked for. It may
/// also be made of what the gap held before, HTLCs too small for an output and fractions: no more than that, and only if
/// nobody asks for its HTLC transaction. It is charged as what left us all the same.
fn unexplained(
    after: &CounterpartyState,
    before: Option<&Before>,
    answers: Option<&HtlcAnswers>,
    lost: i64,
) -> (u32, u32) {
    let rest: Vec<_> = after.rest().collect();
    let count = |outputs: usize| u32::try_from(outputs).unwrap_or(u32::MAX);
    if let Some(answer) = answers.and_then(HtlcAnswers::any) {
        let residual = rest.iter().filter(|output| output.script_pubkey == answer.paid_to).count();
        return (count(rest.len() - residual.min(1)), 0);
    }
    match (&rest[..], before) {
        ([only], Some(before)) if before.peers == Amount::ZERO => {
            let ours = only.value.to_sat() >= DUST && lost >= sats(only.value);
            let held = only.value <= before.gap;
            (u32::from(ours && !held), u32::from(ours && held))
        }
        _ => (count(rest.len().saturating_sub(1)), 0),
    }
}

fn sats(amount: Amount) -> i64 {
    // No output exceeds 21 million bitcoin.
    i64::try_from(amount.to_sat()).unwrap_or(i64::MAX / 4)
}
