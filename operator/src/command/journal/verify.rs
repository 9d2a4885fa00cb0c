//! `strongroom journal verify`

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_audit::{AuditKey, Report, SignatureCheck, SignedHead, Trust, verify_export};

use crate::answer::Answer;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::wording::{number, time_ms};

const AFTER: &str = "\
Checks that every leaf is as recorded, none missing, none moved, and that the
audit key signed the head over exactly these. Without --key it believes the
key that the file names, and says so. It cannot see what was cut off after
the newest head you hold, nor whether the daemon wrote the truth.

  strongroom journal verify day.jsonl --key p256:02…
  strongroom journal verify day.jsonl --key p256:02… --head yesterday.head
  zstdcat day.jsonl.zst | strongroom journal verify -";

/// Verify an export, without the daemon.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Verify {
    /// The export; - for standard input.
    file: PathBuf,
    /// The audit key that init printed.
    #[arg(long, value_name = "KEY")]
    key: Option<AuditKey>,
    /// A signed head kept from an earlier export, which this journal must contain; can be given more than once.
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Verified {
    file: PathBuf,
    #[serde(flatten)]
    report: Report,
}

impl Verify {
    /// Does it.
    pub fn run(self, global: &Global) -> Result<(), Failure> {
        let heads = self.head.iter().map(|path| read_head(path)).collect::<Result<_, _>>()?;
        let trust = Trust { key: self.key, heads };
        let report = if self.file == Path::new("-") {
            verify(io::stdin().lock(), &self.file, &trust)
        } else {
            let file = File::open(&self.file).map_err(|error| Failure::file("read", &self.file, &error))?;
            verify(BufReader::with_capacity(1 << 20, file), &self.file, &trust)
        };
        Verified { report: report?, file: self.file }.give(global.json)
    }
}

fn verify(reader: impl BufRead, file: &Path, trust: &Trust) -> Result<Report, Failure> {
    verify_export(reader, trust)
        .map_err(|error| Failure::new(Exit::NotRight, format!("{}: {error}", file.display())))
}

fn read_head(path: &Path) -> Result<SignedHead, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    SignedHead::parse(&text).map_err(|error| {
        Failure::new(Exit::NotRight, format!("{}: {error}", path.display()))
            .hint("tail -n 1 EXPORT | jq -jr .signed_head takes the head from an export")
    })
}

impl Answer for Verified {
    fn words(&self) -> String {
        let Report { origin, from, size, head, signed_at, signature, tally, .. } = &self.report;
        let signed = match signature {
            SignatureCheck::Verified => "by the key given",
            SignatureCheck::SelfNamedKey => {
                "by the key that the file itself names: give the one noted at init by --key to prove more"
            }
        };
        let mut text = format!(
            "{} leaves of {origin} verified\n  signed    {} {signed}\n  head      {head}\n  decisions {} approved, {} repeated, {} refused, {} more in aggregates",
            number(size - from),
            time_ms(*signed_at),
            number(tally.approved),
            number(tally.repeated),
            number(tally.refused),
            number(tally.aggregated),
        );
        if let (Some(first), Some(last)) = (tally.first_time, tally.last_time) {
            text += &format!("\n  time      {} to {}", time_ms(first), time_ms(last));
        }
        if *from > 0 {
            text += &format!("\n  note      begins at leaf {from}; what was before was not checked");
        }
        if tally.clock_set_back > 0 {
            text += &format!("\n  note      the clock was set back {} times", number(tally.clock_set_back));
        }
        if self.report.known_heads > 0 {
            text += &format!(
                "\n  heads     {} kept from earlier, all contained",
                number(self.report.known_heads)
            );
        }
        if self.report.unchecked_heads > 0 {
            text += &format!(
                "\n  note      {} heads before leaf {from} could not be checked",
                self.report.unchecked_heads
            );
        }
        text
    }
}
