//! The daemon beside a real bitcoind: blocks followed, branches, a bitcoind that dies, hangs or is another network's, and
//! fundings seen to be confirmed and spent.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bitcoin::{OutPoint, Transaction};
use bytes::Bytes;
use rustix::process::Signal;
use serde_json::{Value, json};
use strongroom_tests::bitcoind::Bitcoind;
use strongroom_tests::clock::{LND_WAITS, until, until_true};
use strongroom_tests::grpc::Channel;
use strongroom_tests::load::{BenchChannel, Operation, reservation, sign_psbt};
use strongroom_tests::signer::TEST_MASTER_KEY;
use strongroom_tests::softhsm::SoftHsm;
use strongroom_tests::strongroomd::{Launch, PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

/// A bitcoind and a daemon that follows it.
struct Bed {
    bitcoind: Bitcoind,
    daemon: Strongroomd,
}

impl Bed {
    fn begin(dir: &Path) -> Result<Self> {
        let bitcoind = Bitcoind::start(&dir.join("bitcoind"))?;
        let daemon = daemon(dir, &bitcoind)?;
        daemon.add_alice(Some(TEST_MASTER_KEY))?;
        Ok(Self { bitcoind, daemon })
    }

    fn chain(&self) -> Result<Value> {
        chain(&self.daemon)
    }

    /// Waits until the daemon's tip is bitcoind's best block, and nothing is left to be looked up.
    fn follows(&self) -> Result<()> {
        let best = self.bitcoind.best()?;
        until_true(30, &format!("the daemon follows {best}"), || {
            let chain = self.chain()?;
            ensure!(chain["state"] == "following" && chain["block"] == best.as_str(), "{chain}");
            Ok(chain["pending"] == 0)
        })
    }

    fn state(&self, state: &str) -> Result<Value> {
        until(30, &format!("the chain {state}"), || {
            let chain = self.chain()?;
            ensure!(chain["state"] == state, "{chain}");
            Ok(Some(chain))
        })
    }

    /// The events of this kind among the last leaves, oldest first.
    fn events(&self, kind: &str) -> Result<Vec<Value>> {
        let leaves = self.daemon.journal_leaves(300)?;
        Ok(leaves.iter().map(|leaf| leaf["event"][kind].clone()).filter(|event| !event.is_null()).collect())
    }

    fn ask(&self, operation: Operation, request: Bytes) -> Result<Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = self.daemon.endpoint();
        runtime.block_on(async {
            let channel = Channel::to_signer(&endpoint).await?;
            let answer = channel.call_framed(operation.method(), request).await?;
            ensure!(answer.code == 0, "{}", answer.message);
            Ok(answer.body)
        })
    }

    /// A channel of alice's on a real output of `bitcoind`'s, unconfirmed.
    fn channel(&self, index: u8) -> Result<BenchChannel> {
        let channel = BenchChannel::new(&self.daemon.accounts()?, index.into())?;
        let (address, sat) = channel.funding_address()?;
        let txid = self.bitcoind.pay(&address, sat)?;
        let made = self.bitcoind.transaction(&txid)?;
        let vout = made["vout"]
            .as_array()
            .and_then(|all| all.iter().position(|out| out["scriptPubKey"]["address"] == address.as_str()))
            .context("the funding pays its address")?;
        Ok(channel.on(OutPoint { txid: txid.parse()?, vout: u32::try_from(vout)? }))
    }

    /// The peer's commitment `number`, signed by the daemon and by the peer.
    fn commitment(&self, channel: &BenchChannel, number: u64) -> Result<Transaction> {
        let answer = self.ask(Operation::SignCommitment, sign_psbt(&channel.plain_commitment(number)?))?;
        channel.completed(&answer)
    }
}

fn daemon(dir: &Path, bitcoind: &Bitcoind) -> Result<Strongroomd> {
    let home = dir.join("appliance");
    std::fs::create_dir_all(&home)?;
    let token = SoftHsm::create(&home.join("token"), "strongroom")?;
    let launch = Launch { tables: bitcoind.strongroom_table(&home)?, ..Launch::default() };
    Strongroomd::start_empty(&home, &PolicyChoice::cautious(), token, launch)
}

fn chain(daemon: &Strongroomd) -> Result<Value> {
    Ok(daemon.status()?["chain"].clone())
}

#[test]
fn blocks_are_followed_and_branches_up_to_six_deep() -> Result<()> {
    Workdir::new("chain-branches")?.run(|dir| {
        let bed = Bed::begin(dir)?;
        bed.follows()?;
        ensure!(bed.chain()?["height"] == 150, "{}", bed.chain()?);
        bed.bitcoind.mine(7)?;
        bed.follows()?;

        // A branch with as much work is none to follow; with one block more it is.
        let tip = bed.bitcoind.best()?;
        bed.bitcoind.branch(1, 1)?;
        let chain = bed.state("behind")?;
        ensure!(chain["block"] == tip.as_str(), "{chain}");
        bed.bitcoind.mine(1)?;
        bed.follows()?;

        let mut expected = vec![1];
        for depth in 1..=6 {
            bed.bitcoind.branch(depth, u32::try_from(depth)? + 1)?;
            bed.follows()?;
            expected.push(depth);
        }
        let depths: Vec<_> =
            bed.events("chain-reorganised")?.iter().filter_map(|e| e["depth"].as_u64()).collect();
        ensure!(depths == expected, "reorganisations of {depths:?}");
        ensure!(bed.chain()?["reorganisations"] == 7, "{}", bed.chain()?);
        ensure!(bed.events("chain-stale")?.is_empty() && bed.events("chain-refused")?.is_empty());

        let height = bed.bitcoind.height()?;
        let metrics = scrape(&bed.daemon)?;
        for line in [
            format!("strongroom_chain_height {height}"),
            "strongroom_chain_state{state=\"following\"} 1".to_owned(),
            "strongroom_chain_state{state=\"stale\"} 0".to_owned(),
            "strongroom_chain_reorganisations_total 7".to_owned(),
        ] {
            ensure!(metrics.lines().any(|l| l == line), "no {line:?} in\n{metrics}");
        }

        // Sealed, nothing is followed; unsealed, what was missed is made up for.
        bed.daemon.cli(&["seal"], None)?;
        bed.state("unfollowed")?;
        bed.bitcoind.branch(3, 60)?;
        bed.daemon.cli(&["unseal", "--pin-fd", "0"], Some(&bed.daemon.token().pin_file))?;
        bed.follows()?;
        eprintln!("chain figures: {} reorganisations of 1 to 6 blocks followed", depths.len());
        Ok(())
    })
}

fn scrape(daemon: &Strongroomd) -> Result<String> {
    let url = format!("http://127.0.0.1:{}/metrics", daemon.metrics_port());
    Ok(ureq::get(url).call()?.body_mut().read_to_string()?)
}

#[test]
fn a_branch_seven_deep_is_refused_until_an_operator_accepts_it() -> Result<()> {
    Workdir::new("chain-deep")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        bed.bitcoind.mine(10)?;
        bed.follows()?;
        let ours = bed.bitcoind.best()?;
        let refused = bed.daemon.cli(&["chain", "accept", &ours], None);
        ensure!(refused.is_err(), "accepted although nothing was contradicted");

        bed.bitcoind.branch(7, 9)?;
        for restart in [false, true] {
            if restart {
                bed.daemon.process().kill()?;
                bed.daemon.start_again()?;
            }
            let chain = bed.state("contradicting")?;
            let because = chain["because"].as_str().unwrap_or_default();
            ensure!(
                because.contains("reorganisation of 7 blocks") && because.contains("at most 6"),
                "{chain}"
            );
            ensure!(chain["block"] == ours.as_str(), "{chain}");
        }
        let told = bed.events("chain-contradicted")?;
        ensure!(told.len() == 1 && told[0]["name"] == "deep-reorganisation", "{told:?}");

        // Blocks on top change nothing: only an operator does.
        bed.bitcoind.mine(3)?;
        std::thread::sleep(Duration::from_secs(1));
        ensure!(bed.chain()?["state"] == "contradicting", "{}", bed.chain()?);
        let theirs = bed.bitcoind.best()?;
        bed.daemon.cli(&["chain", "accept", &theirs], None)?;
        bed.follows()?;
        let accepted = bed.events("chain-accepted")?;
        ensure!(accepted.len() == 1 && accepted[0]["block"] == theirs.as_str(), "{accepted:?}");
        bed.bitcoind.branch(2, 3)?;
        bed.follows()
    })
}

#[test]
fn a_bitcoind_that_hangs_or_dies_keeps_nobody_waiting() -> Result<()> {
    Workdir::new("chain-dead")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        bed.follows()?;
        let channel = bed.channel(1)?;
        bed.ask(Operation::DeriveSharedKey, reservation(&channel, 1))?;

        bed.bitcoind.process().signal(Signal::STOP)?;
        let mut slowest = Duration::ZERO;
        for number in 0..200 {
            let began = Instant::now();
            bed.commitment(&channel, number)?;
            slowest = slowest.max(began.elapsed());
        }
        ensure!(slowest < LND_WAITS, "a signature took {slowest:?} while bitcoind hung");
        bed.state("stale")?;
        bed.bitcoind.process().signal(Signal::CONT)?;
        bed.follows()?;

        // Flushed first: a killed bitcoind forgets what it has not written.
        bed.bitcoind.rpc("gettxoutsetinfo", json!([]))?;
        bed.bitcoind.process().kill()?;
        bed.state("stale")?;
        bed.commitment(&channel, 200)?;
        bed.bitcoind.start_again()?;
        bed.bitcoind.mine(2)?;
        bed.follows()?;
        let told = (bed.events("chain-stale")?.len(), bed.events("chain-followed")?.len());
        ensure!(told == (2, 2), "stale and followed again: {told:?}");
        eprintln!("chain figures: slowest of 200 signatures while bitcoind hung {slowest:?}");
        Ok(())
    })
}

#[test]
fn another_networks_bitcoind_is_refused_by_name() -> Result<()> {
    Workdir::new("chain-network")?.run(|dir| {
        let bitcoind = Bitcoind::start_empty(&dir.join("bitcoind"), "signet")?;
        let bed = Bed { daemon: daemon(dir, &bitcoind)?, bitcoind };
        let chain = bed.state("refused")?;
        let because = chain["because"].as_str().unwrap_or_default();
        ensure!(because.contains("wrong-network") && because.contains("signet"), "{chain}");
        ensure!(chain["height"].is_null(), "{chain}");
        // Asked again and again, told once.
        std::thread::sleep(Duration::from_secs(1));
        let told = bed.events("chain-refused")?;
        ensure!(told.len() == 1 && told[0]["name"] == "wrong-network", "{told:?}");

        let token = SoftHsm::create(&dir.join("other/token"), "strongroom")?;
        let without = Strongroomd::start_empty(
            &dir.join("other"),
            &PolicyChoice::cautious(),
            token,
            Launch::default(),
        )?;
        ensure!(crate::chain(&without)?["state"] == "unknown", "{}", without.status()?);
        Ok(())
    })
}

#[test]
fn fundings_are_seen_to_confirm_and_to_be_spent_across_restarts() -> Result<()> {
    Workdir::new("chain-funding")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        bed.follows()?;
        let channels = [bed.channel(1)?, bed.channel(2)?];
        let mut closes = Vec::new();
        for (channel, index) in channels.iter().zip(1..) {
            bed.ask(Operation::DeriveSharedKey, reservation(channel, index))?;
            closes.push(bed.commitment(channel, 0)?);
        }
        // The second channel has moved on: its commitment 0 is not the latest.
        bed.commitment(&channels[1], 1)?;
        bed.follows()?;
        ensure!(bed.chain()?["watched"] == 2, "{}", bed.chain()?);
        ensure!(bed.events("funding-confirmed")?.is_empty());

        bed.bitcoind.mine(1)?;
        bed.follows()?;
        let confirmed = bed.events("funding-confirmed")?;
        for channel in &channels {
            let funding = channel.funding().to_string();
            let told = confirmed.iter().find(|e| e["channel"] == funding.as_str()).context("not told")?;
            ensure!(
                told["sat"] == 10_000_000 && told["as_signed"] == true && told["height"] == 151,
                "{told}"
            );
        }

        // Undone, and mined again.
        bed.bitcoind.branch(1, 2)?;
        bed.follows()?;
        let undone = bed.events("chain-reorganised")?.pop().context("not told")?;
        ensure!(undone["unconfirmed"].as_array().is_some_and(|all| all.len() == 2), "{undone}");
        bed.bitcoind.mine(1)?;
        bed.follows()?;
        ensure!(bed.events("funding-confirmed")?.len() == 4);

        // Spent while nobody looked, by transactions that are really valid.
        bed.daemon.process().kill()?;
        for close in &closes {
            bed.bitcoind.publish(close)?;
        }
        bed.bitcoind.mine(3)?;
        bed.daemon.start_again()?;
        bed.follows()?;
        let closed = bed.events("channel-closed")?;
        for ((channel, close), with) in channels
            .iter()
            .zip(&closes)
            .zip(["counterparty-commitment", "counterparty-commitment, not the latest"])
        {
            let funding = channel.funding().to_string();
            let told = closed.iter().find(|e| e["channel"] == funding.as_str()).context("not told")?;
            ensure!(told["txid"] == close.compute_txid().to_string() && told["with"] == with, "{told}");
            ensure!(told["height"] == 154, "{told}");
        }

        // Buried before it was heard of: looked up.
        let late = bed.channel(3)?;
        bed.bitcoind.mine(20)?;
        bed.follows()?;
        bed.ask(Operation::DeriveSharedKey, reservation(&late, 3))?;
        bed.commitment(&late, 0)?;
        let funding = late.funding().to_string();
        let told = until(20, "a buried funding is told", || {
            Ok(bed.events("funding-confirmed")?.into_iter().find(|e| e["channel"] == funding.as_str()))
        })?;
        ensure!(told["height"] == 157, "{told}");

        // The leaves are read by the program that verifies exports, and by people.
        let export = dir.join("export.jsonl").display().to_string();
        bed.daemon.cli(&["journal", "export", &export], None)?;
        bed.daemon.cli(&["journal", "verify", &export], None)?;
        let words = bed.daemon.journal_tail(300)?;
        for says in [
            "chain followed from height 150",
            "REORGANISED 1 deep above 150",
            "counterparty-commitment, not the latest",
        ] {
            ensure!(words.contains(says), "no {says:?} in\n{words}");
        }
        eprintln!(
            "chain figures: {} fundings confirmed, {} closes seen",
            bed.events("funding-confirmed")?.len(),
            closed.len()
        );
        Ok(())
    })
}
