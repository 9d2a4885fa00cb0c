//! `strongroom channel …`

pub mod show;
pub mod state;

use clap::Subcommand;

use crate::cli::Global;
use crate::failure::Failure;

/// Look at one channel.
#[derive(Subcommand)]
pub enum Channel {
    /// Everything the books have of one channel.
    Show(show::Show),
}

impl Channel {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Show(command) => command.run(global).await,
        }
    }
}
