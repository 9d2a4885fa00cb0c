//! `strongroom channel show`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::ChannelsRequest;
use strongroom_proto::strongroom::v1::channels_client::ChannelsClient;

use super::allowance::AllowanceState;
use super::state::ChannelState;
use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::open;
use crate::failure::{Exit, Failure};

/// Everything the books have of one channel.
#[derive(Args)]
pub struct Show {
    /// Funding outpoint, as txid:index.
    channel: String,
}

#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    channel: Option<ChannelState>,
    close_allowance: Option<AllowanceState>,
}

impl Show {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = ChannelsRequest { node: String::new(), channel: self.channel.clone() };
        let answer = ChannelsClient::new(open(&global.socket).await?).list(request).await?.into_inner();
        let channel = answer.channels.into_iter().next().map(ChannelState::from);
        match (channel, answer.close_allowances.into_iter().next().map(AllowanceState::from)) {
            (None, None) => {
                Err(Failure::new(Exit::Refused, format!("no channel {} was ever seen", self.channel))
                    .hint("strongroom channels lists them"))
            }
            (channel, close_allowance) => Whole { channel, close_allowance }.give(global.json),
        }
    }
}

impl Answer for Whole {
    fn words(&self) -> String {
        let parts = [
            self.channel.as_ref().map(ChannelState::whole),
            self.close_allowance.as_ref().map(AllowanceState::words),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}
