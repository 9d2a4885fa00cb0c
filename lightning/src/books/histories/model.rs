//! A channel as its ends know it: what the books are held against.

use bitcoin::Transaction;

use super::super::tests::{Htlc, hash160};
use crate::channels::HtlcView;
use crate::classify::tests::channel::*;
use crate::fixture::*;

/// Below this an HTLC has no output.
pub(super) const DUST: u64 = 354;

/// What either side keeps.
pub(super) const RESERVE: u64 = 10_000;

/// HTLCs of ours that are alike, as the parts of a payment may be.
pub(super) const TWINS: u8 = 9;

/// An HTLC as its channel's ends know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) id: u32,
    pub(super) by_us: bool,
    pub(super) hash: u8,
    pub(super) msat: u64,
    pub(super) cltv: u32,
}

impl Sent {
    pub(super) fn sat(&self) -> u64 {
        self.msat / 1_000
    }

    pub(super) fn visible(&self) -> bool {
        self.sat() >= DUST
    }

    pub(super) fn shown(&self) -> Htlc {
        Htlc { by_us: self.by_us, hash: self.hash, amount: self.sat(), cltv: self.cltv }
    }

    pub(super) fn view(&self) -> HtlcView {
        HtlcView {
            offered_by_us: self.by_us,
            amount: sat(self.sat()),
            payment_hash160: hash160(self.hash),
            cltv_expiry: self.cltv,
        }
    }
}

/// What happens to a channel between two commitments.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Add { by_us: bool, hash: u8, msat: u64 },
    Settle(usize),
    Fail(usize),
    Rate(u64),
}

/// One channel. Balances are in millisatoshi, before the commitment's fee.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) funded_by_us: bool,
    pub(super) ours: u64,
    pub(super) theirs: u64,
    /// Satoshi for 1,000 weight units.
    pub(super) rate: u64,
    pub(super) number: u64,
    pub(super) htlcs: Vec<Sent>,
}

/// A forward as it really is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forwarded {
    pub(super) incoming: u32,
    pub(super) outgoing: u32,
    pub(super) amount: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Settled,
    Failed,
}

impl Model {
    pub(super) fn fee(&self) -> u64 {
        let visible = self.htlcs.iter().filter(|htlc| htlc.visible()).count() as u64;
        (1_124 + 172 * visible) * self.rate / 1_000
    }

    /// Our output and the peer's, satoshi.
    pub(super) fn balances(&self) -> (u64, u64) {
        let paid = 660 + self.fee();
        let (ours, theirs) = (self.ours / 1_000, self.theirs / 1_000);
        if self.funded_by_us { (ours - paid, theirs) } else { (ours, theirs - paid) }
    }

    /// Whether both sides keep their reserve, and room for the fee of one HTLC more.
    pub(super) fn is_sound(&self) -> bool {
        let paid = 660 + self.fee() + self.rate;
        let (ours, theirs) = if self.funded_by_us { (paid, 0) } else { (0, paid) };
        self.ours >= (RESERVE + ours) * 1_000 && self.theirs >= (RESERVE + theirs) * 1_000
    }

    pub(super) fn commitment(&self, node: &Node) -> Transaction {
        let (ours, theirs) = self.balances();
        let mut outputs = node.anchors().to_vec();
        outputs.extend(self.shown().iter().map(|htlc| htlc.output(node)));
        outputs.push(pays(ours, &node.to_remote()));
        outputs.push(pays(theirs, &delayed_script(self.number)));
        numbered(node.funding_outpoint(), self.number, outputs)
    }

    pub(super) fn shown(&self) -> Vec<Htlc> {
        self.htlcs.iter().filter(|htlc| htlc.visible()).map(Sent::shown).collect()
    }

    /// Takes the events in that can be; answers what of our balance went where no HTLC's output shows it, in
    /// millisatoshi, less what came to us, and the HTLCs that ended.
    pub(super) fn happen(&mut self, events: &[Event], next: &mut u32) -> (i64, Vec<(Sent, Fate)>) {
        let committed = self.htlcs.clone();
        let mut gone = Vec::new();
        let mut lost = 0;
        for event in events {
            let before = self.clone();
            let mut change = 0;
            match *event {
                Event::Rate(rate) => self.rate = rate,
                Event::Add { by_us, hash, msat } => {
                    let side = if by_us { &mut self.ours } else { &mut self.theirs };
                    let Some(left) = side.checked_sub(msat) else { continue };
                    *side = left;
                    *next += 1;
                    let hash = if hash == TWINS && !by_us { 0 } else { hash };
                    let cltv = if hash == TWINS { 690_000 } else { 700_000 + *next };
                    let htlc = Sent { id: *next, by_us, hash, msat, cltv };
                    change = self.unseen(&htlc, None);
                    self.htlcs.push(htlc);
                }
                Event::Settle(at) | Event::Fail(at) => {
                    // Only what both sides have committed to is ever removed.
                    let there: Vec<_> = committed
                        .iter()
                        .filter(|htlc| self.htlcs.iter().any(|other| other.id == htlc.id))
                        .collect();
                    let Some(htlc) = there.get(at % there.len().max(1)).copied().copied() else { continue };
                    let fate = if matches!(event, Event::Settle(_)) { Fate::Settled } else { Fate::Failed };
                    let to_us = htlc.by_us == (fate == Fate::Failed);
                    if to_us {
                        self.ours += htlc.msat
                    } else {
                        self.theirs += htlc.msat
                    }
                    self.htlcs.retain(|other| other.id != htlc.id);
                    change = self.unseen(&htlc, Some(fate));
                    gone.push((htlc, fate));
                }
            }
            if !self.is_sound() || self.htlcs.len() > 8 {
                if matches!(event, Event::Settle(_) | Event::Fail(_)) {
                    gone.pop();
                }
                *self = before;
                continue;
            }
            lost += change;
        }
        self.number += 1;
        (lost, gone)
    }

    /// What it becomes by the events.
    pub(super) fn after(mut self, events: &[Event], mut next: u32) -> Self {
        self.happen(events, &mut next);
        self
    }

    /// What one event takes from our balance, or adds, with no HTLC output to show for it. Who pays the fee has all
    /// dust in it: it leaves us when the fee's other part comes back to the peer.
    pub(super) fn unseen(&self, htlc: &Sent, fate: Option<Fate>) -> i64 {
        let msat = htlc.msat.cast_signed();
        if htlc.visible() {
            let credited =
                matches!((htlc.by_us, fate), (true, Some(Fate::Failed)) | (false, Some(Fate::Settled)));
            return if credited { -(msat / 1_000 * 1_000) } else { 0 };
        }
        match (self.funded_by_us, htlc.by_us, fate) {
            (false, true, None) | (true, true, Some(Fate::Settled)) | (true, false, Some(Fate::Failed)) => {
                msat
            }
            (true, false, None) | (false, true, Some(Fate::Failed)) | (false, false, Some(Fate::Settled)) => {
                -msat
            }
            _ => 0,
        }
    }
}
