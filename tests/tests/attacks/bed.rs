//! Channels that a real lnd opened and used, and then the attacker in its place.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bitcoin::Psbt;
use prost::Message;
use strongroom_proto::walletrpc::SignPsbtRequest;
use strongroom_tests::lnd::{ChannelPoint, CommitmentType};
use strongroom_tests::network::{Network, Plan, pay_many, pend_htlc, short_id};
use strongroom_tests::signer::SignerKind;
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

use crate::attacker::{Attacker, SIGN_PSBT};
use crate::forge::Live;
use crate::table::{self, Attack, Score};

/// The channels, all between alice and bob: by number, what the attacker does with each.
pub const HONEST: usize = 0;
/// With an HTLC of either direction pending.
pub const WORK: usize = 1;
pub const QUIET: usize = 2;
pub const CLOSE: usize = 3;
pub const FORCE: usize = 4;
pub const SPARE: usize = 5;
/// Funded by bob.
pub const PEER: usize = 6;

/// The running bed.
pub struct Bed {
    pub net: Network,
    pub attacker: Attacker,
    pub lives: Vec<Live>,
    points: Vec<ChannelPoint>,
}

/// The policy of the first part: the shipped one, and a forward's risk that the bed's balances can reach.
pub fn policy() -> PolicyChoice {
    PolicyChoice::cautious().set("forwards.max_provisional_per_channel_sat", 400_000)
}

/// The policy of the second part: every payment needs an authorisation.
fn authorized_only() -> PolicyChoice {
    // A new day's allowance, since the first part used the old one up.
    policy()
        .set("payments.require_authorization", true)
        .set("payments.max_unexplained_in_window_sat", 20_000_000)
        .set("channels.max_force_closes_in_window", 3)
        .set("channels.require_psbt_funding", true)
        .set("forwards.max_claim_seconds", crate::payments::CLAIM_SECONDS)
}

impl Bed {
    fn begin(dir: &Path) -> Result<Self> {
        let plan = Plan { record: true, policy: policy(), ..Plan::of(SignerKind::Strongroom) };
        let mut net = Network::start(dir, &plan)?;
        net.fund(&net.alice, 1, 20_000_000)?;
        net.fund(&net.bob, 1, 20_000_000)?;
        let mut points = net.open(&net.alice, &net.bob, PEER, 5_000_000, 0, CommitmentType::Anchors)?;
        for point in &points {
            let through = [short_id(&net.alice, point)?];
            pay_many(&net.alice, &net.bob, 1, 120_000, 1, &through)?;
            pay_many(&net.bob, &net.alice, 1, 20_000, 1, &through)?;
        }
        points.extend(net.open(&net.bob, &net.alice, 1, 5_000_000, 0, CommitmentType::Anchors)?);
        let through = [short_id(&net.bob, &points[PEER])?];
        pay_many(&net.bob, &net.alice, 2, 1_000_000, 1, &through)?;
        pay_many(&net.alice, &net.bob, 1, 30_000, 1, &through)?;
        pend_htlc(&net.alice, &net.bob, &points[WORK], 50_000)?;
        pend_htlc(&net.bob, &net.alice, &points[WORK], 25_000)?;
        net.alice.process().stop(60)?;

        let calls = net.recorder.as_ref().context("no recorder")?.take_phase()?;
        let mut requests = Vec::new();
        for call in calls.iter().filter(|call| call.method == SIGN_PSBT) {
            ensure!(call.code == 0, "alice's request {} was refused", call.seq);
            let bytes = SignPsbtRequest::decode(hex::decode(&call.req)?.as_slice())?.funded_psbt;
            // A batch may hold final witnesses that rust-bitcoin does not read; no channel's request does.
            requests.extend(Psbt::deserialize(&bytes));
        }
        let daemon = net.signer.as_mut().and_then(|s| s.strongroomd()).context("no daemon")?;
        let attacker = Attacker::of(daemon)?;
        let lives = Live::read(&attacker.keys, &requests)?;
        ensure!(lives.len() == PEER + 1, "{} channels in the recording", lives.len());
        ensure!(lives[WORK].htlcs.len() == 2, "{} HTLCs pending", lives[WORK].htlcs.len());
        for live in &lives {
            ensure!(
                live.offered.is_some() && live.incoming.is_some() && live.own_zero.is_some(),
                "channel {} lacks a request to start from",
                live.funding
            );
        }
        Ok(Self { net, attacker, lives, points })
    }

    pub fn daemon(&mut self) -> Result<&mut Strongroomd> {
        self.net.signer.as_mut().and_then(|s| s.strongroomd()).context("no daemon")
    }

    /// The attacker and one channel.
    pub fn with(&mut self, channel: usize) -> (&Attacker, &mut Live) {
        (&self.attacker, &mut self.lives[channel])
    }

    /// Stops the daemon and starts it again, under `policy` if given.
    pub fn restart(&mut self, policy: Option<&PolicyChoice>) -> Result<()> {
        let daemon = self.daemon()?;
        match policy {
            Some(policy) => daemon.restart_under(policy)?,
            None => {
                daemon.process().stop(10)?;
                daemon.start_again()?;
            }
        }
        self.attacker.reconnect()
    }

    /// Alice's own lnd comes back and pays bob over the channel that the attacker left alone.
    fn honest_again(&mut self) -> Result<()> {
        let invoice = self.net.bob.invoice(40_000)?;
        self.attacker.cli(&["payments", "authorize", "alice", "--invoice", &invoice, "--max-fee", "100"])?;
        self.net.alice.start_again()?;
        self.net.alice.connect(&self.net.bob)?;
        self.net.alice.wait_active(&self.points[HONEST..=HONEST])?;
        let through = short_id(&self.net.alice, &self.points[HONEST])?;
        self.net.alice.pay(&invoice, Some(&through)).context("alice pays bob")
    }
}

const SURROUNDINGS: &str = "Two nodes, old copies, floods";

fn rows_of(name: &str) -> &'static [Attack] {
    table::groups().into_iter().find(|(group, _)| *group == name).map_or(&[][..], |(_, rows)| rows)
}

fn group(
    bed: &mut Bed,
    failures: &mut Vec<String>,
    name: &'static str,
    run: impl FnOnce(&mut Score, &mut Bed) -> Result<()>,
) {
    let mut score = Score::new(name, rows_of(name));
    let outcome = run(&mut score, bed).and_then(|()| {
        let (attacker, honest) = bed.with(WORK);
        attacker.still_signs(honest).with_context(|| format!("after {name}"))
    });
    for error in [outcome, score.finish()].into_iter().filter_map(Result::err) {
        failures.push(format!("{error:#}"));
    }
}

#[test]
fn a_compromised_lnd_is_refused_by_name() -> Result<()> {
    Workdir::new("attacks")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        let mut failures = Vec::new();
        let all = &mut failures;
        group(&mut bed, all, "Commitments", crate::commitments::run);
        group(&mut bed, all, "HTLC transactions", crate::htlcs::run);
        group(&mut bed, all, "Closing", crate::closing::run);
        group(&mut bed, all, "Sweeps", crate::sweeps::run);
        group(&mut bed, all, "Wallet and fundings", crate::wallet::run);
        group(&mut bed, all, "Messages and shared secrets", crate::secrets::run);
        group(&mut bed, all, "MuSig2", crate::musig2::run);
        bed.restart(Some(&authorized_only()))?;
        group(&mut bed, all, "Payments and forwards", crate::payments::run);
        group(&mut bed, all, "What no check of requests can hold", crate::bounds::run);
        if let Err(error) = bed.honest_again() {
            failures.push(format!("honest work at the end: {error:#}"));
        }
        drop(bed);
        let mut score = Score::new(SURROUNDINGS, rows_of(SURROUNDINGS));
        let outcome = crate::surroundings::run(&mut score, dir);
        for error in [outcome, score.finish()].into_iter().filter_map(Result::err) {
            failures.push(format!("{error:#}"));
        }
        let mut score = Score::new("Peers", rows_of("Peers"));
        let outcome = crate::peers::run(&mut score, dir);
        for error in [outcome, score.finish()].into_iter().filter_map(Result::err) {
            failures.push(format!("{error:#}"));
        }
        ensure!(failures.is_empty(), "{}", failures.join("\n"));
        let (refused, bounded) = table::total();
        eprintln!("attacks figures: {refused} cases refused by name, {bounded} bounded");
        Ok(())
    })
}
