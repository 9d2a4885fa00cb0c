//! `strongroom journal …`

pub mod checks;
pub mod export;
pub mod line;
pub mod onchain;
pub mod tail;
pub mod verify;

use clap::Subcommand;

use crate::cli::Global;
use crate::failure::Failure;

/// Read, export and verify the journal.
#[derive(Subcommand)]
pub enum Journal {
    /// The last leaves, and those to come.
    Tail(tail::Tail),
    /// Verify an export, without the daemon.
    Verify(verify::Verify),
    /// Write the whole journal to a file that anyone can verify.
    Export(export::Export),
}

impl Journal {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Tail(command) => command.run(global).await,
            Self::Verify(command) => command.run(global),
            Self::Export(command) => command.run(global).await,
        }
    }
}
