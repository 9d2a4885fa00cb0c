//! `strongroom chain accept`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::ChainAcceptRequest;

use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::wording::plain;

const AFTER: &str = "\
A chain that changes more than six blocks deep is not followed by itself, also
not after a restart. Take the hash from elsewhere than this bitcoind. It must be
on bitcoind's best chain; everything is looked up anew from there.

  strongroom status
  strongroom chain accept HASH";

/// Follow the chain from a block that other sources confirm, after a contradiction.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Accept {
    /// The block's hash.
    hash: String,
}

#[derive(Serialize)]
struct Accepted {
    block: String,
}

impl Accept {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = ChainAcceptRequest { block: self.hash.clone() };
        connect(&global.socket).await?.chain_accept(request).await?;
        Accepted { block: self.hash }.give(global.json)
    }
}

impl Answer for Accepted {
    fn words(&self) -> String {
        format!("the chain is followed from block {}; strongroom status says how far", plain(&self.block))
    }
}
