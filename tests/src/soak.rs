//! Hours of a routing node in minutes: payments, forwards, failures, restarts, closes and a breach, with a signer that
//! must not refuse any of it.
//!
//! Carol, alice and bob are real lnds; alice, in the middle, has no keys. What is done, in which order and over which
//! amounts follows from the seed; how the nodes' work interleaves does not.

mod closes;
mod payment;
mod traffic;
mod upset;
mod watch;

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::lnd::{ChannelPoint, CommitmentType, Lnd};
use crate::network::{Network, Plan};
use crate::signer::SignerKind;
use crate::strongroomd::{PolicyChoice, Strongroomd};
use payment::Held;
use upset::Upset;
use watch::Watch;

/// How much is done, and which choices are made.
#[derive(Clone, Debug)]
pub struct Size {
    /// Payments tried at least, those meant to fail among them.
    pub payments: usize,
    /// Decides every choice.
    pub seed: u64,
    /// Who signs for alice. With lnd's own signer the same happens, and nothing is said of refusals: to compare.
    pub signer: SignerKind,
    /// The only upsets that come, as named in the progress lines, each as often as any; empty for all of them.
    pub only: Vec<String>,
}

/// The cautious profile with what this volume needs raised, and the keys raised.
fn policy(size: &Size) -> (PolicyChoice, Vec<String>) {
    // Alice pays by herself about a third of all payments, 10,000 sat each, and the burst and the breach once a cycle.
    let window = 20_000_000 + 10_000 * size.payments as u64;
    // A cycle closes three or four channels and opens others, and in a window closed ones count.
    let closed = 40_000 * size.payments as u64;
    let raised = [
        ("payments.max_unauthorized_in_window_sat", window),
        ("channels.max_per_peer_sat", 100_000_000 + closed),
        ("channels.max_total_sat", 500_000_000 + closed),
    ];
    let policy = raised.iter().fold(PolicyChoice::cautious(), |policy, (key, value)| policy.set(key, value));
    (policy, raised.iter().map(|(key, value)| format!("{key} = {value}")).collect())
}

/// Payments after which each kind of upset has come once.
const CYCLE: usize = 1_000;

/// One of the three nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Alice,
    Bob,
    Carol,
}

/// A channel of alice's.
#[derive(Clone, Debug)]
struct Line {
    point: ChannelPoint,
    peer: Who,
    opened_by_alice: bool,
}

/// What was done.
#[derive(Debug, Default)]
struct Tally {
    sent: usize,
    forwarded: usize,
    failed_as_meant: usize,
    /// Failed or never begun because a node was stopped under them.
    upset: usize,
    /// Of those, the ones that lnd had not ended when it was back.
    hung: usize,
    /// Channels that came back only when the peer was connected anew.
    helped: usize,
    restarts: usize,
    reconnects: usize,
    cooperative: usize,
    forced: usize,
    bumps: usize,
    burst: usize,
    breach: bool,
}

/// The running scenario.
struct Soak<'a> {
    dir: &'a Path,
    net: Network,
    rng: StdRng,
    lines: Vec<Line>,
    held: Vec<Held>,
    tally: Tally,
    /// None where lnd's own signer signs.
    watch: Option<Watch>,
    say: &'a mut dyn FnMut(&str),
}

/// The closing line.
pub struct Report {
    tally: Tally,
    figures: watch::Figures,
    seed: u64,
    seconds: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { sent, forwarded, failed_as_meant, upset, restarts, reconnects, .. } = self.tally;
        let Tally { hung, helped, cooperative, forced, bumps, burst, breach, .. } = self.tally;
        let figures = &self.figures;
        write!(
            f,
            "seed {}: {sent} payments made, {forwarded} of them forwarded, {failed_as_meant} failed as meant, {upset} ended by \
             a restart ({hung} of them never); {burst} HTLCs in one burst; {restarts} restarts, {reconnects} reconnections, {helped} channels back only after one; {cooperative} cooperative \
             and {forced} force closes, {bumps} fee bumps; breach {}; {} requests decided, {} refused; at most {} sat of \
             forwards at risk, {} sat unexplained, {} commitments withheld; {} s",
            self.seed,
            if breach { "punished" } else { "NOT PUNISHED" },
            figures.approved + figures.refused,
            figures.refused,
            figures.peak_provisional,
            figures.unexplained,
            figures.withheld,
            self.seconds,
        )
    }
}

/// Runs it in `dir`; `say` is told the steps. An error if any honest request was refused.
pub fn run(dir: &Path, size: &Size, say: &mut dyn FnMut(&str)) -> Result<Report> {
    let began = Instant::now();
    let (policy, raised) = policy(size);
    say(&format!("signer: {}; cautious profile with {}", size.signer, raised.join(", ")));
    let upsets = Upset::named(&size.only)?;
    let plan = Plan { carol: true, policy, ..Plan::of(size.signer) };
    let mut net = Network::start(dir, &plan)?;
    let watch = daemon(&mut net).map(|daemon| Watch::start(daemon));
    let rng = StdRng::seed_from_u64(size.seed);
    let mut soak =
        Soak { dir, net, rng, lines: Vec::new(), held: Vec::new(), tally: Tally::default(), watch, say };
    let done = soak.life(size.payments, &upsets);
    if let Err(failed) = done {
        // A channel that does not come back is most often one whose commitment was refused.
        let refused = soak.check_refusals();
        return Err(match refused {
            Err(refused) => failed.context(format!("{refused:#}")),
            Ok(()) => failed.context("nothing was refused"),
        });
    }
    let figures = soak.figures()?;
    ensure!(soak.tally.breach, "no breach was punished");
    ensure!(soak.tally.bumps > 0 || soak.tally.forced == 0, "no fee was bumped");
    Ok(Report { tally: soak.tally, figures, seed: size.seed, seconds: began.elapsed().as_secs() })
}

impl Soak<'_> {
    fn say(&mut self, text: &str) {
        (self.say)(text);
    }

    fn node(&self, who: Who) -> Result<&Lnd> {
        match who {
            Who::Alice => Ok(&self.net.alice),
            Who::Bob => Ok(&self.net.bob),
            Who::Carol => self.net.carol.as_ref().context("no carol was planned"),
        }
    }

    fn life(&mut self, payments: usize, upsets: &[Upset]) -> Result<()> {
        self.open_all()?;
        self.days(payments, upsets)?;
        self.breach()?;
        self.end()
    }

    /// Two channels to each neighbour, opened by both sides.
    fn open_all(&mut self) -> Result<()> {
        for who in [Who::Alice, Who::Bob, Who::Carol] {
            self.net.fund(self.node(who)?, 3, 20_000_000)?;
        }
        for peer in [Who::Bob, Who::Carol] {
            for by_alice in [true, false] {
                self.open(peer, by_alice)?;
            }
        }
        self.ready()?;
        self.say("carol, alice and bob have four channels");
        Ok(())
    }

    fn open(&mut self, peer: Who, opened_by_alice: bool) -> Result<()> {
        let (from, to) = if opened_by_alice { (Who::Alice, peer) } else { (peer, Who::Alice) };
        // What alice pushes is a payment to a stranger, so she pushes little.
        let push = if opened_by_alice { 100_000 } else { 6_000_000 };
        let points =
            self.net.open(self.node(from)?, self.node(to)?, 1, 10_000_000, push, CommitmentType::Anchors)?;
        self.lines.extend(points.into_iter().map(|point| Line { point, peer, opened_by_alice }));
        Ok(())
    }

    /// Traffic and upsets until so many payments were tried.
    fn days(&mut self, payments: usize, kinds: &[Upset]) -> Result<()> {
        let mut upsets = Vec::new();
        for _ in 0..payments.div_ceil(CYCLE) {
            let mut cycle: Vec<Upset> = kinds.iter().cycle().take(Upset::ALL.len()).copied().collect();
            cycle.shuffle(&mut self.rng);
            upsets.extend(cycle);
        }
        let every = (payments / upsets.len().max(1)).max(1);
        for (turn, upset) in upsets.into_iter().enumerate() {
            while self.tried() < (turn + 1) * every {
                self.round()?;
            }
            self.say(&format!("{} payments tried; {upset:?}", self.tried()));
            self.upset(upset)?;
            self.check_refusals().with_context(|| format!("after {upset:?}"))?;
        }
        while self.tried() < payments {
            self.round()?;
        }
        Ok(())
    }

    fn tried(&self) -> usize {
        let Tally { sent, failed_as_meant, upset, .. } = self.tally;
        sent + failed_as_meant + upset
    }

    /// Ends what is open and waits until alice has swept everything.
    fn end(&mut self) -> Result<()> {
        self.release_held()?;
        self.check_refusals()?;
        self.net.mine_until(300, "alice's closed channels swept", |net| Network::all_closed(&net.alice))?;
        self.net.alice.process().check_alive()?;
        self.check_refusals()
    }

    /// Every channel is active on both sides and every node knows all of them.
    fn ready(&self) -> Result<()> {
        let points: Vec<ChannelPoint> = self.lines.iter().map(|line| line.point.clone()).collect();
        self.net.alice.wait_active(&points)?;
        for who in [Who::Bob, Who::Carol] {
            let own = self.lines.iter().filter(|line| line.peer == who).map(|line| line.point.clone());
            self.node(who)?.wait_active(&own.collect::<Vec<_>>())?;
            for point in &points {
                let id = crate::network::short_id(&self.net.alice, point)?;
                crate::clock::until_true(60, &format!("{who:?} knows channel {point}"), || {
                    let edge = self.node(who)?.rest().get(&format!("/v1/graph/edge/{id}"))?;
                    Ok(!edge["node1_policy"].is_null() && !edge["node2_policy"].is_null())
                })?;
            }
        }
        Ok(())
    }

    /// One of `these` by chance.
    fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.rng.gen_range(0..these.len())]
    }
}

/// The daemon, where Strongroom signs.
fn daemon(net: &mut Network) -> Option<&mut Strongroomd> {
    net.signer.as_mut().and_then(|signer| signer.strongroomd())
}
