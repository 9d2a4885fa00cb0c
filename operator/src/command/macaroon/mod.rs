//! `strongroom macaroon …`

pub mod life;
pub mod list;
pub mod mint;
pub mod revoke;

use clap::Subcommand;

use crate::cli::Global;
use crate::failure::Failure;

/// Mint, list and revoke macaroons.
#[derive(Subcommand)]
pub enum Macaroon {
    /// Make a macaroon for a node.
    Mint(mint::Mint),
    /// Every macaroon made, without the macaroons themselves.
    List(list::List),
    /// Refuse a macaroon from now on.
    Revoke(revoke::Revoke),
}

impl Macaroon {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Mint(command) => command.run(global).await,
            Self::List(command) => command.run(global).await,
            Self::Revoke(command) => command.run(global).await,
        }
    }
}
