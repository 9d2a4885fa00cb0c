//! `strongroom policy …`

pub mod check;
pub mod init;
pub mod show;

use clap::Subcommand;
use sha2::{Digest, Sha256};

use crate::cli::Global;
use crate::failure::Failure;

/// Write, check and show policies.
#[derive(Subcommand)]
pub enum Policy {
    /// Write a complete policy file from a profile.
    Init(init::Init),
    /// Check a policy file, without the daemon.
    Check(check::Check),
    /// The policy in force.
    Show(show::Show),
}

impl Policy {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Init(command) => command.run(global),
            Self::Check(command) => command.run(global),
            Self::Show(command) => command.run(global).await,
        }
    }
}

/// The digest by which status and journal name a policy.
fn digest(policy: &strongroom_policy::Policy) -> String {
    hex::encode(Sha256::digest(policy.digest_input()))
}
