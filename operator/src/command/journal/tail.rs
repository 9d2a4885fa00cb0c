//! `strongroom journal tail`

use clap::Args;
use strongroom_audit::Leaf;
use strongroom_proto::strongroom::v1::JournalTailRequest;
use tokio_stream::StreamExt;

use super::line::line;
use crate::answer::say;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::wording::{json_line, plain};

const AFTER: &str = "\
With --json each line is a leaf.

  strongroom journal tail
  strongroom journal tail --follow --last 0
  strongroom journal tail --last 1000 --json |
      jq 'select(.event.decision.verdict.refused)'";

/// The last leaves, and those to come.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Tail {
    /// How many of the last leaves to begin with.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    last: u32,
    /// Go on with leaves as they are recorded.
    #[arg(long, short)]
    follow: bool,
}

impl Tail {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = JournalTailRequest { last: self.last, follow: self.follow };
        let mut leaves = connect(&global.socket).await?.journal_tail(request).await?.into_inner();
        while let Some(leaf) = leaves.next().await {
            let json = leaf?.json;
            if global.json {
                say(&json_line(&json))?;
                continue;
            }
            match Leaf::parse(json.as_bytes()) {
                Ok(leaf) => say(&line(&leaf))?,
                // Of a newer daemon: better shown raw than not at all.
                Err(_) => say(&plain(&json))?,
            }
        }
        Ok(())
    }
}
