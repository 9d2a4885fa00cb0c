//! What the scenarios share: a network, HTLCs both ways, a peer that goes away, and a balance sheet.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use strongroom_tests::clock::until_true;
use strongroom_tests::fees::FeeSource;
use strongroom_tests::lnd::{ChannelPoint, Lnd};
use strongroom_tests::network::{Network, Plan};
use strongroom_tests::signer::SignerKind;
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};

/// Alice behind Strongroom and bob, on a chain that the signer follows, with feerates that the scenario sets.
pub struct Bed {
    pub net: Network,
    pub fees: FeeSource,
}

impl Bed {
    pub fn begin(dir: &Path, policy: PolicyChoice, lines: &[&str]) -> Result<Self> {
        Self::planned(dir, lines, Plan { policy, chain: true, ..Plan::of(SignerKind::Strongroom) })
    }

    /// The same with a signer that follows no chain.
    pub fn without_chain(dir: &Path, policy: PolicyChoice, lines: &[&str]) -> Result<Self> {
        Self::planned(dir, lines, Plan { policy, ..Plan::of(SignerKind::Strongroom) })
    }

    /// What `plan` says, and feerates; `lines` are for every `lnd.conf`.
    pub fn planned(dir: &Path, lines: &[&str], plan: Plan) -> Result<Self> {
        let fees = FeeSource::start(5)?;
        let lines = fees.lines().into_iter().chain(lines.iter().map(|line| (*line).to_owned())).collect();
        Ok(Self { net: Network::start(dir, &Plan { lines, ..plan })?, fees })
    }

    pub fn daemon(&mut self) -> Result<&mut Strongroomd> {
        self.net
            .signer
            .as_mut()
            .and_then(|signer| signer.strongroomd())
            .context("alice's signer is not Strongroom")
    }

    /// What alice has: in her wallet, in channels, and in the HTLCs she offers.
    pub fn alice_has(&self) -> Result<u64> {
        let mut sum = self.net.alice.total_balance()?;
        for channel in self.net.alice.channels()? {
            sum += number(&channel["local_balance"])?;
            for htlc in channel["pending_htlcs"].as_array().into_iter().flatten() {
                sum += if htlc["incoming"] == true { 0 } else { number(&htlc["amount"])? };
            }
        }
        Ok(sum)
    }

    /// No request was refused.
    pub fn nothing_was_refused(&mut self) -> Result<()> {
        let daemon = self.daemon()?;
        let refused = daemon.refused()?;
        ensure!(refused == 0, "{refused} requests were refused:\n{}", refusals(daemon)?.join("\n"));
        Ok(())
    }

    /// Mines until alice has nothing left on the way, her peer being gone.
    pub fn all_home(&self, blocks: u32) -> Result<()> {
        for _ in 0..blocks {
            if Network::all_closed(&self.net.alice)? {
                return Ok(());
            }
            self.mine_for_alice(1)?;
            // lnd sweeps some moments after a block; nothing announces that it will not.
            std::thread::sleep(Duration::from_millis(500));
        }
        ensure!(
            Network::all_closed(&self.net.alice)?,
            "alice's channels are not swept within {blocks} blocks"
        );
        Ok(())
    }

    /// Mines, and waits for alice alone.
    pub fn mine_for_alice(&self, blocks: u32) -> Result<()> {
        self.net.bitcoind.mine(blocks)?;
        let height = self.net.bitcoind.height()?;
        until_true(60, &format!("alice at height {height}"), || {
            let info = self.net.alice.rest().get("/v1/getinfo")?;
            Ok(info["block_height"].as_u64() == Some(height) && info["synced_to_chain"] == true)
        })
    }
}

/// A number that lnd writes as a string.
pub fn number(value: &serde_json::Value) -> Result<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).with_context(|| format!("{value} is no number"))
}

/// The refusals in the journal, in short.
pub fn refusals(daemon: &Strongroomd) -> Result<Vec<String>> {
    let leaves = daemon.journal_leaves(20_000)?;
    let refused = leaves.iter().filter_map(|leaf| {
        let decision = &leaf["event"]["decision"];
        let why = decision["verdict"].get("refused")?;
        Some(format!("{}: {}", decision["what"], why))
    });
    Ok(refused.collect())
}

/// How many HTLCs `node` has pending.
pub fn pending_htlcs(node: &Lnd) -> Result<usize> {
    let channels = node.channels()?;
    Ok(channels.iter().map(|channel| channel["pending_htlcs"].as_array().map_or(0, Vec::len)).sum())
}

/// Closes all of these by force.
pub fn force_close_all(node: &Lnd, points: &[ChannelPoint]) -> Result<()> {
    for point in points {
        node.close_channel(point, true).with_context(|| format!("{} by force", point))?;
    }
    Ok(())
}
