//! Records a day of a real watch-only lnd with lnd's own signer: every request and its answer.
//!
//! `record DIR` writes `DIR/NN-phase.jsonl.gz`, `accounts.json` and `meta.json`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::CommitmentType::{Anchors, Taproot};
use strongroom_tests::lnd::{ChannelPoint, Lnd};
use strongroom_tests::network::{Network, Plan, pay_many, pend_htlc, short_id};
use strongroom_tests::recorder::write_calls;
use strongroom_tests::signer::{SignerKind, TEST_MASTER_KEY};
use strongroom_tests::workdir::Workdir;

fn main() -> Result<()> {
    let out = PathBuf::from(std::env::args().nth(1).context("usage: record DIR")?);
    std::fs::create_dir_all(&out)?;
    Workdir::new("record")?.run(|dir| Day::begin(dir, &out)?.record())
}

struct Day<'a> {
    net: Network,
    dir: &'a Path,
    out: &'a Path,
    phases: Vec<Value>,
    calls: usize,
}

impl<'a> Day<'a> {
    fn begin(dir: &'a Path, out: &'a Path) -> Result<Self> {
        let plan = Plan { record: true, carol: true, ..Plan::of(SignerKind::LndSigner) };
        Ok(Self { net: Network::start(dir, &plan)?, dir, out, phases: Vec::new(), calls: 0 })
    }

    fn end_phase(&mut self, name: &str) -> Result<()> {
        let recorder = self.net.recorder.as_ref().context("no recorder")?;
        let calls = recorder.take_phase()?;
        let file = format!("{:02}-{name}.jsonl.gz", self.phases.len());
        write_calls(&self.out.join(&file), &calls)?;
        eprintln!("record: {name}: {} requests", calls.len());
        self.calls += calls.len();
        self.phases.push(json!({"file": file, "requests": calls.len()}));
        Ok(())
    }

    fn record(mut self) -> Result<()> {
        self.end_phase("startup")?;
        self.wallet()?;
        let net = &self.net;
        let by_alice = net.open(&net.alice, &net.bob, 2, 8_000_000, 4_000_000, Anchors)?;
        self.end_phase("open-by-us")?;
        let net = &self.net;
        let by_bob = net.open(&net.bob, &net.alice, 2, 6_000_000, 3_000_000, Anchors)?;
        self.end_phase("open-by-peer")?;
        let net = &self.net;
        let taproot = net.open(&net.alice, &net.bob, 1, 5_000_000, 2_500_000, Taproot)?;
        self.end_phase("open-taproot")?;

        let net = &self.net;
        let ours = short_id(&net.alice, &by_alice[0])?;
        let theirs = short_id(&net.bob, &by_alice[0])?;
        pay_many(&net.alice, &net.bob, 40, 2_000, 1, std::slice::from_ref(&ours))?;
        pay_many(&net.alice, &net.bob, 60, 3_000, 8, std::slice::from_ref(&ours))?;
        self.end_phase("pay-out")?;
        let net = &self.net;
        pay_many(&net.bob, &net.alice, 100, 2_500, 8, &[theirs])?;
        self.end_phase("pay-in")?;
        let net = &self.net;
        let ours = short_id(&net.alice, &taproot[0])?;
        let theirs = short_id(&net.bob, &taproot[0])?;
        pay_many(&net.alice, &net.bob, 10, 2_000, 2, &[ours])?;
        pay_many(&net.bob, &net.alice, 10, 2_000, 2, &[theirs])?;
        self.end_phase("pay-taproot")?;

        let net = &self.net;
        let to_carol = net.open(&net.alice, carol_of(net)?, 1, 4_000_000, 2_000_000, Anchors)?;
        until_true(60, "bob knows the way to carol", || {
            let graph = net.bob.rest().get("/v1/graph")?;
            let id = short_id(&net.alice, &to_carol[0])?;
            Ok(graph["edges"].as_array().is_some_and(|edges| {
                edges.iter().any(|e| {
                    e["channel_id"] == id.as_str()
                        && !e["node1_policy"].is_null()
                        && !e["node2_policy"].is_null()
                })
            }))
        })?;
        pay_many(&net.bob, carol_of(net)?, 15, 5_000, 3, &[])?;
        self.end_phase("forward")?;

        let net = &self.net;
        let address = net.bitcoind.new_address()?;
        net.alice.sign_message("strongroom vectors")?;
        net.alice.psbt_round(&address, 250_000)?;
        net.alice.update_policy(1_500)?;
        self.end_phase("user")?;

        self.net.alice.restart()?;
        let net = &self.net;
        net.alice.connect(&net.bob)?;
        net.alice.wait_active(&by_alice)?;
        let ours = short_id(&net.alice, &by_alice[0])?;
        pay_many(&net.alice, &net.bob, 5, 2_000, 1, &[ours])?;
        self.end_phase("restart")?;

        let net = &self.net;
        net.alice.close_channel(&to_carol[0], false)?;
        net.bob.close_channel(&by_bob[0], false)?;
        net.mine(3)?;
        self.end_phase("cooperative-close")?;

        self.force_closes(&by_alice, &taproot)?;
        // Last: bob is not to be trusted with an old database.
        self.breach(&by_bob[1])?;
        let meta = json!({
            "lnd": "v0.21.3-beta", "network": "regtest", "backend": "bitcoind",
            "master_key": TEST_MASTER_KEY, "identity": self.net.alice.pubkey(),
            "requests": self.calls, "phases": self.phases,
        });
        std::fs::write(self.out.join("meta.json"), format!("{meta:#}\n"))?;
        let signer = self.net.signer.as_ref().context("no signer")?;
        let accounts = signer.accounts()?;
        std::fs::write(self.out.join("accounts.json"), format!("{accounts:#}\n"))?;
        ensure!(self.calls >= 1_000, "{} requests: fewer than 1,000", self.calls);
        eprintln!("record: {} requests in all", self.calls);
        Ok(())
    }

    /// Coins of all three kinds, spent again.
    fn wallet(&mut self) -> Result<()> {
        let net = &self.net;
        net.fund(&net.alice, 3, 20_000_000)?;
        net.fund(&net.bob, 2, 20_000_000)?;
        for sat in [12_000_000, 21_000_000, 30_000_000] {
            net.alice.send_coins(&net.bitcoind.new_address()?, sat)?;
        }
        for kind in ["p2wkh", "np2wkh", "p2tr"] {
            net.alice.send_coins(&net.alice.new_address(kind)?, 1_000_000)?;
        }
        net.mine(1)?;
        self.end_phase("wallet")
    }

    /// Bob puts back an old database and closes from it; alice takes all.
    fn breach(&mut self, point: &ChannelPoint) -> Result<()> {
        let net = &mut self.net;
        let bob_dir = net.bob.dir().join("data/graph");
        let saved = self.dir.join("bob-old");
        net.bob.process().stop(60)?;
        copy_dir(&bob_dir, &saved)?;
        net.bob.start_again()?;
        net.alice.connect(&net.bob)?;
        net.alice.wait_active(std::slice::from_ref(point))?;
        let theirs = short_id(&net.bob, point)?;
        pay_many(&net.bob, &net.alice, 10, 20_000, 2, &[theirs])?;
        net.alice.process().stop(60)?;
        net.bob.process().stop(60)?;
        std::fs::remove_dir_all(&bob_dir)?;
        copy_dir(&saved, &bob_dir)?;
        net.bob.start_again()?;
        net.bob.close_channel(point, true)?;
        net.bob.process().stop(60)?;
        net.bitcoind.mine(1)?;
        net.alice.start_again()?;
        let wanted = point.to_string();
        until_true(60, "the breach punished", || {
            net.bitcoind.mine(1)?;
            std::thread::sleep(std::time::Duration::from_millis(500));
            Ok(net
                .alice
                .closed()?
                .iter()
                .any(|c| c["channel_point"] == wanted.as_str() && c["close_type"] == "BREACH_CLOSE"))
        })?;
        net.bob.start_again()?;
        net.alice.connect(&net.bob)?;
        self.end_phase("breach")
    }

    /// HTLCs pending both ways, closed by force by either side; anchors bumped; all swept.
    fn force_closes(&mut self, anchors: &[ChannelPoint], taproot: &[ChannelPoint]) -> Result<()> {
        let net = &self.net;
        let all = [&anchors[0], &anchors[1], &taproot[0]];
        let mut settled_by_alice = Vec::new();
        let mut settled_by_bob = Vec::new();
        for point in all {
            settled_by_alice.push(pend_htlc(&net.bob, &net.alice, point, 30_000)?);
            settled_by_bob.push(pend_htlc(&net.alice, &net.bob, point, 40_000)?);
            pend_htlc(&net.alice, &net.bob, point, 50_000)?;
            pend_htlc(&net.bob, &net.alice, point, 60_000)?;
        }
        self.end_phase("pending-htlcs")?;
        let net = &self.net;
        net.alice.close_channel(all[0], true)?;
        net.bob.close_channel(all[1], true)?;
        net.alice.close_channel(all[2], true)?;
        self.end_phase("force-close")?;
        let net = &self.net;
        until_true(30, "an anchor to bump", || Ok(!net.alice.pending_sweeps()?.is_empty()))?;
        for sweep in net.alice.pending_sweeps()? {
            net.alice.bump_fee(&sweep["outpoint"], 20)?;
        }
        self.end_phase("anchor-bump")?;
        let net = &self.net;
        net.mine(1)?;
        for preimage in &settled_by_alice {
            net.alice.settle_invoice(preimage)?;
        }
        for preimage in &settled_by_bob {
            net.bob.settle_invoice(preimage)?;
        }
        net.mine_until(200, "alice's channels closed and swept", |net| Network::all_closed(&net.alice))?;
        self.end_phase("sweep")
    }
}

fn carol_of(net: &Network) -> Result<&Lnd> {
    net.carol.as_ref().context("no carol")
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
