//! Random lives of two channels: what is recognised and booked, against a model that knows what really happened.

mod model;

use std::collections::HashMap;

use bitcoin::hex::DisplayHex as _;
use proptest::prelude::*;
use strongroom_policy::{ChannelUpdate, Cover};

use self::model::{Event, Fate, Forwarded, Model, RESERVE, Sent, TWINS};
use super::Terms;
use super::tests::{Htlc, hash160};
use crate::channels::{ChannelView, HtlcView};
use crate::classify::tests::channel::*;
use crate::fixture::*;

const NOW: u64 = 1_700_000_000;
const WINDOW: u64 = 86_400;

/// Two channels, the node that signs, and what really is.
struct World {
    node: Node,
    models: [Model; 2],
    next: u32,
    forwards: Vec<Forwarded>,
    fates: HashMap<u32, Fate>,
    /// Sum of what the books called unexplained.
    unexplained: u64,
    /// An HTLC was paid and its twin offered in one step, which shows nowhere and hides as much coming in.
    swapped: bool,
    least: [u64; 2],
}

impl World {
    fn new(funded_by_us: [bool; 2]) -> Self {
        let mut node = Node::new();
        let models = funded_by_us.map(|funded_by_us| Model {
            funded_by_us,
            ours: CAPACITY * 500,
            theirs: CAPACITY * 500,
            rate: 1_000,
            number: 0,
            htlcs: Vec::new(),
        });
        for (at, model) in (0..).zip(&models) {
            node.at = at;
            node.reserve(at);
            let theirs = node.funding_spend(&model.commitment(&node), 1);
            node.approve(&theirs);
            let own = node.own_commitment(0, model.balances().0, &[]);
            node.approve(&own);
        }
        let least = [models[0].balances().0, models[1].balances().0];
        Self {
            node,
            models,
            next: 0,
            forwards: Vec::new(),
            fates: HashMap::new(),
            unexplained: 0,
            swapped: false,
            least,
        }
    }

    /// An outgoing HTLC often forwards one that came in by the other channel.
    fn aim(&self, at: usize, event: Event) -> Event {
        let Event::Add { by_us: true, hash, msat } = event else { return event };
        let incoming = self.models[1 - at].htlcs.iter().find(|htlc| !htlc.by_us && htlc.hash == hash);
        match incoming {
            Some(incoming) if msat % 3 != 0 => {
                Event::Add { by_us: true, hash, msat: incoming.msat - incoming.msat / 100 }
            }
            _ => event,
        }
    }

    /// One step of channel `at`: requests, checks, lessons. With `given_up` lnd stops after it has asked for it, and asks for
    /// the number again with those events only that the bits name.
    fn step(&mut self, at: usize, events: &[Event], given_up: Option<u8>) -> Result<(), TestCaseError> {
        let before = self.models[at].clone();
        let events: Vec<Event> = events.iter().map(|event| self.aim(at, *event)).collect();
        let Some(bits) = given_up else { return self.version(at, &before, &events, None).map(drop) };
        let (next, real) = (self.next, self.forwards.clone());
        let (fates, unexplained) = (self.fates.clone(), self.unexplained);
        let version = self.version(at, &before, &events, None)?;
        // It never was.
        let kept: Vec<Event> =
            (0..).zip(&events).filter(|(n, _)| bits >> n & 1 == 1).map(|(_, event)| *event).collect();
        let second = before.clone().after(&kept, next);
        if second.commitment(&self.node) == version.commitment(&self.node) {
            return Ok(());
        }
        (self.next, self.fates, self.unexplained) = (next, fates, unexplained);
        self.models[at] = before.clone();
        self.version(at, &before, &kept, Some(&version))?;
        let there = |htlc: &Forwarded| {
            let same =
                |model: &Model| model.htlcs.iter().find(|sent| sent.id == htlc.outgoing).map(Sent::shown);
            let (now, then) = (same(&self.models[at]), same(&version));
            let terms = |htlc: Htlc| (htlc.hash, htlc.amount, htlc.cltv);
            then.is_none() || now.map(terms) == then.map(terms)
        };
        let old = |forward: &Forwarded| real.iter().any(|real| real.outgoing == forward.outgoing);
        let kept = self.forwards.iter().filter(|forward| old(forward) || there(forward));
        self.forwards = kept.copied().collect();
        Ok(())
    }

    /// One version of a step; `other` is the one before it.
    fn version(
        &mut self,
        at: usize,
        before: &Model,
        events: &[Event],
        other: Option<&Model>,
    ) -> Result<Model, TestCaseError> {
        let (lost, gone) = self.models[at].happen(events, &mut self.next);
        let model = self.models[at].clone();
        let node = &mut self.node;
        node.at = at as u32;
        let commitment = model.commitment(node);
        let request = node.funding_spend(&commitment, 1);
        let terms = Terms { funded_by_us: model.funded_by_us, now: NOW, window: WINDOW, claim_seconds: 600 };
        let shown = model.shown();
        for (vout, htlc) in (2..).zip(&shown) {
            let (ask, learned) = node.ask(&request);
            let update = node.channels.step(&ask, &learned, terms).expect("a step").update;
            let left = shown.len() as u32 + 2 - vout;
            prop_assert_eq!(update.unexplained_outputs, left, "each request explains one output");
            node.approve(&htlc.request(node, &commitment, vout, &delayed_script(model.number)));
        }
        let (ask, learned) = node.ask(&request);
        let update = node.channels.step(&ask, &learned, terms).expect("a step").update;
        prop_assert_eq!(update.unexplained_outputs, 0);
        self.check_lost(before, &model, other, lost, &update)?;
        self.check_unpaid(before, &model, &gone, &update)?;
        let peers = (sat(before.balances().1), sat(model.balances().1));
        prop_assert_eq!(update.peer_balance, peers);
        prop_assert!(peers.1 >= peers.0 || peers.1 >= sat(RESERVE), "an honest peer keeps its reserve");
        self.note_forwards(at, before, &model, other, &update)?;
        self.node.approve_step(&request, terms);
        self.unexplained += update.unexplained_outflow.to_sat();
        self.fates.extend(gone.iter().map(|(htlc, fate)| (htlc.id, *fate)));
        self.least[at] = self.least[at].min(model.balances().0);
        self.check_view(at)?;
        Ok(model)
    }

    fn check_lost(
        &self,
        before: &Model,
        after: &Model,
        other: Option<&Model>,
        lost: i64,
        update: &ChannelUpdate,
    ) -> Result<(), TestCaseError> {
        let new: u64 = new_of(&[before], after).iter().map(Sent::sat).sum();
        let charged: u64 = new_of(&versions(before, other), after).iter().map(Sent::sat).sum();
        let listed: u64 = update.offered.iter().map(|htlc| htlc.amount.to_sat()).sum();
        let added = |htlc: &&Sent| before.htlcs.iter().all(|other| other.id != htlc.id);
        let ours = |htlc: &&Sent| htlc.by_us && htlc.visible();
        let really: u64 = after.htlcs.iter().filter(ours).filter(added).map(Sent::sat).sum();
        prop_assert_eq!(listed, charged);
        // One that took its twin's place is not seen, and shows as a loss.
        let lost = lost / 1_000 + (really - new).cast_signed();
        let booked = update.unexplained_outflow.to_sat().cast_signed();
        // Outputs are cut down to whole satoshis.
        let cut = (before.htlcs.len() + after.htlcs.len() + 4) as i64;
        prop_assert!((booked - lost.max(0)).abs() <= cut, "booked {} of {}, {} cut", booked, lost, cut);
        Ok(())
    }

    /// What the books call unpaid is lost for certain: paid on, and taken back by the peer.
    fn check_unpaid(
        &mut self,
        before: &Model,
        after: &Model,
        gone: &[(Sent, Fate)],
        update: &ChannelUpdate,
    ) -> Result<(), TestCaseError> {
        let new = || after.htlcs.iter().filter(|new| before.htlcs.iter().all(|old| old.id != new.id));
        let twin =
            |a: &Sent, b: &Sent| a.by_us && b.by_us && (a.hash, a.sat(), a.cltv) == (b.hash, b.sat(), b.cltv);
        self.swapped |=
            gone.iter().any(|(htlc, fate)| *fate == Fate::Settled && new().any(|new| twin(new, htlc)));
        for unpaid in &update.unpaid {
            let taken_back = gone.iter().filter(|(htlc, fate)| {
                !htlc.by_us
                    && *fate == Fate::Failed
                    && sat(htlc.sat()) == unpaid.amount
                    && hash160(htlc.hash).to_lower_hex_string() == unpaid.payment_hash160
            });
            let mut paid = taken_back.filter(|(htlc, _)| {
                let of = self.forwards.iter().filter(|forward| forward.incoming == htlc.id);
                let mut fates = of.filter_map(|forward| self.fates.get(&forward.outgoing));
                fates.any(|fate| *fate == Fate::Settled)
            });
            prop_assert!(paid.next().is_some() || self.swapped, "{:?} is not lost: {:?}", unpaid, gone);
        }
        Ok(())
    }

    /// Remembers which HTLCs the books take for forwards; each must be one.
    fn note_forwards(
        &mut self,
        at: usize,
        before: &Model,
        after: &Model,
        other: Option<&Model>,
        update: &ChannelUpdate,
    ) -> Result<(), TestCaseError> {
        for (sent, offered) in new_of(&versions(before, other), after).iter().zip(&update.offered) {
            prop_assert_eq!(offered.amount, sat(sent.sat()));
            let Cover::Forward { incoming_cltv, .. } = &offered.cover else { continue };
            let found = self.models[1 - at].htlcs.iter().find(|htlc| {
                !htlc.by_us
                    && htlc.hash == sent.hash
                    && htlc.cltv == *incoming_cltv
                    && htlc.sat() >= sent.sat()
            });
            let Some(incoming) = found else {
                return Err(TestCaseError::fail(format!("{sent:?} forwards nothing")));
            };
            let twice = self.forwards.iter().any(|forward| forward.incoming == incoming.id);
            prop_assert!(!twice, "{:?} pays for two", incoming);
            self.forwards.push(Forwarded { incoming: incoming.id, outgoing: sent.id, amount: sent.sat() });
        }
        Ok(())
    }

    fn check_view(&self, at: usize) -> Result<(), TestCaseError> {
        let model = &self.models[at];
        let views = self.node.channels.views(NOW, WINDOW, 600);
        let outpoint = self.node.funding_outpoint();
        let view: &ChannelView = views.iter().find(|view| view.channel == outpoint).expect("a channel");
        prop_assert_eq!(view.balance, sat(model.balances().0));
        prop_assert_eq!(view.guaranteed, sat(self.least[at]));
        prop_assert_eq!(view.their_number, Some(model.number));
        let real: Vec<HtlcView> = model.htlcs.iter().filter(|htlc| htlc.visible()).map(Sent::view).collect();
        prop_assert_eq!(&view.htlcs, &real);
        Ok(())
    }

    /// Paid out, or still to be, with neither the incoming HTLC credited nor the outgoing one back.
    fn at_risk(&self) -> u64 {
        let open = self.forwards.iter().filter(|forward| {
            self.fates.get(&forward.incoming) != Some(&Fate::Settled)
                && self.fates.get(&forward.outgoing) != Some(&Fate::Failed)
        });
        open.map(|forward| forward.amount).sum()
    }

    fn provisional(&self) -> u64 {
        self.node.channels.provisional(NOW, WINDOW).to_sat()
    }

    /// What no output of the latest commitments holds.
    fn gaps(&self) -> u64 {
        let gap = |model: &Model| {
            let held: u64 = model.shown().iter().map(|htlc| htlc.amount).sum();
            let (ours, theirs) = model.balances();
            CAPACITY - held - ours - theirs
        };
        self.models.iter().map(gap).sum()
    }
}

/// What a commitment's HTLCs are not new beside.
fn versions<'a>(before: &'a Model, other: Option<&'a Model>) -> Vec<&'a Model> {
    [before].into_iter().chain(other).collect()
}

/// Visible HTLCs of ours on `after` that none of `shown` shows, as the books can tell them.
fn new_of(shown: &[&Model], after: &Model) -> Vec<Sent> {
    let terms = |htlc: &Sent| (htlc.hash, htlc.sat(), htlc.cltv);
    let ours = |model: &Model| -> Vec<Sent> {
        model.htlcs.iter().filter(|htlc| htlc.by_us && htlc.visible()).copied().collect()
    };
    let alike =
        |htlcs: &[Sent], htlc: &Sent| htlcs.iter().filter(|other| terms(other) == terms(htlc)).count();
    let (shown, after): (Vec<_>, _) = (shown.iter().map(|model| ours(model)).collect(), ours(after));
    let new = after.iter().enumerate().filter(|(at, htlc)| {
        let most = shown.iter().map(|htlcs| alike(htlcs, htlc)).max().unwrap_or(0);
        alike(&after[..*at], htlc) >= most
    });
    new.map(|(_, htlc)| *htlc).collect()
}

fn event(least_msat: u64) -> impl Strategy<Value = Event> {
    let hash = prop_oneof![4 => 0u8..4, 1 => Just(TWINS)];
    prop_oneof![
        6 => (any::<bool>(), hash, prop_oneof![
            least_msat..60_000_000,
            // Few amounts, so that they are mistaken for each other.
            (1u64..4).prop_map(|n| n * 10_000_000),
        ]).prop_map(|(by_us, hash, msat)| Event::Add { by_us, hash, msat }),
        3 => (0usize..8).prop_map(Event::Settle),
        2 => (0usize..8).prop_map(Event::Fail),
        1 => (253u64..2_500).prop_map(Event::Rate),
    ]
}

type History = Vec<(usize, Vec<Event>, Option<u8>)>;

fn history(least_msat: u64, most: usize) -> impl Strategy<Value = History> {
    let given_up = prop::option::weighted(0.2, any::<u8>());
    prop::collection::vec((0usize..2, prop::collection::vec(event(least_msat), 0..=most), given_up), 1..14)
}

proptest! {
    /// Nothing that is at risk leaves the books unnoticed, dust or not.
    #[test]
    fn what_is_at_risk_is_provisional_or_charged(
        funded_by_us in any::<[bool; 2]>(),
        history in history(50_000, 5),
    ) {
        let mut world = World::new(funded_by_us);
        for (at, events, given_up) in history {
            world.step(at, &events, given_up)?;
            let covered = world.provisional() + world.unexplained + world.gaps();
            prop_assert!(covered >= world.at_risk(), "{} sat at risk, {} covered", world.at_risk(), covered);
        }
    }

    /// Without dust, what is provisional is never less than what is at risk.
    #[test]
    fn without_dust_what_is_at_risk_is_provisional(
        funded_by_us in any::<[bool; 2]>(),
        history in history(1_000_000, 5),
    ) {
        let mut world = World::new(funded_by_us);
        for (at, events, given_up) in history {
            world.step(at, &events, given_up)?;
            prop_assert!(world.provisional() >= world.at_risk());
        }
    }

    /// One thing at a time leaves no doubt: what is provisional is what is at risk.
    #[test]
    fn one_event_at_a_time_is_booked_exactly(
        funded_by_us in any::<[bool; 2]>(),
        history in history(1_000_000, 1),
    ) {
        let mut world = World::new(funded_by_us);
        for (at, events, _) in history {
            world.step(at, &events, None)?;
            prop_assert_eq!(world.provisional(), world.at_risk());
        }
    }
}
