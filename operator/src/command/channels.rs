//! `strongroom channels`

use clap::Args;
use serde::Serialize;
use strongroom_policy::NodeName;
use strongroom_proto::strongroom::v1::ChannelsRequest;
use strongroom_proto::strongroom::v1::channels_client::ChannelsClient;

use super::channel::allowance::AllowanceState;
use super::channel::state::ChannelState;
use super::node::refused::{RefusedState, refused};
use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::open;
use crate::failure::Failure;

const AFTER: &str = "\
`ours` is our output on the peer's latest commitment, `guaranteed` the least
that any commitment ever paid us: nothing proves to a signer that an old one
was revoked. T0 means that the checks rest on lnd's requests alone; POLICY.md
says what that leaves open. `peer` is whom the channel's announcement names:
lnd's word, which nothing proves to a signer.

REFUSED are closes, claims and sweeps that lnd asked for, was refused, and does
not ask for again by itself: do what the line says, then start lnd again. A line
goes once the same output is signed for.";

/// Channels by the signer's own books.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Channels {
    /// Only this node's.
    #[arg(long, value_name = "NODE")]
    node: Option<NodeName>,
}

#[derive(Serialize)]
struct Known {
    channels: Vec<ChannelState>,
    refused_claims: Vec<RefusedState>,
    close_allowances: Vec<AllowanceState>,
}

impl Channels {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let node = self.node.map_or_else(String::new, String::from);
        let request = ChannelsRequest { node, channel: String::new() };
        let answer = ChannelsClient::new(open(&global.socket).await?).list(request).await?.into_inner();
        Known {
            channels: answer.channels.into_iter().map(ChannelState::from).collect(),
            refused_claims: answer.refused_claims.into_iter().map(RefusedState::from).collect(),
            close_allowances: answer.close_allowances.into_iter().map(AllowanceState::from).collect(),
        }
        .give(global.json)
    }
}

impl Answer for Known {
    fn words(&self) -> String {
        let allowed = self.close_allowances.iter().map(|said| format!("\n{}", said.words()));
        let claims = allowed.collect::<String>() + &refused(&self.refused_claims, usize::MAX);
        if self.channels.is_empty() {
            return format!("no channel was seen yet{claims}");
        }
        self.channels.iter().map(ChannelState::words).collect::<Vec<_>>().join("\n") + &claims
    }
}
