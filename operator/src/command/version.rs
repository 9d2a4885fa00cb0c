//! `strongroom version`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::VersionRequest;

use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::wording::plain;

/// Versions of this program and of the daemon.
#[derive(Args)]
pub struct Version {}

#[derive(Serialize)]
struct Versions {
    strongroom: &'static str,
    /// `null` when it cannot be reached.
    strongroomd: Option<String>,
}

impl Version {
    /// Does it. That the daemon cannot be reached is an answer here, not a failure.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let strongroomd = match connect(&global.socket).await {
            Ok(mut daemon) => Some(daemon.version(VersionRequest {}).await?.into_inner().version),
            Err(_) => None,
        };
        Versions { strongroom: env!("CARGO_PKG_VERSION"), strongroomd }.give(global.json)
    }
}

impl Answer for Versions {
    fn words(&self) -> String {
        let daemon = self.strongroomd.as_deref().map_or("not reachable".to_owned(), plain);
        format!("strongroom {}\nstrongroomd {daemon}", self.strongroom)
    }
}
