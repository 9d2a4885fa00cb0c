//! `strongroom seal`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::SealRequest;

use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;

const AFTER: &str = "\
A sealed signer refuses everything, also what protects channels: closes, HTLC
claims and penalties. Unseal soon, or stop lnd.

  strongroom seal --reason 'token moved to the new rack'";

/// Wipe every secret from the daemon's memory; requests are refused until it is unsealed.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Seal {
    /// Why, for the journal and for those who are refused.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(Serialize)]
struct Sealed {
    sealed: bool,
}

impl Seal {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        connect(&global.socket).await?.seal(SealRequest { reason: self.reason }).await?;
        Sealed { sealed: true }.give(global.json)
    }
}

impl Answer for Sealed {
    fn words(&self) -> String {
        "sealed; every request is refused until strongroom unseal".to_owned()
    }
}
