//! What goes wrong, or ends, between the payments.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rand::Rng;

use super::payment::{End, Kind, Payment, track};
use super::traffic::make;
use super::{Soak, Who};
use crate::clock::{until_true, within_true};
use crate::lnd::Lnd;
use crate::network::short_id;

/// One thing that happens to a node or a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upset {
    StopLnd,
    KillLnd,
    RestartBitcoind,
    StopSigner,
    KillSigner,
    Reconnect,
    Burst,
    CooperativeClose,
    ForceClose,
    PeerForceCloses,
}

impl Upset {
    pub(super) const ALL: [Self; 10] = [
        Self::StopLnd,
        Self::KillLnd,
        Self::RestartBitcoind,
        Self::StopSigner,
        Self::KillSigner,
        Self::Reconnect,
        Self::Burst,
        Self::CooperativeClose,
        Self::ForceClose,
        Self::PeerForceCloses,
    ];

    /// Those with these names; all of them if none is named.
    pub(super) fn named(names: &[String]) -> Result<Vec<Self>> {
        if names.is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        let known = |name: &String| Self::ALL.into_iter().find(|upset| format!("{upset:?}") == *name);
        names
            .iter()
            .map(|name| known(name).with_context(|| format!("{name:?}: allowed are {:?}", Self::ALL)))
            .collect()
    }
}

impl Soak<'_> {
    pub(super) fn upset(&mut self, upset: Upset) -> Result<()> {
        match upset {
            Upset::Burst => return self.burst(),
            Upset::CooperativeClose => return self.cooperative_close(),
            Upset::ForceClose => return self.force_close(true),
            Upset::PeerForceCloses => return self.force_close(false),
            _ => {}
        }
        // In the middle of updates: payments every way, some of them held.
        self.hold()?;
        self.held_arrived()?;
        let payments = self.some(40);
        // Whatever takes longer than this is asked for again once all is back.
        let orders: Vec<_> =
            self.orders(&payments)?.into_iter().map(|(payer, order)| (payer.within(20), order)).collect();
        let batch = std::thread::spawn(move || make(&orders, 8));
        let moment = self.rng.gen_range(100..700);
        std::thread::sleep(Duration::from_millis(moment));
        self.disturb(upset)?;
        self.come_back()?;
        self.nudge()?;
        let ends = batch.join().map_err(|_| anyhow!("a payer's thread panicked"))?;
        for (payment, end) in payments.iter().zip(ends) {
            let end = match end {
                End::Open(_) => track(self.node(payment.from)?, payment),
                ended => ended,
            };
            match end {
                End::Succeeded => self.count_made(payment),
                End::Failed(_) => self.tally.upset += 1,
                End::Open(why) => {
                    self.tally.upset += 1;
                    self.tally.hung += usize::from(why != "never begun");
                }
            }
        }
        self.forget_failures()?;
        self.release_held()
    }

    fn disturb(&mut self, upset: Upset) -> Result<()> {
        match upset {
            Upset::StopLnd => self.net.alice.restart()?,
            Upset::KillLnd => {
                self.net.alice.process().kill()?;
                self.net.alice.start_again()?;
            }
            Upset::RestartBitcoind => {
                self.net.bitcoind.process().stop(60)?;
                self.net.bitcoind.start_again()?;
                self.blocks_seen_again()?;
            }
            Upset::StopSigner | Upset::KillSigner => self.restart_signer(upset == Upset::KillSigner)?,
            _ => {
                for who in [Who::Bob, Who::Carol] {
                    self.net.alice.disconnect(self.node(who)?)?;
                }
                self.tally.reconnects += 1;
                return Ok(());
            }
        }
        self.tally.restarts += 1;
        Ok(())
    }

    /// lnd ends when its signer is gone; it is started again once the signer is back.
    fn restart_signer(&mut self, kill: bool) -> Result<()> {
        let signer = self.net.signer.as_mut().context("alice has no signer")?;
        if kill {
            signer.process().kill()?
        } else {
            signer.process().stop(10)?
        }
        let alice = self.net.alice.process();
        let ended =
            within_true(Duration::from_secs(15), "lnd ends", || Ok(alice.try_wait()?.is_some())).is_ok();
        signer.start_again()?;
        if !ended {
            self.net.alice.process().stop(60)?;
        }
        self.net.alice.start_again()
    }

    /// One small payment each way over every channel. An lnd that was stopped while it owed a commitment signs it with
    /// the channel's next update, not before.
    fn nudge(&mut self) -> Result<()> {
        for line in self.lines.clone() {
            for way in [(Who::Alice, line.peer), (line.peer, Who::Alice)] {
                let by = Some(short_id(self.node(way.0)?, &line.point)?);
                let payment = Payment { by, ..Payment::new(&mut self.rng, way, Kind::Plain, 1_500) };
                self.must_succeed(vec![payment], 1)?;
            }
        }
        Ok(())
    }

    /// lnd sees a block missed while it had no bitcoind only when the next one comes.
    fn blocks_seen_again(&self) -> Result<()> {
        until_true(60, "every lnd sees blocks again", || {
            self.net.bitcoind.mine(1)?;
            std::thread::sleep(Duration::from_secs(3));
            let height = self.net.bitcoind.height()?;
            for who in [Who::Alice, Who::Bob, Who::Carol] {
                let info = self.node(who)?.rest().get("/v1/getinfo")?;
                // The height alone is bitcoind's own.
                if info["block_height"].as_u64() != Some(height) || info["synced_to_chain"] != true {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Connected, all channels active, the chain seen.
    fn come_back(&mut self) -> Result<()> {
        for who in [Who::Bob, Who::Carol] {
            self.net.alice.connect(self.node(who)?)?;
        }
        self.net.mine(1)?;
        for line in self.lines.clone() {
            let active = || {
                let channel = self.net.alice.channel(&line.point)?;
                Ok(channel.is_some_and(|channel| channel["active"] == true))
            };
            if within_true(PATIENCE, "a channel active again", active).is_ok() {
                continue;
            }
            // lnd's own way out of a link that failed while it stopped. Told of, with what lnd says of it, and counted.
            let because = lnd_on(&self.net.alice, &line.point.txid);
            self.say(&format!(
                "{} is not active after {PATIENCE:?}; {:?} is connected anew\n{because}",
                line.point, line.peer
            ));
            self.check_refusals()?;
            self.net.alice.disconnect(self.node(line.peer)?)?;
            self.net.alice.connect(self.node(line.peer)?)?;
            self.tally.helped += 1;
        }
        self.ready()
    }
}

/// How long a channel may take to come back by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// The last warnings and errors in an lnd's log that name `word`.
fn lnd_on(lnd: &Lnd, word: &str) -> String {
    let log = lnd.process_ref().log_tail(4_000);
    let bad = |line: &&str| line.contains(word) && (line.contains("[ERR]") || line.contains("[WRN]"));
    let said: Vec<&str> = log.lines().filter(bad).collect();
    said[said.len().saturating_sub(5)..].join("\n")
}
