//! `strongroom journal tail`

use clap::Args;
use strongroom_audit::{Checks, Leaf};
use strongroom_proto::strongroom::v1::JournalTailRequest;
use tokio_stream::StreamExt;

use super::checks::{Lists, lines};
use super::line::line;
use crate::answer::say;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::{Exit, Failure};
use crate::wording::{json_line, plain};

const AFTER: &str = "\
With --json each line is a leaf. With --checks each decision is followed by the
rules that it stands on: enforced, partly (POLICY.md says how far), observed,
idle (the policy leaves nothing to refuse), held by ours in place of VLS's, and
not enforceable at its tier; with --json they are in the field checks.

  strongroom journal tail
  strongroom journal tail --follow --last 0
  strongroom journal tail --last 1 --checks
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
    /// Say of each decision which rules it stands on.
    #[arg(long)]
    checks: bool,
}

impl Tail {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = JournalTailRequest { last: self.last, follow: self.follow };
        let mut daemon = connect(&global.socket).await?;
        let mut leaves = daemon.journal_tail(request).await?.into_inner();
        let mut lists = Lists::new(daemon);
        while let Some(leaf) = leaves.next().await {
            let json = leaf?.json;
            let read = Leaf::parse(json.as_bytes());
            let checks = match &read {
                Ok(leaf) if self.checks => lists.of(leaf).await?,
                _ => None,
            };
            if global.json {
                say(&json_line(&with_checks(json, checks.as_ref())?))?;
                continue;
            }
            match read {
                Ok(leaf) => say(&(line(&leaf) + &checks.as_ref().map_or_else(String::new, lines)))?,
                // Of a newer daemon: better shown raw than not at all.
                Err(_) => say(&plain(&json))?,
            }
        }
        Ok(())
    }
}

/// The leaf with a field more, last.
fn with_checks(json: String, checks: Option<&Checks>) -> Result<String, Failure> {
    let (Some(checks), Some(open)) = (checks, json.strip_suffix('}')) else { return Ok(json) };
    let checks = serde_json::to_string(checks)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write JSON: {error}")))?;
    Ok(format!("{open},\"checks\":{checks}}}"))
}
