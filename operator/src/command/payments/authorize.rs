//! `strongroom payments authorize`

use std::time::Duration;

use clap::{ArgGroup, Args};
use strongroom_policy::NodeName;
use strongroom_proto::strongroom::v1::AuthorizeRequest;
use strongroom_proto::strongroom::v1::authorize_request::What;
use strongroom_proto::strongroom::v1::payments_client::PaymentsClient;

use super::state::PaymentState;
use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::open;
use crate::failure::{Exit, Failure};

const AFTER: &str = "\
The payment's HTLCs then count against this authorisation and not against the
policy's limits for payments without one. An attempt that failed counts like
one that was paid: nothing proves to a signer that it failed.

  strongroom payments authorize alice --invoice lnbc20m1… --max-fee 50
  strongroom payments authorize alice --hash 66…31 --amount 250000 \\
      --expires-in 10m --label \"supplier 17\"";

/// Let a node's channels make one payment.
#[derive(Args)]
#[command(after_long_help = AFTER, group(ArgGroup::new("what").required(true).args(["invoice", "hash"])))]
pub struct Authorize {
    /// Name of the node that pays.
    node: NodeName,
    /// BOLT 11 invoice to pay.
    #[arg(long, value_name = "INVOICE")]
    invoice: Option<String>,
    /// Payment hash to pay, 64 hex digits.
    #[arg(long, value_name = "HEX", requires = "amount")]
    hash: Option<String>,
    /// What the payee gets, in satoshis; for a hash, or an invoice that does not say.
    #[arg(long, value_name = "SAT")]
    amount: Option<u64>,
    /// Most for routing on top, in satoshis.
    #[arg(long, value_name = "SAT", default_value_t = 0)]
    max_fee: u64,
    /// How long it holds, as 10m; else until the invoice expires, or an hour.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
    /// How often the whole may be offered.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    attempts: u32,
    /// What it is for; shown in the journal.
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
}

impl Authorize {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let what = match (self.invoice, self.hash) {
            (Some(invoice), _) => What::Invoice(invoice),
            (None, hash) => {
                let hash = hash.unwrap_or_default();
                let bytes = hex::decode(&hash)
                    .map_err(|e| Failure::new(Exit::Usage, format!("{hash:?} is no payment hash: {e}")))?;
                What::PaymentHash(bytes)
            }
        };
        let request = AuthorizeRequest {
            node: self.node.to_string(),
            what: Some(what),
            amount_sat: self.amount.unwrap_or(0),
            max_fee_sat: self.max_fee,
            expires_in: self.expires_in.map_or(0, |time| time.as_secs().max(1)),
            max_attempts: self.attempts,
            label: self.label,
        };
        let answer = PaymentsClient::new(open(&global.socket).await?).authorize(request).await?.into_inner();
        PaymentState::from(answer).give(global.json)
    }
}
