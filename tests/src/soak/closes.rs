//! Channels' ends: agreed, forced, and by a peer who cheats.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::Rng;

use super::{Line, Soak, Who};
use crate::clock::within_true;
use crate::lnd::{CommitmentType, Keys, Lnd};
use crate::network::{close_by_agreement, pend_htlc, short_id};

/// What a side has to have for the HTLCs that a force close leaves pending: its reserve of 100,000 sat, and them.
const ENOUGH: u64 = 300_000;

impl Soak<'_> {
    fn take_line(&mut self) -> Line {
        let at = self.rng.gen_range(0..self.lines.len());
        self.lines.remove(at)
    }

    /// Another channel in its place.
    fn replace(&mut self, line: &Line) -> Result<()> {
        self.open(line.peer, line.opened_by_alice)?;
        self.ready()?;
        self.forget_failures()
    }

    pub(super) fn cooperative_close(&mut self) -> Result<()> {
        self.release_held()?;
        let mut failed = None;
        for _ in 0..self.lines.len() {
            let line = self.take_line();
            let by_peer = self.rng.gen_bool(0.5);
            let (mut closer, mut other) = (self.node(Who::Alice)?, self.node(line.peer)?);
            if by_peer {
                std::mem::swap(&mut closer, &mut other);
            }
            if let Err(error) = close_by_agreement(closer, other, &line.point) {
                // An HTLC that lnd never ended after a kill keeps its channel from an agreed close: told, and another taken.
                self.say(&format!("{} is not closed by agreement: {error:#}", line.point));
                self.check_refusals()?;
                self.lines.push(line);
                failed = Some(error);
                continue;
            }
            self.net.mine(3)?;
            self.tally.cooperative += 1;
            return self.replace(&line);
        }
        Err(failed.context("no channel to close")?)
    }

    /// By alice or by the peer, with HTLCs pending both ways: some settled after the close, some left to time out.
    pub(super) fn force_close(&mut self, by_alice: bool) -> Result<()> {
        self.release_held()?;
        let line = self.take_line();
        let (alice, peer) = (&self.net.alice, self.node(line.peer)?);
        // A channel that has just been opened may have nothing yet on one side.
        for (rich, poor, balance) in [(alice, peer, "remote_balance"), (peer, alice, "local_balance")] {
            let channel = alice.channel(&line.point)?.context("no such channel")?;
            let has: u64 = channel[balance].as_str().context("no balance")?.parse()?;
            if has < ENOUGH {
                rich.pay(&poor.invoice(ENOUGH)?, Some(&short_id(rich, &line.point)?))?;
            }
        }
        let ours = pend_htlc(peer, alice, &line.point, 20_000)?;
        let theirs = pend_htlc(alice, peer, &line.point, 25_000)?;
        pend_htlc(alice, peer, &line.point, 15_000)?;
        pend_htlc(peer, alice, &line.point, 18_000)?;
        let closer = if by_alice { alice } else { peer };
        closer.close_channel(&line.point, true)?;
        // The anchor's bump before the commitment confirms, a sweep's after.
        let bumped_before = bump(alice)?;
        self.net.mine(1)?;
        self.net.alice.settle_invoice(&ours)?;
        self.node(line.peer)?.settle_invoice(&theirs)?;
        let bumped = bumped_before + bump(&self.net.alice)?;
        self.tally.bumps += bumped;
        self.tally.forced += 1;
        self.replace(&line)
    }

    /// A peer comes back with an old database while alice is away, and publishes what it revoked.
    pub(super) fn breach(&mut self) -> Result<()> {
        self.release_held()?;
        self.say("dave takes a channel and will publish a revoked state of it");
        let home = self.dir.join("dave");
        let mut dave = Lnd::start("dave", &home, &self.net.bitcoind, &Keys::Own, &[])?;
        let alice = &self.net.alice;
        alice.connect(&dave)?;
        let points = self.net.open(alice, &dave, 1, 3_000_000, 0, CommitmentType::Anchors)?;
        let point = &points[0];
        for _ in 0..5 {
            alice.pay(&dave.invoice(150_000)?, None)?;
        }
        let to_dave = pend_htlc(alice, &dave, point, 30_000)?;
        let to_alice = pend_htlc(&dave, alice, point, 40_000)?;
        let old = home.join("old");
        dave.process().stop(60)?;
        copy(&home.join("data"), &old)?;
        dave.start_again()?;
        alice.connect(&dave)?;
        alice.wait_active(&points)?;
        dave.settle_invoice(&to_dave)?;
        alice.settle_invoice(&to_alice)?;
        for _ in 0..5 {
            dave.pay(&alice.invoice(20_000)?, None)?;
        }
        dave.process().stop(60)?;
        self.net.alice.process().stop(60)?;
        std::fs::remove_dir_all(home.join("data"))?;
        copy(&old, &home.join("data"))?;
        dave.start_again()?;
        let revoked = dave.close_channel(point, true)?;
        self.net.bitcoind.mine(1)?;
        self.net.alice.start_again()?;
        self.tally.restarts += 1;
        let net = &self.net;
        let wanted = point.to_string();
        net.mine_until(60, "the breach punished", |net| {
            let closed = net.alice.closed()?;
            Ok(closed
                .iter()
                .any(|c| c["channel_point"] == wanted.as_str() && c["close_type"] == "BREACH_CLOSE"))
        })?;
        if self.watch.is_some() {
            let spent = self.justice(&revoked)?;
            ensure!(spent > 0, "no justice transaction that was signed has confirmed");
            self.say(&format!("dave published {revoked}; {spent} justice transactions confirmed"));
        }
        self.tally.breach = true;
        for who in [Who::Bob, Who::Carol] {
            self.net.alice.connect(self.node(who)?)?;
        }
        self.ready()
    }

    /// Justice that was signed and has confirmed, spending the revoked commitment.
    fn justice(&mut self, revoked: &str) -> Result<usize> {
        let signed = self.approved("justice", 400)?;
        let mut found = std::collections::BTreeSet::new();
        for txid in signed {
            // Not every one that was signed was published.
            let Ok(transaction) = self.net.bitcoind.transaction(&txid) else { continue };
            let inputs = transaction["vin"].as_array().context("a transaction without inputs")?;
            let spends = inputs.iter().any(|input| input["txid"] == revoked);
            if spends && transaction["confirmations"].as_u64() > Some(0) {
                found.insert(txid);
            }
        }
        Ok(found.len())
    }
}

/// Bumps what alice means to sweep; answers how many bumps she took.
fn bump(alice: &Lnd) -> Result<usize> {
    // Right after a close nothing may be there yet; an output may be swept meanwhile.
    let found =
        within_true(Duration::from_secs(5), "something to sweep", || Ok(!alice.pending_sweeps()?.is_empty()));
    if found.is_err() {
        return Ok(0);
    }
    let sweeps = alice.pending_sweeps()?;
    Ok(sweeps.iter().filter(|sweep| alice.bump_fee(&sweep["outpoint"], 20).is_ok()).count())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().context("run cp")?;
    ensure!(status.success(), "cp -a {} {}: {status}", from.display(), to.display());
    Ok(())
}
