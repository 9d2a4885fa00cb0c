//! What a scenario asks of an lnd.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::Lnd;
use crate::clock::{until, until_true};

/// A channel's funding output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelPoint {
    /// Funding transaction id.
    pub txid: String,
    /// Output index.
    pub vout: u32,
}

impl FromStr for ChannelPoint {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (txid, vout) = text.split_once(':').context("channel point without ':'")?;
        Ok(Self { txid: txid.to_owned(), vout: vout.parse()? })
    }
}

impl fmt::Display for ChannelPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.txid, self.vout)
    }
}

/// The commitment format asked for at open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitmentType {
    /// Anchors, zero-fee HTLC transactions: lnd's default.
    Anchors,
    /// lnd's simple taproot channels (MuSig2 funding).
    Taproot,
    /// No anchors: the fee is the commitment's own, and its HTLC transactions'.
    StaticRemoteKey,
}

/// A channel to open.
pub struct OpenChannel<'a> {
    /// The peer.
    pub to: &'a Lnd,
    /// Capacity, satoshis.
    pub capacity: u64,
    /// Given to the peer at open, satoshis.
    pub push: u64,
    /// Commitment format.
    pub format: CommitmentType,
    /// Never announced; what lnd demands of taproot channels.
    pub private: bool,
}

impl Lnd {
    /// A fresh wallet address: `p2wkh` (84'), `np2wkh` (49') or `p2tr` (86').
    pub fn new_address(&self, kind: &str) -> Result<String> {
        let kind = match kind {
            "p2wkh" => "WITNESS_PUBKEY_HASH",
            "np2wkh" => "NESTED_PUBKEY_HASH",
            "p2tr" => "TAPROOT_PUBKEY",
            other => bail!("address kind {other:?}: not p2wkh, np2wkh or p2tr"),
        };
        let answer = self.rest.get(&format!("/v1/newaddress?type={kind}"))?;
        string(&answer, "address")
    }

    /// Connects to `peer`; already connected is fine.
    pub fn connect(&self, peer: &Lnd) -> Result<()> {
        let body = json!({"addr": {"pubkey": peer.pubkey(), "host": peer.p2p_address()}, "perm": true});
        match self.rest.post("/v1/peers", &body) {
            Err(error) if !format!("{error:#}").contains("already connected") => Err(error),
            _ => until_true(30, "peers connected", || self.is_connected(peer)),
        }
    }

    /// Drops the connection to `peer` and waits until it is gone; lnd answers before.
    pub fn disconnect(&self, peer: &Lnd) -> Result<()> {
        self.rest.delete(&format!("/v1/peers/{}", peer.pubkey()))?;
        until_true(30, "peers disconnected", || Ok(!self.is_connected(peer)?))
    }

    fn is_connected(&self, peer: &Lnd) -> Result<bool> {
        Ok(array(&self.rest.get("/v1/peers")?, "peers").iter().any(|p| p["pub_key"] == peer.pubkey()))
    }

    /// Opens a channel; the funding transaction is published, not yet mined.
    pub fn open_channel(&self, open: &OpenChannel) -> Result<ChannelPoint> {
        self.open_channel_with(open, json!({}))
    }

    /// [`Self::open_channel`] with further fields of lnd's request.
    pub fn open_channel_with(&self, open: &OpenChannel, further: Value) -> Result<ChannelPoint> {
        let mut body = json!({
            "node_pubkey": BASE64.encode(hex::decode(open.to.pubkey())?),
            "local_funding_amount": open.capacity.to_string(),
            "push_sat": open.push.to_string(),
            "private": open.private,
            "spend_unconfirmed": true,
            "sat_per_vbyte": "5",
            "commitment_type": match open.format {
                CommitmentType::Anchors => "ANCHORS",
                CommitmentType::Taproot => "SIMPLE_TAPROOT",
                CommitmentType::StaticRemoteKey => "STATIC_REMOTE_KEY",
            },
        });
        for (field, value) in further.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        // A block just mined makes lnd refuse for a moment; that is not what is tested.
        let answer = until(30, "open channel", || match self.rest.post("/v1/channels", &body) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if format!("{error:#}").contains("synced") => Ok(None),
            Err(error) => Ok(Some(json!({ "failed": format!("{error:#}") }))),
        })?;
        if let Some(reason) = answer["failed"].as_str() {
            bail!("{} opens a channel to {}: {reason}", self.name(), open.to.name());
        }
        let mut txid = BASE64.decode(string(&answer, "funding_txid_bytes")?)?;
        txid.reverse();
        Ok(ChannelPoint {
            txid: hex::encode(txid),
            vout: u32::try_from(answer["output_index"].as_u64().unwrap_or(0))?,
        })
    }

    /// Opens a channel by PSBT, its first commitments before the funding is signed; the funding is published, not yet mined.
    pub fn open_channel_by_psbt(&self, open: &OpenChannel) -> Result<ChannelPoint> {
        let id = BASE64.encode([7; 32]);
        let body = json!({
            "node_pubkey": BASE64.encode(hex::decode(open.to.pubkey())?),
            "local_funding_amount": open.capacity.to_string(),
            "push_sat": open.push.to_string(),
            "commitment_type": "ANCHORS",
            "funding_shim": {"psbt_shim": {"pending_chan_id": id, "no_publish": true}},
        });
        let mut updates = self.rest.post_stream("/v1/channels/stream", &body)?;
        let mut update = |field: &str| {
            let mut update = updates.next().with_context(|| format!("the stream ended before {field}"))??;
            Ok::<_, anyhow::Error>(update[field].take())
        };
        let address = string(&update("psbt_fund")?, "funding_address")?;
        let outputs = json!({address: open.capacity.to_string()});
        let body = json!({"raw": {"outputs": outputs}, "sat_per_vbyte": "5", "spend_unconfirmed": true});
        let funded = string(&self.rest.post("/v2/wallet/psbt/fund", &body)?, "funded_psbt")?;
        let verify = json!({"funded_psbt": funded, "pending_chan_id": id, "skip_finalize": true});
        self.rest.post("/v1/funding/step", &json!({"psbt_verify": verify}))?;
        let pending = update("chan_pending")?;
        let signed = self.rest.post("/v2/wallet/psbt/finalize", &json!({"funded_psbt": funded}))?;
        self.rest.post("/v2/wallet/tx", &json!({"tx_hex": string(&signed, "raw_final_tx")?}))?;
        let mut txid = BASE64.decode(string(&pending, "txid")?)?;
        txid.reverse();
        let vout = u32::try_from(pending["output_index"].as_u64().unwrap_or(0))?;
        Ok(ChannelPoint { txid: hex::encode(txid), vout })
    }

    /// Every open channel.
    pub fn channels(&self) -> Result<Vec<Value>> {
        Ok(array(&self.rest.get("/v1/channels")?, "channels").to_vec())
    }

    /// One open channel.
    pub fn channel(&self, point: &ChannelPoint) -> Result<Option<Value>> {
        let wanted = point.to_string();
        Ok(self.channels()?.into_iter().find(|c| c["channel_point"] == wanted.as_str()))
    }

    /// Waits until every one of `points` is active here and the router knows both directions.
    pub fn wait_active(&self, points: &[ChannelPoint]) -> Result<()> {
        for point in points {
            let wanted = point.to_string();
            until_true(60, &format!("{}: channel {point} active", self.name()), || {
                let channels = self.channels()?;
                let Some(channel) =
                    channels.iter().find(|c| c["channel_point"] == wanted.as_str() && c["active"] == true)
                else {
                    return Ok(false);
                };
                let edge = self.rest.get(&format!("/v1/graph/edge/{}", string(channel, "chan_id")?))?;
                Ok(!edge["node1_policy"].is_null() && !edge["node2_policy"].is_null())
            })?;
        }
        Ok(())
    }

    /// An invoice over `sat` satoshis.
    pub fn invoice(&self, sat: u64) -> Result<String> {
        let body = json!({"value": sat.to_string(), "memo": "harness"});
        string(&self.rest.post("/v1/invoices", &body)?, "payment_request")
    }

    /// A hold invoice over `sat` satoshis: paid HTLCs stay pending until settled or cancelled.
    pub fn hold_invoice(&self, sat: u64, preimage: &[u8; 32]) -> Result<String> {
        use sha2::Digest;
        let hash = sha2::Sha256::digest(preimage);
        let body = json!({"hash": BASE64.encode(hash), "value": sat.to_string(), "cltv_expiry": "40"});
        string(&self.rest.post("/v2/invoices/hodl", &body)?, "payment_request")
    }

    /// Settles a hold invoice.
    pub fn settle_invoice(&self, preimage: &[u8; 32]) -> Result<()> {
        let body = json!({"preimage": BASE64.encode(preimage)});
        self.rest.post("/v2/invoices/settle", &body).map(drop)
    }

    /// Pays `invoice`, if given through the channel with short id `outgoing`, and waits for the end.
    pub fn pay(&self, invoice: &str, outgoing: Option<&str>) -> Result<()> {
        let mut body = json!({
            "payment_request": invoice, "timeout_seconds": 60, "fee_limit_sat": "1000",
            "no_inflight_updates": true, "allow_self_payment": true,
        });
        if let Some(channel) = outgoing {
            body["outgoing_chan_ids"] = json!([channel]);
        }
        let end = self.rest.post_stream_last("/v2/router/send", &body)?;
        if end["status"] != "SUCCEEDED" {
            bail!("payment {}: {} {}", end["payment_hash"], end["status"], end["failure_reason"]);
        }
        Ok(())
    }

    /// Starts paying `invoice` and does not wait for the end: for hold invoices.
    pub fn pay_detached(&self, invoice: String, outgoing: Option<String>) {
        let rest = self.rest.clone();
        std::thread::spawn(move || {
            let mut body = json!({
                "payment_request": invoice, "timeout_seconds": 60, "fee_limit_sat": "1000",
                "no_inflight_updates": true,
            });
            if let Some(channel) = outgoing {
                body["outgoing_chan_ids"] = json!([channel]);
            }
            // Pending on purpose: how it ends is seen in the channel, not here.
            let _ = rest.post_stream_last("/v2/router/send", &body);
        });
    }

    /// Closes cooperatively or by force and answers the closing transaction's id.
    pub fn close_channel(&self, point: &ChannelPoint, force: bool) -> Result<String> {
        let path = format!(
            "/v1/channels/{}/{}?force={force}{}",
            point.txid,
            point.vout,
            if force { "" } else { "&sat_per_vbyte=5" }
        );
        // The last payment may not be off the channel yet; lnd closes only a quiet one.
        let update = until(30, "the channel quiet", || match self.rest.delete_stream_first(&path) {
            Err(error) if format!("{error:#}").contains("active htlcs") => Ok(None),
            outcome => Ok(Some(outcome)),
        })??;
        let mut txid = BASE64.decode(string(&update["close_pending"], "txid")?)?;
        txid.reverse();
        Ok(hex::encode(txid))
    }

    /// Channels waiting for something: `pending_open_channels`, `waiting_close_channels`,
    /// `pending_force_closing_channels`.
    pub fn pending(&self, kind: &str) -> Result<Vec<Value>> {
        Ok(array(&self.rest.get("/v1/channels/pending")?, kind).to_vec())
    }

    /// Summaries of closed channels.
    pub fn closed(&self) -> Result<Vec<Value>> {
        Ok(array(&self.rest.get("/v1/channels/closed")?, "channels").to_vec())
    }

    /// Outputs lnd means to sweep.
    pub fn pending_sweeps(&self) -> Result<Vec<Value>> {
        Ok(array(&self.rest.get("/v2/wallet/sweeps/pending")?, "pending_sweeps").to_vec())
    }

    /// Sends coins from the wallet.
    pub fn send_coins(&self, address: &str, sat: u64) -> Result<String> {
        let body = json!({"addr": address, "amount": sat.to_string(), "sat_per_vbyte": "5", "spend_unconfirmed": true});
        string(&self.rest.post("/v1/transactions", &body)?, "txid")
    }

    /// Closes by agreement, our part to `address`; answers the closing transaction's id.
    pub fn close_to(&self, point: &ChannelPoint, address: &str) -> Result<String> {
        let path =
            format!("/v1/channels/{}/{}?sat_per_vbyte=5&delivery_address={address}", point.txid, point.vout);
        let update = self.rest.delete_stream_first(&path)?;
        let mut txid = BASE64.decode(string(&update["close_pending"], "txid")?)?;
        txid.reverse();
        Ok(hex::encode(txid))
    }

    /// Wallet balance, unconfirmed coins included, satoshis.
    pub fn total_balance(&self) -> Result<u64> {
        let answer = self.rest.get("/v1/balance/blockchain")?;
        Ok(string(&answer, "total_balance")?.parse()?)
    }

    /// Confirmed wallet balance, satoshis.
    pub fn wallet_balance(&self) -> Result<u64> {
        let answer = self.rest.get("/v1/balance/blockchain")?;
        Ok(string(&answer, "confirmed_balance")?.parse()?)
    }

    /// Signs `text` with the node's key.
    pub fn sign_message(&self, text: &str) -> Result<String> {
        let body = json!({"msg": BASE64.encode(text)});
        string(&self.rest.post("/v1/signmessage", &body)?, "signature")
    }

    /// The node key that signed `text`, as this lnd sees it.
    pub fn verify_message(&self, text: &str, signature: &str) -> Result<String> {
        let body = json!({"msg": BASE64.encode(text), "signature": signature});
        string(&self.rest.post("/v1/verifymessage", &body)?, "pubkey")
    }

    /// Funds a PSBT paying `sat` to `address` and lets lnd finalise (sign) it.
    pub fn psbt_round(&self, address: &str, sat: u64) -> Result<Vec<u8>> {
        let body = json!({"raw": {"outputs": {address: sat.to_string()}}, "sat_per_vbyte": "5", "spend_unconfirmed": true});
        let funded = self.rest.post("/v2/wallet/psbt/fund", &body)?;
        let body = json!({"funded_psbt": string(&funded, "funded_psbt")?});
        let signed = self.rest.post("/v2/wallet/psbt/finalize", &body)?;
        Ok(BASE64.decode(string(&signed, "raw_final_tx")?)?)
    }

    /// Asks for a fee bump of a pending sweep or an anchor's CPFP.
    pub fn bump_fee(&self, outpoint: &Value, sat_per_vbyte: u64) -> Result<()> {
        let body = json!({"outpoint": outpoint, "sat_per_vbyte": sat_per_vbyte.to_string(), "immediate": true, "budget": "50000"});
        self.rest.post("/v2/wallet/bumpfee", &body).map(drop)
    }

    /// Sets the forwarding fees announced for every channel.
    pub fn update_policy(&self, base_msat: u64) -> Result<()> {
        let body = json!({"global": true, "base_fee_msat": base_msat.to_string(), "fee_rate": 0.000001, "time_lock_delta": 40});
        self.rest.post("/v1/chanpolicy", &body).map(drop)
    }

    /// The wallet's accounts, as `lncli wallet accounts list` prints them.
    pub fn accounts(&self) -> Result<Value> {
        self.rest.get("/v2/wallet/accounts")
    }
}

/// The string `field` of `value`.
fn string(value: &Value, field: &str) -> Result<String> {
    Ok(value[field].as_str().with_context(|| format!("no string {field:?} in {value}"))?.to_owned())
}

/// The array `field` of `value`, empty if missing.
fn array<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}
