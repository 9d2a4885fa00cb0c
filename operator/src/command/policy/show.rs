//! `strongroom policy show`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::PolicyShowRequest;

use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;

/// The policy in force.
#[derive(Args)]
pub struct Show {}

#[derive(Serialize)]
struct InForce {
    digest: String,
    observed_rules: Vec<String>,
    toml: String,
}

impl Show {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let answer = connect(&global.socket).await?.policy_show(PolicyShowRequest {}).await?.into_inner();
        let (digest, observed_rules, toml) = (answer.digest, answer.observed_rules, answer.toml);
        InForce { digest, observed_rules, toml }.give(global.json)
    }
}

impl Answer for InForce {
    /// The file itself, so that it can be kept and compared.
    fn words(&self) -> String {
        self.toml.trim_end().to_owned()
    }
}
