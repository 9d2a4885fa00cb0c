//! A small Lightning network on regtest: the lnd under test (alice), its signer, and ordinary peers.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::Digest;

use crate::bitcoind::Bitcoind;
use crate::clock::{LND_WAITS, until_true, within_true};
use crate::lnd::{ChannelPoint, CommitmentType, Keys, Lnd, OpenChannel};
use crate::recorder::Recorder;
use crate::signer::{Signer, SignerKind};
use crate::strongroomd::PolicyChoice;

/// What to build.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who signs for alice.
    pub signer: SignerKind,
    /// Whether a recorder sits between alice and her signer.
    pub record: bool,
    /// Whether there is a third node, carol.
    pub carol: bool,
    /// Strongroom's policy.
    pub policy: PolicyChoice,
    /// Whether alice lets a companion stand beside her.
    pub companion: bool,
    /// Whether Strongroom follows the chain by a bitcoind.
    pub chain: bool,
    /// Further lines for every node's `lnd.conf`.
    pub lines: Vec<String>,
}

impl Plan {
    /// Alice and bob, `signer` behind alice, the cautious policy.
    pub fn of(signer: SignerKind) -> Self {
        Self {
            signer,
            record: false,
            carol: false,
            policy: PolicyChoice::cautious(),
            companion: false,
            chain: false,
            lines: Vec::new(),
        }
    }
}

/// The running network. Fields are stopped in the order they stand here.
pub struct Network {
    /// The lnd under test.
    pub alice: Lnd,
    /// An ordinary lnd.
    pub bob: Lnd,
    /// Another, if planned.
    pub carol: Option<Lnd>,
    /// The go-between, if planned.
    pub recorder: Option<Recorder>,
    /// Alice's signer; none when she has her own keys.
    pub signer: Option<Signer>,
    /// The chain.
    pub bitcoind: Bitcoind,
}

/// Lines for alice's `lnd.conf`: announce soon, so that a scenario sees it.
const NODE_LINES: &[&str] = &["gossip.channel-update-interval=1s"];

impl Network {
    /// Starts everything in `dir`; nodes are connected, wallets are empty.
    pub fn start(dir: &Path, plan: &Plan) -> Result<Self> {
        let bitcoind = Bitcoind::start(&dir.join("bitcoind"))?;
        let tables = match plan.chain {
            true => bitcoind.strongroom_table(dir)?,
            false => String::new(),
        };
        let signer = Signer::start_with(plan.signer, &dir.join("signer"), &plan.policy, tables)?;
        Self::start_nodes(dir, bitcoind, signer, plan)
    }

    /// As [`Self::start`], on a chain and a signer that run already.
    pub fn start_nodes(dir: &Path, bitcoind: Bitcoind, signer: Option<Signer>, plan: &Plan) -> Result<Self> {
        let recorder = match (&signer, plan.record) {
            (Some(signer), true) => Some(Recorder::start(signer.endpoint(), &dir.join("recorder"))?),
            _ => None,
        };
        let mut keys = signer.as_ref().map_or(Ok(Keys::Own), Signer::keys)?;
        if let (Keys::Remote(endpoint, _), Some(recorder)) = (&mut keys, &recorder) {
            *endpoint = recorder.endpoint();
        }
        let further: Vec<&str> = plan.lines.iter().map(String::as_str).collect();
        let lines = |name: &str| match name {
            "alice" if plan.companion => [NODE_LINES, &further, &["rpcmiddleware.enable=true"]].concat(),
            _ => [NODE_LINES, &further].concat(),
        };
        let start =
            |name: &str, keys: &Keys| Lnd::start(name, &dir.join(name), &bitcoind, keys, &lines(name));
        // Started side by side: each spends seconds waiting.
        let (alice, bob, carol) = std::thread::scope(|scope| {
            let alice = scope.spawn(|| start("alice", &keys));
            let bob = scope.spawn(|| start("bob", &Keys::Own));
            let carol = plan.carol.then(|| scope.spawn(|| start("carol", &Keys::Own)));
            Ok::<_, anyhow::Error>((joined(alice)?, joined(bob)?, carol.map(joined).transpose()?))
        })?;
        alice.connect(&bob)?;
        if let Some(carol) = &carol {
            alice.connect(carol)?;
        }
        Ok(Self { alice, bob, carol, recorder, signer, bitcoind })
    }

    fn nodes(&self) -> impl Iterator<Item = &Lnd> {
        [&self.alice, &self.bob].into_iter().chain(self.carol.as_ref())
    }

    /// Mines `blocks` and waits until every lnd has seen them.
    pub fn mine(&self, blocks: u32) -> Result<()> {
        self.bitcoind.mine(blocks)?;
        self.synced()
    }

    /// Waits until every lnd has seen the best block.
    pub fn synced(&self) -> Result<()> {
        let height = self.bitcoind.height()?;
        for node in self.nodes() {
            until_true(60, &format!("{} at height {height}", node.name()), || {
                let info = node.rest().get("/v1/getinfo")?;
                Ok(info["block_height"].as_u64() == Some(height) && info["synced_to_chain"] == true)
            })?;
        }
        Ok(())
    }

    /// Gives `node` `coins` coins of `sat` satoshis on each of the wallet's three address kinds.
    pub fn fund(&self, node: &Lnd, coins: u32, sat: u64) -> Result<()> {
        let before = node.wallet_balance()?;
        for _ in 0..coins {
            for kind in ["p2wkh", "np2wkh", "p2tr"] {
                self.bitcoind.pay(&node.new_address(kind)?, sat)?;
            }
        }
        self.mine(1)?;
        let wanted = before + 3 * u64::from(coins) * sat;
        until_true(30, &format!("{}'s coins confirmed", node.name()), || Ok(node.wallet_balance()? == wanted))
    }

    /// Opens `count` channels from `from` to `to`, `push` satoshis given away, and mines them in.
    pub fn open(
        &self,
        from: &Lnd,
        to: &Lnd,
        count: usize,
        capacity: u64,
        push: u64,
        format: CommitmentType,
    ) -> Result<Vec<ChannelPoint>> {
        let open = OpenChannel { to, capacity, push, format, private: format == CommitmentType::Taproot };
        let points = (0..count).map(|_| from.open_channel(&open)).collect::<Result<Vec<_>>>()?;
        self.mine(6)?;
        from.wait_active(&points)?;
        to.wait_active(&points)?;
        Ok(points)
    }

    /// Mines block by block until `done`, at most `blocks`, giving lnd time to act on each.
    pub fn mine_until(
        &self,
        blocks: u32,
        what: &str,
        mut done: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        for _ in 0..blocks {
            if done(self)? {
                return Ok(());
            }
            self.mine(1)?;
            // lnd sweeps some moments after a block; nothing announces that it will not.
            std::thread::sleep(Duration::from_millis(400));
        }
        ensure!(done(self)?, "{what}: not within {blocks} blocks");
        Ok(())
    }

    /// True when `node` has no channel left in any closing state.
    pub fn all_closed(node: &Lnd) -> Result<bool> {
        Ok(node.pending("waiting_close_channels")?.is_empty()
            && node.pending("pending_force_closing_channels")?.is_empty())
    }
}

/// The short id of the channel at `point`, as `node` knows it.
pub fn short_id(node: &Lnd, point: &ChannelPoint) -> Result<String> {
    let channel = node.channel(point)?.with_context(|| format!("{}: no channel {point}", node.name()))?;
    Ok(channel["chan_id"].as_str().context("channel without chan_id")?.to_owned())
}

/// Closes a channel by agreement, once `closer` and `other` have signed each other's offers: lnd loses its peer, and hangs at the
/// next opening, where one offer confirms while it still signs the other.
pub fn close_by_agreement(closer: &Lnd, other: &Lnd, point: &ChannelPoint) -> Result<String> {
    let txid = closer.close_channel(point, false)?;
    let signed = |node: &Lnd| {
        let log = node.process_ref().log_tail(3_000);
        log.lines().any(|line| line.contains(&format!("({point}): received sig")))
    };
    // Not every pair of lnds makes two offers.
    let _ = within_true(4 * LND_WAITS, "both offers signed", || Ok(signed(closer) && signed(other)));
    Ok(txid)
}

/// Pays `count` invoices of `sat` from `from` to `to`, `parallel` at a time, spread over
/// `channels` (short ids; none = lnd chooses), and answers how long it took.
pub fn pay_many(
    from: &Lnd,
    to: &Lnd,
    count: usize,
    sat: u64,
    parallel: usize,
    channels: &[String],
) -> Result<Duration> {
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..parallel)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= count {
                            return Ok(());
                        }
                        let outgoing = (!channels.is_empty()).then(|| channels[n % channels.len()].as_str());
                        let invoice = to.invoice(sat)?;
                        from.pay(&invoice, outgoing).with_context(|| {
                            format!("payment {n} of {count}, {} to {}", from.name(), to.name())
                        })?;
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(joined)
    })?;
    Ok(began.elapsed())
}

/// Makes an HTLC of `sat` pending from `from` to `to` over channel `point` and answers the
/// preimage that settles it.
pub fn pend_htlc(from: &Lnd, to: &Lnd, point: &ChannelPoint, sat: u64) -> Result<[u8; 32]> {
    let preimage: [u8; 32] = rand::random();
    let hash = BASE64.encode(sha2::Sha256::digest(preimage));
    // By its hash: the last HTLC settled may not be off the channel yet.
    let pending = |node: &Lnd| -> Result<bool> {
        let channel = node.channel(point)?.context("no such channel")?;
        let htlcs = channel["pending_htlcs"].as_array();
        Ok(htlcs.is_some_and(|htlcs| htlcs.iter().any(|htlc| htlc["hash_lock"] == hash.as_str())))
    };
    let invoice = to.hold_invoice(sat, &preimage)?;
    from.pay_detached(invoice, Some(short_id(from, point)?));
    until_true(30, "HTLC pending on both sides", || Ok(pending(from)? && pending(to)?))?;
    Ok(preimage)
}

/// Makes an HTLC of `sat` pending from `from` to `to`, by the way that `from` finds and at last over channel `point`; answers
/// the preimage that settles it.
pub fn pend_htlc_through(from: &Lnd, to: &Lnd, point: &ChannelPoint, sat: u64) -> Result<[u8; 32]> {
    let preimage: [u8; 32] = rand::random();
    let hash = BASE64.encode(sha2::Sha256::digest(preimage));
    from.pay_detached(to.hold_invoice(sat, &preimage)?, None);
    until_true(30, "HTLC pending at its end", || {
        let channel = to.channel(point)?.context("no such channel")?;
        let htlcs = channel["pending_htlcs"].as_array();
        Ok(htlcs.is_some_and(|htlcs| htlcs.iter().any(|htlc| htlc["hash_lock"] == hash.as_str())))
    })?;
    Ok(preimage)
}

/// Alice's channels for forwards: 5,000,000 sat from bob, and as much to carol, known to bob.
pub fn open_through_alice(net: &Network) -> Result<[ChannelPoint; 2]> {
    let carol = net.carol.as_ref().context("no carol")?;
    let format = CommitmentType::Anchors;
    let [mut came, mut goes] = [
        net.open(&net.bob, &net.alice, 1, 5_000_000, 0, format)?,
        net.open(&net.alice, carol, 1, 5_000_000, 0, format)?,
    ];
    let (came, goes) = (came.remove(0), goes.remove(0));
    let id = short_id(&net.alice, &goes)?;
    until_true(60, "bob knows the way to carol", || {
        let edge = net.bob.rest().get(&format!("/v1/graph/edge/{id}"));
        Ok(edge.is_ok_and(|edge| edge["node1_policy"].is_object() && edge["node2_policy"].is_object()))
    })?;
    Ok([came, goes])
}

/// A scoped thread's result; a panic in it becomes an error.
fn joined<T>(handle: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().map_err(|_| anyhow!("a scenario thread panicked"))?
}
