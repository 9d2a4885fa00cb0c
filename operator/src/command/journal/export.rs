//! `strongroom journal export`

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::{JournalChunk, JournalExportRequest};
use tokio_stream::StreamExt;
use tonic::Streaming;

use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::{Exit, Failure};
use crate::new_file::{self, Readers};
use crate::wording::number;

const AFTER: &str = "\
One JSON value a line: a header, every leaf, and the chain's head signed by
the audit key. Keep the heads of earlier exports: verify --head finds a
rewritten past.

  strongroom journal export day.jsonl
  tail -n 1 day.jsonl | jq -jr .signed_head > day.head
  strongroom journal export - | zstd > day.jsonl.zst";

/// Write the whole journal to a file that anyone can verify.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Export {
    /// File to write, never overwritten; - for standard output.
    file: PathBuf,
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    bytes: u64,
}

impl Export {
    /// Does it. A file that could not be finished is removed.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut daemon = connect(&global.socket).await?;
        if self.file == Path::new("-") {
            let chunks = daemon.journal_export(JournalExportRequest { from: 0 }).await?.into_inner();
            copy(chunks, &mut io::stdout().lock()).await?;
            return Ok(());
        }
        let mut file = new_file::create(&self.file, Readers::All)?;
        let written = async {
            let chunks = daemon.journal_export(JournalExportRequest { from: 0 }).await?.into_inner();
            let bytes = copy(chunks, &mut file).await?;
            File::sync_all(&file).map_err(|error| Failure::file("write", &self.file, &error))?;
            Ok(bytes)
        };
        match written.await {
            Ok(bytes) => Exported { file: self.file, bytes }.give(global.json),
            Err(failure) => {
                let _ = std::fs::remove_file(&self.file);
                Err(failure)
            }
        }
    }
}

async fn copy(mut chunks: Streaming<JournalChunk>, to: &mut dyn Write) -> Result<u64, Failure> {
    let mut bytes = 0;
    while let Some(chunk) = chunks.next().await {
        let text = chunk?.text;
        to.write_all(text.as_bytes())
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot write the export: {error}")))?;
        bytes += text.len() as u64;
    }
    Ok(bytes)
}

impl Answer for Exported {
    fn words(&self) -> String {
        let file = self.file.display();
        format!(
            "{} bytes written to {file}; strongroom journal verify {file} checks them",
            number(self.bytes)
        )
    }
}
