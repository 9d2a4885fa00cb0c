//! `strongroom channel show`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::ChannelsRequest;
use strongroom_proto::strongroom::v1::channels_client::ChannelsClient;

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
#[serde(transparent)]
struct Whole(ChannelState);

impl Show {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = ChannelsRequest { node: String::new(), channel: self.channel.clone() };
        let answer = ChannelsClient::new(open(&global.socket).await?).list(request).await?.into_inner();
        match answer.channels.into_iter().next() {
            Some(channel) => Whole(ChannelState::from(channel)).give(global.json),
            None => Err(Failure::new(Exit::Refused, format!("no channel {} was ever seen", self.channel))
                .hint("strongroom channels lists them")),
        }
    }
}

impl Answer for Whole {
    fn words(&self) -> String {
        self.0.whole()
    }
}
