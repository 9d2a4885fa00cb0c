//! `strongroom payments …`

pub mod authorize;
pub mod list;
pub mod state;

use clap::Subcommand;

use crate::cli::Global;
use crate::failure::Failure;

/// Authorise and list Lightning payments.
#[derive(Subcommand)]
pub enum Payments {
    /// Let a node's channels make one payment.
    Authorize(authorize::Authorize),
    /// What was authorised, and how much of it was used.
    List(list::List),
}

impl Payments {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Authorize(command) => command.run(global).await,
            Self::List(command) => command.run(global).await,
        }
    }
}
