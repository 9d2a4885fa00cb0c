//! `strongroom channel …`

pub mod allow_close;
pub mod allowance;
pub mod show;
pub mod state;

use clap::Subcommand;

use crate::cli::Global;
use crate::failure::Failure;

/// Look at one channel, and say what its close must pay.
#[derive(Subcommand)]
pub enum Channel {
    /// Everything the books have of one channel.
    Show(show::Show),
    /// Say what a close by agreement must pay us, where the books do not know.
    AllowClose(allow_close::AllowClose),
}

impl Channel {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Show(command) => command.run(global).await,
            Self::AllowClose(command) => command.run(global).await,
        }
    }
}
