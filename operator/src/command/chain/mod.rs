//! `strongroom chain …`

pub mod accept;
pub mod state;

use clap::Subcommand;

use crate::cli::Global;
use crate::failure::Failure;

/// Decide about the chain that is followed.
#[derive(Subcommand)]
pub enum Chain {
    /// Follow the chain from a block that other sources confirm, after a contradiction.
    Accept(accept::Accept),
}

impl Chain {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Accept(command) => command.run(global).await,
        }
    }
}
