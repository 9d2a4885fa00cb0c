//! `strongroom channel allow-close`

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use strongroom_policy::NodeName;
use strongroom_proto::strongroom::v1::{ChannelAllowCloseRequest, CloseAllowance};

use super::allowance::AllowanceState;
use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::wording::sat;

const AFTER: &str = "\
A close by agreement is held to our balance on the peer's latest commitment.
Where the signer has never seen one (the node was imported, or the state folder
was lost), or has an older one (a copy was put back), say what is ours:

  lncli listchannels        local_balance of the channel, less the close's fee
  strongroom channel allow-close alice 7d0e…f1:0 --at-least 1990000

Every close of that channel is then signed that pays our own addresses, or
those on the allowlist, at least so much; lnd and its peer try several fees. It
holds for the time given and is written into the journal; said again it takes
the place of what was said before. Then let lnd and its peer connect again.

Who says too little lets a compromised lnd give the rest to its peer.";

/// Say what a close by agreement must pay us, where the books do not know.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct AllowClose {
    /// The node.
    node: NodeName,
    /// Funding outpoint, as txid:index.
    channel: String,
    /// What our own addresses and those of the allowlist get at least, in satoshis.
    #[arg(long, value_name = "SAT")]
    at_least: u64,
    /// How long it holds, as 12h; at most 31d.
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = humantime::parse_duration)]
    expires_in: Duration,
}

#[derive(Serialize)]
struct Allowed {
    #[serde(flatten)]
    allowance: AllowanceState,
    balance_sat: Option<u64>,
}

impl AllowClose {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = ChannelAllowCloseRequest {
            node: self.node.into(),
            channel: self.channel,
            at_least_sat: self.at_least,
            expires_in: self.expires_in.as_secs().max(1),
        };
        let answer = connect(&global.socket).await?.channel_allow_close(request).await?.into_inner();
        let allowance = AllowanceState::from(answer.allowance.unwrap_or_else(CloseAllowance::default));
        Allowed { allowance, balance_sat: answer.balance_sat }.give(global.json)
    }
}

impl Answer for Allowed {
    fn words(&self) -> String {
        let books = match self.balance_sat {
            None => "the books know of nothing in it".to_owned(),
            Some(balance) => format!("the books have {} of ours in it", sat(balance)),
        };
        format!("{}\n  {books}; lnd asks again when the peer connects", self.allowance.words())
    }
}
