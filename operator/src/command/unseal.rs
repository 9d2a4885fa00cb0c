//! `strongroom unseal`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::UnsealRequest;

use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::secret;
use crate::wording::list;

const AFTER: &str = "\
A refused PIN is never tried again by itself: many tokens lock after a few
wrong ones.

  strongroom unseal
  strongroom unseal --pin-fd 3 3< /run/credentials/pin";

/// Open the token and every node's seed.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Unseal {
    /// Read the PIN from this file descriptor instead of asking.
    #[arg(long, value_name = "N")]
    pin_fd: Option<u32>,
}

#[derive(Serialize)]
struct Unsealed {
    nodes: Vec<String>,
}

impl Unseal {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut daemon = connect(&global.socket).await?;
        let mut pin = secret::read_some("PIN", self.pin_fd, "--pin-fd")?;
        let request = UnsealRequest { pin: std::mem::take(&mut *pin) };
        let answer = daemon.unseal(request).await?.into_inner();
        Unsealed { nodes: answer.nodes }.give(global.json)
    }
}

impl Answer for Unsealed {
    fn words(&self) -> String {
        format!("open; nodes that can sign: {}", list(&self.nodes))
    }
}
