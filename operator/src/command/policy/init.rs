//! `strongroom policy init`

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_policy::{Network, Profile};

use super::check::Checked;
use crate::answer::{Answer, say};
use crate::cli::Global;
use crate::failure::Failure;
use crate::new_file::{self, Readers};

const AFTER: &str = "\
Profiles:
  cautious  everything enforced; enough for an ordinary day of lnd
  lab       the same limits, nothing enforced; on regtest and simnet only

No limit has a default: the file is complete, and strongroomd reads it as a
whole or not at all.

  strongroom policy init --profile cautious --network mainnet
  strongroom policy init --profile lab --network regtest --out -";

/// Write a complete policy file from a profile.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Init {
    /// cautious or lab.
    #[arg(long)]
    profile: Profile,
    /// mainnet, testnet, testnet4, signet, regtest or simnet.
    #[arg(long)]
    network: Network,
    /// File to write, never overwritten; - for standard output.
    #[arg(long, value_name = "FILE", default_value = "policy.toml")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Written {
    #[serde(flatten)]
    checked: Checked,
}

impl Init {
    /// Does it.
    pub fn run(self, global: &Global) -> Result<(), Failure> {
        let text = self.profile.render(self.network);
        let checked = Checked::of(&self.out, &text)?;
        if self.out == Path::new("-") {
            return say(text.trim_end());
        }
        new_file::write(&self.out, Readers::All, text.as_bytes())?;
        Written { checked }.give(global.json)
    }
}

impl Answer for Written {
    fn words(&self) -> String {
        format!("{}\nread it and set its limits before it is used", self.checked.words())
    }
}
