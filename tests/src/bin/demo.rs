//! A tour of Strongroom on regtest: started by `./demo`.
//!
//! `demo DIR [--keep]`

#![expect(clippy::print_stdout, reason = "its words are its output")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use strongroom_tests::bitcoind::Bitcoind;
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::network::{Network, Plan, pay_many, pend_htlc, short_id};
use strongroom_tests::peers::own_binary;
use strongroom_tests::process::let_children_outlive;
use strongroom_tests::signer::{Signer, SignerKind};
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

fn main() -> Result<()> {
    let mut dir = None;
    let mut keep = false;
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--keep" => keep = true,
            _ if dir.is_none() && !arg.starts_with('-') => dir = Some(PathBuf::from(arg)),
            other => bail!("{other:?}: usage: demo DIR [--keep]"),
        }
    }
    let dir = dir.context("usage: demo DIR [--keep]")?;
    if keep {
        let_children_outlive();
    }
    let mut workdir = Workdir::at(dir)?;
    if keep {
        workdir.keep();
    }
    workdir.run(|dir| Tour::new().walk(dir, keep))
}

struct Tour {
    began: Instant,
}

impl Tour {
    fn new() -> Self {
        Self { began: Instant::now() }
    }

    fn say(&self, text: &str) {
        println!("demo: {:>4} s  {text}", self.began.elapsed().as_secs());
    }

    fn walk(&self, dir: &Path, keep: bool) -> Result<()> {
        self.say("bitcoind starts (regtest)");
        let bitcoind = Bitcoind::start(&dir.join("bitcoind"))?;
        let allowed = bitcoind.new_address()?;
        let unknown = bitcoind.new_address()?;

        self.say("a SoftHSM token is made; strongroomd starts under the cautious profile; strongroom init; strongroom node add alice");
        let policy = PolicyChoice::cautious().allow(&allowed);
        let daemon = Strongroomd::start(&dir.join("strongroom"), &policy, None)?;
        let signer = Some(Signer::Strongroom(Box::new(daemon)));

        self.say("alice starts: an lnd without keys, Strongroom signs; bob starts: an ordinary lnd");
        let net = Network::start_nodes(dir, bitcoind, signer, &Plan::of(SignerKind::Strongroom))?;
        self.channels(&net)?;
        self.coins(&net, &allowed, &unknown)?;
        self.journal(&net)?;
        if keep {
            how_to_use(dir, net)
        } else {
            drop(net);
            self.say("all is stopped");
            Ok(())
        }
    }

    fn channels(&self, net: &Network) -> Result<()> {
        self.say("alice and bob get coins on 49', 84' and 86' addresses");
        net.fund(&net.alice, 1, 10_000_000)?;
        net.fund(&net.bob, 1, 10_000_000)?;

        let first = net.open(&net.alice, &net.bob, 1, 4_000_000, 500_000, Anchors)?;
        self.say(&format!("alice opened an anchors channel of 4,000,000 sat: {}", first[0]));
        let ours = short_id(&net.alice, &first[0])?;
        let theirs = short_id(&net.bob, &first[0])?;
        pay_many(&net.alice, &net.bob, 10, 20_000, 2, &[ours])?;
        pay_many(&net.bob, &net.alice, 10, 15_000, 2, &[theirs])?;
        self.say("10 payments out and 10 back are made");
        let txid = net.alice.close_channel(&first[0], false)?;
        net.mine(3)?;
        self.say(&format!("the channel is closed cooperatively: {txid}"));

        let second = net.open(&net.bob, &net.alice, 1, 3_000_000, 1_000_000, Anchors)?;
        self.say(&format!("bob opened a channel of 3,000,000 sat: {}", second[0]));
        pend_htlc(&net.alice, &net.bob, &second[0], 30_000)?;
        let txid = net.alice.close_channel(&second[0], true)?;
        self.say(&format!("alice closes it by force while an HTLC is pending: {txid}"));
        net.mine_until(250, "the channel swept", |net| Network::all_closed(&net.alice))?;
        self.say("the HTLC timed out and everything is swept back to alice's wallet");
        Ok(())
    }

    fn coins(&self, net: &Network, allowed: &str, unknown: &str) -> Result<()> {
        let txid = net.alice.send_coins(allowed, 2_000_000)?;
        net.mine(1)?;
        ensure!(net.bitcoind.received_sat(allowed)? == 2_000_000, "{allowed} was not paid");
        self.say(&format!("2,000,000 sat are sent to an address on the allowlist: {txid}"));
        match net.alice.send_coins(unknown, 2_000_000) {
            Ok(txid) => bail!("2,000,000 sat were sent to an unknown address: {txid}"),
            Err(error) => {
                let text = format!("{error:#}");
                ensure!(text.contains("refused by policy"), "not refused by policy: {text}");
                self.say("the same to an unknown address is refused; lnd's user is told:");
                println!("\n    {}\n", text.trim());
            }
        }
        until_true(10, "lnd runs on", || Ok(net.alice.wallet_balance()? > 0))
    }

    fn journal(&self, net: &Network) -> Result<()> {
        self.say("the journal's last decisions (strongroom journal tail):");
        if let Some(Signer::Strongroom(daemon)) = &net.signer {
            println!("\n{}\n", daemon.journal_tail(8)?.trim_end());
            let status = daemon.status()?;
            let node = &status["nodes"][0];
            self.say(&format!(
                "decisions: {} approved, {} refused; every one is in the journal",
                node["approved"], node["refused"]
            ));
        }
        Ok(())
    }
}

/// Leaves all running and says how to use and how to stop it.
fn how_to_use(dir: &Path, mut net: Network) -> Result<()> {
    let mut pids = vec![net.alice.process().pid(), net.bob.process().pid(), net.bitcoind.process().pid()];
    if let Some(signer) = &mut net.signer {
        pids.insert(2, signer.process().pid());
    }
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    std::fs::write(dir.join("pids"), pids.join("\n") + "\n")?;
    let lncli = |name: &str, node: &strongroom_tests::lnd::Lnd| {
        format!(
            "  {name}: {} --lnddir={} --network=regtest --rpcserver={} getinfo",
            strongroom_tests::peers::program("lncli")
                .map_or_else(|_| "lncli".into(), |p| p.display().to_string()),
            node.dir().display(),
            node.as_signer().address
        )
    };
    println!(
        "\nleft running in {dir}:\n{}\n{}\n  strongroom: {} --socket {dir}/strongroom/operator.sock status\n  \
         bitcoind: {} -datadir={dir}/bitcoind -generate 1\n  policy: {dir}/strongroom/policy.toml\nstop with: ./demo --stop",
        lncli("alice", &net.alice),
        lncli("bob", &net.bob),
        own_binary("strongroom")?.display(),
        strongroom_tests::peers::program("bitcoin-cli")?.display(),
        dir = dir.display()
    );
    std::mem::forget(net);
    Ok(())
}
