//! Rounds of payments on quiet nodes: all that is meant to succeed does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rand::Rng;
use serde_json::{Value, json};

use super::payment::{End, Held, Kind, Payment, arrived, release, send};
use super::{Soak, Who};
use crate::clock::until_true;
use crate::network::short_id;
use crate::rest::Rest;

/// Every way through the network.
pub(super) const WAYS: [(Who, Who); 6] = [
    (Who::Alice, Who::Bob),
    (Who::Bob, Who::Alice),
    (Who::Alice, Who::Carol),
    (Who::Carol, Who::Alice),
    (Who::Carol, Who::Bob),
    (Who::Bob, Who::Carol),
];

/// HTLCs that one side may have on a commitment (BOLT 2).
const MOST_HTLCS: usize = 483;

impl Soak<'_> {
    /// One round of some kind.
    pub(super) fn round(&mut self) -> Result<()> {
        match self.rng.gen_range(0..12) {
            0 => self.parts(),
            1 => self.hold(),
            2 => self.release_held(),
            3 => self.unknown(),
            4 => self.insufficient(),
            5 => self.crowd(60),
            _ => self.plain(),
        }
    }

    fn plain(&mut self) -> Result<()> {
        let count = self.rng.gen_range(10..40);
        let payments = self.some(count);
        let parallel = self.one_of(&[1, 4, 16]);
        self.must_succeed(payments, parallel)
    }

    /// Payments every way; one in twenty is dust.
    pub(super) fn some(&mut self, count: usize) -> Vec<Payment> {
        (0..count)
            .map(|_| {
                let way = self.one_of(&WAYS);
                let sat = if self.rng.gen_bool(0.05) { 200 } else { self.rng.gen_range(1_000..20_000) };
                Payment::new(&mut self.rng, way, Kind::Plain, sat)
            })
            .collect()
    }

    fn crowd(&mut self, count: usize) -> Result<()> {
        let way = self.one_of(&WAYS);
        let sat = self.rng.gen_range(1_000..3_000);
        let payments = (0..count).map(|_| Payment::new(&mut self.rng, way, Kind::Plain, sat)).collect();
        self.must_succeed(payments, count)
    }

    fn parts(&mut self) -> Result<()> {
        let way = self.one_of(&WAYS);
        let sat = self.rng.gen_range(30_000..90_000);
        let payments = (0..4).map(|_| Payment::new(&mut self.rng, way, Kind::Parts, sat)).collect();
        self.must_succeed(payments, 2)
    }

    /// Leaves some payments pending for rounds to come.
    pub(super) fn hold(&mut self) -> Result<()> {
        for _ in 0..self.rng.gen_range(2..8) {
            let way = self.one_of(&WAYS);
            let sat = self.rng.gen_range(2_000..30_000);
            let payment = Payment::new(&mut self.rng, way, Kind::Hold, sat);
            self.begin_held(payment)?;
        }
        Ok(())
    }

    fn begin_held(&mut self, payment: Payment) -> Result<()> {
        let order = payment.order(self.node(payment.to)?)?;
        let payer = self.node(payment.from)?.rest().clone();
        let end = std::thread::spawn(move || send(&payer, &order));
        self.held.push(Held { payment, end });
        Ok(())
    }

    /// Waits until every held payment is with its payee.
    pub(super) fn held_arrived(&self) -> Result<()> {
        self.held.iter().try_for_each(|held| arrived(self.node(held.payment.to)?, &held.payment))
    }

    /// Settles or cancels what is held.
    pub(super) fn release_held(&mut self) -> Result<()> {
        self.held_arrived()?;
        // All released before the first end is awaited, so that they leave the channels together.
        let settled: Vec<bool> = self.held.iter().map(|_| self.rng.gen_bool(0.6)).collect();
        for (held, settle) in self.held.iter().zip(&settled) {
            release(self.node(held.payment.to)?, &held.payment, *settle)?;
        }
        for (held, settle) in std::mem::take(&mut self.held).into_iter().zip(settled) {
            let mut end = held.end.join().map_err(|_| anyhow!("a payer's thread panicked"))?;
            if let End::Open(_) = end {
                end = super::payment::track(self.node(held.payment.from)?, &held.payment);
            }
            match (settle, end) {
                (true, End::Succeeded) => self.count_made(&held.payment),
                (false, End::Failed(_)) => self.tally.failed_as_meant += 1,
                (_, end) => {
                    bail!("settled: {settle}, but the held payment ended as {end:?}: {:?}", held.payment)
                }
            }
        }
        Ok(())
    }

    /// To hashes that no payee knows.
    fn unknown(&mut self) -> Result<()> {
        let payments: Vec<Payment> = (0..6)
            .map(|_| {
                let way = self.one_of(&WAYS);
                let sat = self.rng.gen_range(1_000..20_000);
                Payment::new(&mut self.rng, way, Kind::Unknown, sat)
            })
            .collect();
        self.must_fail(&payments)
    }

    /// More than alice has towards the payee: her link fails what the payer had good reason to try.
    fn insufficient(&mut self) -> Result<()> {
        let (payer, payee) = self.one_of(&[(Who::Carol, Who::Bob), (Who::Bob, Who::Carol)]);
        let mut most = 0;
        for line in self.lines.iter().filter(|line| line.peer == payee) {
            let channel = self.net.alice.channel(&line.point)?.context("an open channel is gone")?;
            most = most.max(channel["local_balance"].as_str().unwrap_or_default().parse()?);
        }
        let payment = Payment::new(&mut self.rng, (payer, payee), Kind::Unknown, most + 50_000);
        self.must_fail(&[payment])
    }

    fn must_fail(&mut self, payments: &[Payment]) -> Result<()> {
        for (payment, end) in payments.iter().zip(self.make(payments, 3)?) {
            ensure!(matches!(end, End::Failed(_)), "meant to fail, ended as {end:?}: {payment:?}");
            self.tally.failed_as_meant += 1;
        }
        self.forget_failures()
    }

    /// As many HTLCs on one channel as the protocol allows, all pending at once, then all settled.
    pub(super) fn burst(&mut self) -> Result<()> {
        self.release_held()?;
        let line = self.lines.iter().find(|line| line.peer == Who::Bob && line.opened_by_alice);
        let point = line.context("no channel of alice's with bob")?.point.clone();
        let by = short_id(&self.net.alice, &point)?;
        let payments: Vec<Payment> = (0..MOST_HTLCS)
            .map(|_| {
                let payment = Payment::new(&mut self.rng, (Who::Alice, Who::Bob), Kind::Hold, 1_000);
                Payment { by: Some(by.clone()), ..payment }
            })
            .collect();
        for payment in payments {
            self.begin_held(payment)?;
        }
        let pending = |soak: &Self| -> Result<usize> {
            let channel = soak.net.bob.channel(&point)?.context("the burst's channel is gone")?;
            Ok(channel["pending_htlcs"].as_array().map_or(0, Vec::len))
        };
        until_true(120, &format!("{MOST_HTLCS} HTLCs pending"), || Ok(pending(self)? == MOST_HTLCS))?;
        self.tally.burst = MOST_HTLCS;
        self.release_held()
    }

    /// Makes payments that must succeed: a failure is tried again once, for lnd's routing remembers old failures.
    pub(super) fn must_succeed(&mut self, payments: Vec<Payment>, parallel: usize) -> Result<()> {
        let ends = self.make(&payments, parallel)?;
        let mut again = Vec::new();
        for (payment, end) in payments.into_iter().zip(ends) {
            match end {
                End::Succeeded => self.count_made(&payment),
                _ => again.push(payment),
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        self.forget_failures()?;
        for payment in again {
            let Payment { from, to, kind, sat, by, .. } = payment;
            let payment = Payment { by, ..Payment::new(&mut self.rng, (from, to), kind, sat) };
            let ends = self.make(std::slice::from_ref(&payment), 1)?;
            ensure!(ends == [End::Succeeded], "failed twice, then as {ends:?}: {payment:?}");
            self.count_made(&payment);
        }
        Ok(())
    }

    pub(super) fn count_made(&mut self, payment: &Payment) {
        self.tally.sent += 1;
        self.tally.forwarded += usize::from(payment.is_forwarded());
    }

    /// Lets every router try again what failed before.
    pub(super) fn forget_failures(&self) -> Result<()> {
        for who in [Who::Alice, Who::Bob, Who::Carol] {
            self.node(who)?.rest().post("/v2/router/mc/reset", &json!({}))?;
        }
        Ok(())
    }

    fn make(&self, payments: &[Payment], parallel: usize) -> Result<Vec<End>> {
        Ok(make(&self.orders(payments)?, parallel))
    }

    /// What each payer has to be asked, invoices made.
    pub(super) fn orders(&self, payments: &[Payment]) -> Result<Vec<(Rest, Value)>> {
        let order = |payment: &Payment| -> Result<(Rest, Value)> {
            Ok((self.node(payment.from)?.rest().clone(), payment.order(self.node(payment.to)?)?))
        };
        payments.iter().map(order).collect()
    }
}

/// Sends all, so many at a time, and waits for their ends.
pub(super) fn make(orders: &[(Rest, Value)], parallel: usize) -> Vec<End> {
    let next = AtomicUsize::new(0);
    let ends: Vec<Mutex<Option<End>>> = orders.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..parallel {
            scope.spawn(|| {
                while let Some((payer, order)) = orders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let end = send(payer, order);
                    let at = orders.iter().position(|(_, other)| std::ptr::eq(other, order));
                    if let Some(Ok(mut slot)) = at.map(|at| ends[at].lock()) {
                        *slot = Some(end);
                    }
                }
            });
        }
    });
    let ended = ends.into_iter().map(|slot| slot.into_inner().ok().flatten());
    ended.map(|end| end.unwrap_or_else(|| End::Open("its thread panicked".to_owned()))).collect()
}
