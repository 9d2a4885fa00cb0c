//! One payment between two lnds, and its end.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use sha2::Digest;

use super::Who;
use crate::clock::{until, within};
use crate::lnd::Lnd;
use crate::rest::Rest;

/// What becomes of a payment at its payee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Settled at once.
    Plain,
    /// Settled at once, sent in several parts.
    Parts,
    /// Kept pending by the payee.
    Hold,
    /// The payee knows nothing of it.
    Unknown,
}

/// A payment to be made.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub(super) from: Who,
    pub(super) to: Who,
    pub(super) kind: Kind,
    pub(super) sat: u64,
    pub(super) preimage: [u8; 32],
    /// Short id of the channel it must leave by.
    pub(super) by: Option<String>,
}

/// How it ended, as the payer has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeeded,
    Failed(String),
    /// The payer could not say: it was stopped.
    Open(String),
}

/// A payment that its payee keeps pending.
pub(super) struct Held {
    pub(super) payment: Payment,
    pub(super) end: JoinHandle<End>,
}

impl Payment {
    pub(super) fn new(rng: &mut StdRng, (from, to): (Who, Who), kind: Kind, sat: u64) -> Self {
        Self { from, to, kind, sat, preimage: rng.r#gen(), by: None }
    }

    pub(super) fn is_forwarded(&self) -> bool {
        self.from != Who::Alice && self.to != Who::Alice
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        sha2::Sha256::digest(self.preimage).into()
    }

    /// The request that makes `from` send it, after asking `to` for an invoice.
    pub(super) fn order(&self, to: &Lnd) -> Result<Value> {
        let mut order =
            json!({ "timeout_seconds": 60, "fee_limit_sat": "2000", "no_inflight_updates": true });
        match self.kind {
            Kind::Plain | Kind::Parts => {
                let body = json!({"value": self.sat.to_string(), "r_preimage": BASE64.encode(self.preimage)});
                order["payment_request"] = to.rest().post("/v1/invoices", &body)?["payment_request"].clone();
            }
            Kind::Hold => order["payment_request"] = json!(to.hold_invoice(self.sat, &self.preimage)?),
            Kind::Unknown => {
                order["dest"] = json!(BASE64.encode(hex::decode(to.pubkey())?));
                order["amt"] = json!(self.sat.to_string());
                order["payment_hash"] = json!(BASE64.encode(self.hash()));
                order["final_cltv_delta"] = json!(80);
            }
        }
        if self.kind == Kind::Parts {
            order["max_parts"] = json!(8);
            order["max_shard_size_msat"] = json!((self.sat * 1_000 / 3 + 1_000).to_string());
        }
        if let Some(channel) = &self.by {
            order["outgoing_chan_ids"] = json!([channel]);
        }
        Ok(order)
    }
}

/// Sends and waits for the end.
pub(super) fn send(payer: &Rest, order: &Value) -> End {
    match payer.post_stream_last("/v2/router/send", order) {
        Ok(last) => end(&last),
        Err(error) => End::Open(format!("{error:#}")),
    }
}

/// The end of a payment that the payer was asked to make before it was stopped; open if it hangs even so.
pub(super) fn track(payer: &Lnd, payment: &Payment) -> End {
    let path = format!("/v2/router/track/{}?no_inflight_updates=true", URL_SAFE.encode(payment.hash()));
    let ended = within(Duration::from_secs(8), "a payment's end after a restart", || {
        match payer.rest().within(5).get(&path) {
            Ok(answer) => match end(&answer["result"]) {
                End::Open(_) => Ok(None),
                ended => Ok(Some(ended)),
            },
            Err(error) if format!("{error:#}").contains("isn't initiated") => {
                Ok(Some(End::Open("never begun".to_owned())))
            }
            Err(error) => Err(error),
        }
    });
    ended.unwrap_or_else(|error| End::Open(format!("{error:#}")))
}

fn end(answer: &Value) -> End {
    match answer["status"].as_str() {
        Some("SUCCEEDED") => End::Succeeded,
        Some("FAILED") => End::Failed(answer["failure_reason"].as_str().unwrap_or_default().to_owned()),
        _ => End::Open(answer.to_string()),
    }
}

/// Takes or refuses a held payment that has arrived.
pub(super) fn release(payee: &Lnd, payment: &Payment, settle: bool) -> Result<()> {
    if settle {
        return payee.settle_invoice(&payment.preimage);
    }
    let body = json!({"payment_hash": BASE64.encode(payment.hash())});
    payee.rest().post("/v2/invoices/cancel", &body).map(drop)
}

/// Waits until the payee has all of it.
pub(super) fn arrived(payee: &Lnd, payment: &Payment) -> Result<()> {
    let hash = payment.hash();
    until(60, "the held HTLC at its payee", || {
        let invoice = payee.rest().get(&format!("/v1/invoice/{}", hex::encode(hash)))?;
        match invoice["state"].as_str() {
            Some("ACCEPTED") => Ok(Some(())),
            Some("OPEN") => Ok(None),
            _ => bail!("the invoice is {}", invoice["state"]),
        }
    })
    .with_context(|| format!("{payment:?}"))
}
