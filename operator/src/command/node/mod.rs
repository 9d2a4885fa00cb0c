//! `strongroom node …`

pub mod add;
pub mod export;
pub mod files;
pub mod list;
pub mod lookahead;
pub mod refused;
pub mod state;

use clap::Subcommand;

use crate::cli::Global;
use crate::failure::Failure;

/// Add and list lnd nodes, and recognise their addresses.
#[derive(Subcommand)]
pub enum Node {
    /// Add an lnd node: a new seed, or an imported one.
    Add(add::Add),
    /// The nodes, with what they did and what they may still do.
    List(list::List),
    /// Write what lnd needs once more, without a macaroon.
    Export(export::Export),
    /// Recognise a wallet's own addresses further on.
    Lookahead(lookahead::Lookahead),
}

impl Node {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Add(command) => command.run(global).await,
            Self::List(command) => command.run(global).await,
            Self::Export(command) => command.run(global).await,
            Self::Lookahead(command) => command.run(global).await,
        }
    }
}
