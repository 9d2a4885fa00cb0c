//! `strongroom policy check`

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_policy::Policy;

use crate::answer::Answer;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::wording::list;

/// Check a policy file, without the daemon.
#[derive(Args)]
#[command(after_long_help = "  strongroom policy check /etc/strongroom/policy.toml")]
pub struct Check {
    /// The file.
    file: PathBuf,
}

/// A policy that is complete and consistent.
#[derive(Serialize)]
pub struct Checked {
    file: PathBuf,
    profile: String,
    network: String,
    digest: String,
    observed_rules: Vec<String>,
}

impl Check {
    /// Does it.
    pub fn run(self, global: &Global) -> Result<(), Failure> {
        let text =
            std::fs::read_to_string(&self.file).map_err(|error| Failure::file("read", &self.file, &error))?;
        Checked::of(&self.file, &text)?.give(global.json)
    }
}

impl Checked {
    /// Checks `text`, which stands in `file`.
    pub fn of(file: &Path, text: &str) -> Result<Self, Failure> {
        let policy = Policy::from_toml(text).map_err(|error| {
            let what = format!("{}:{}: {}: {}", file.display(), error.line, error.key, error.problem);
            Failure::new(Exit::NotRight, what)
                .hint("strongroom policy init writes a complete file to compare with")
        })?;
        Ok(Self {
            file: file.to_owned(),
            profile: policy.profile().to_owned(),
            network: policy.network().to_string(),
            digest: super::digest(&policy),
            observed_rules: policy.observed_rules().iter().map(|tag| tag.0.to_owned()).collect(),
        })
    }
}

impl Answer for Checked {
    fn words(&self) -> String {
        let observed = match self.observed_rules.as_slice() {
            [] => "every rule is enforced".to_owned(),
            rules => format!("NOT ENFORCED, only observed: {}", list(rules)),
        };
        format!(
            "{} is complete: profile {}, for {}\n{observed}\ndigest {}",
            self.file.display(),
            self.profile,
            self.network,
            self.digest
        )
    }
}
