//! What the scenarios against a hostile peer share: that peer, and an honest channel that must not suffer.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use sha2::Digest;
use strongroom_tests::clock::{until, until_true};
use strongroom_tests::lnd::{ChannelPoint, CommitmentType, Lnd};
use strongroom_tests::network::{pay_many, short_id};

use crate::bed::Bed;
use crate::peer::Peer;

/// Alice's channel with bob, opened before anything hostile.
pub struct Honest {
    pub point: ChannelPoint,
    through: String,
}

impl Honest {
    pub fn open(bed: &Bed) -> Result<Self> {
        let net = &bed.net;
        let points = net.open(&net.alice, &net.bob, 1, 3_000_000, 800_000, CommitmentType::Anchors)?;
        let point = points.into_iter().next().context("no channel")?;
        let through = short_id(&net.alice, &point)?;
        Ok(Self { point, through })
    }

    /// It is active, and pays both ways; what it pays comes back.
    pub fn pays(&self, bed: &Bed) -> Result<()> {
        let (alice, bob) = (&bed.net.alice, &bed.net.bob);
        let channel = alice.channel(&self.point)?.context("the honest channel is gone")?;
        ensure!(channel["active"] == true, "the honest channel is not active");
        pay_many(alice, bob, 2, 10_000, 1, std::slice::from_ref(&self.through))?;
        pay_many(bob, alice, 2, 10_000, 1, &[])?;
        let quiet = || {
            Ok(alice
                .channel(&self.point)?
                .is_some_and(|c| c["pending_htlcs"] == json!([]) && c["active"] == true))
        };
        until_true(30, "the honest channel quiet and active", quiet)
    }

    /// The short id.
    pub fn short_id(&self) -> Result<u64> {
        Ok(self.through.parse()?)
    }
}

/// The hostile peer, connected to alice.
pub struct Hostile {
    pub peer: Peer,
}

impl Hostile {
    pub fn start(dir: &Path, bed: &Bed) -> Result<Self> {
        let peer = Peer::start(dir, &bed.net.bitcoind)?;
        peer.connect(&bed.net.alice)?;
        Ok(Self { peer })
    }

    /// A channel that alice opens to it, published and not yet mined.
    pub fn opened_by_alice(
        &self,
        bed: &Bed,
        sat: u64,
        push: u64,
        format: CommitmentType,
    ) -> Result<ChannelPoint> {
        let body = json!({
            "node_pubkey": BASE64.encode(hex::decode(self.peer.id()?)?),
            "local_funding_amount": sat.to_string(), "push_sat": push.to_string(), "private": true,
            "spend_unconfirmed": true, "sat_per_vbyte": "5",
            "commitment_type": match format {
                CommitmentType::StaticRemoteKey => "STATIC_REMOTE_KEY",
                _ => "ANCHORS",
            },
        });
        // A block just mined makes lnd refuse for a moment; that is not what is tested.
        let answer = until(30, "alice opens", || match bed.net.alice.rest().post("/v1/channels", &body) {
            Err(error) if format!("{error:#}").contains("synced") => Ok(None),
            outcome => Ok(Some(outcome)),
        })??;
        let mut txid =
            BASE64.decode(answer["funding_txid_bytes"].as_str().context("no funding transaction")?)?;
        txid.reverse();
        let vout = u32::try_from(answer["output_index"].as_u64().unwrap_or(0))?;
        Ok(ChannelPoint { txid: hex::encode(txid), vout })
    }

    /// A channel that the peer opens to alice, with nothing of hers, published and not yet mined.
    pub fn opened_by_peer(&self, bed: &Bed, sat: u64, format: CommitmentType) -> Result<ChannelPoint> {
        self.peer.open(&bed.net.alice, &bed.net.bitcoind, sat, format)
    }

    /// Sends `sat` over `channel` to a hold invoice of alice's, whose preimage it answers. Whether it arrives is the peer's affair.
    pub fn pays_alice(&self, bed: &Bed, channel: &ChannelPoint, sat: u64) -> Result<[u8; 32]> {
        let preimage: [u8; 32] = rand::random();
        let hash: [u8; 32] = sha2::Sha256::digest(preimage).into();
        let body = json!({"hash": BASE64.encode(hash), "value": sat.to_string(), "cltv_expiry": "40"});
        let invoice = bed.net.alice.rest().post("/v2/invoices/hodl", &body)?;
        let secret = BASE64.decode(invoice["payment_addr"].as_str().context("no payment address")?)?;
        let secret = <[u8; 32]>::try_from(secret).ok().context("a payment address of 32 bytes")?;
        let hops = [(bed.net.alice.pubkey(), self.peer.short_id(channel)?)];
        self.peer.send(sat, hash, secret, &hops)?;
        Ok(preimage)
    }

    /// Waits until alice's hold invoice of that preimage is paid, and not settled.
    pub fn is_held(&self, bed: &Bed, preimage: &[u8; 32]) -> Result<()> {
        let path = format!("/v1/invoice/{}", hex::encode(sha2::Sha256::digest(preimage)));
        until_true(30, "alice holds the HTLC", || Ok(bed.net.alice.rest().get(&path)?["state"] == "ACCEPTED"))
    }

    /// Mines, and waits for every node.
    pub fn mine(&self, bed: &Bed, blocks: u32) -> Result<()> {
        bed.net.mine(blocks)?;
        self.peer.follow(&bed.net.bitcoind)
    }

    /// Mines the channels in, and waits until both sides use them.
    pub fn usable(&self, bed: &Bed, points: &[ChannelPoint]) -> Result<()> {
        self.mine(bed, 6)?;
        for point in points {
            self.peer.short_id(point)?;
            let active =
                || Ok(bed.net.alice.channel(point)?.is_some_and(|channel| channel["active"] == true));
            until_true(60, &format!("channel {point} active"), active)?;
        }
        Ok(())
    }

    /// Mines until alice has nothing of these channels on the way; the honest one pays all the while.
    pub fn all_home(&self, bed: &Bed, honest: &Honest, points: &[ChannelPoint]) -> Result<()> {
        for n in 0..60 {
            if all_swept(&bed.net.alice, points)? {
                return honest.pays(bed);
            }
            if n == 8 {
                honest.pays(bed)?;
            }
            // Blocks come one by one while claims are made; then what is locked for a day is waited for.
            bed.net.mine(if n < 8 { 1 } else { 8 })?;
            // lnd sweeps some moments after a block; nothing announces that it will not.
            std::thread::sleep(Duration::from_millis(400));
        }
        ensure!(all_swept(&bed.net.alice, points)?, "alice's channels are not swept within 420 blocks");
        Ok(())
    }
}

/// Whether none of these channels is open or closing.
fn all_swept(node: &Lnd, points: &[ChannelPoint]) -> Result<bool> {
    let of = |channel: &serde_json::Value| points.iter().any(|point| *channel == point.to_string().as_str());
    for kind in ["waiting_close_channels", "pending_force_closing_channels"] {
        if node.pending(kind)?.iter().any(|pending| of(&pending["channel"]["channel_point"])) {
            return Ok(false);
        }
    }
    Ok(!node.channels()?.iter().any(|channel| of(&channel["channel_point"])))
}
