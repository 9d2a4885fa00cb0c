//! The journal as a file that anyone can verify: a header, every leaf, the signed head.

use std::sync::Arc;

use strongroom_audit::{Chain, head_line};
use strongroom_proto::strongroom::v1::JournalChunk;
use tokio::sync::mpsc;
use tonic::Status;

use crate::appliance::Appliance;
use crate::journal::Journal;

/// Bytes of one chunk, about.
const CHUNK: usize = 64 << 10;

/// Sends the export of everything up to `upto`.
pub(super) async fn send(
    appliance: &Arc<Appliance>,
    journal: &Journal,
    upto: Chain,
    header: String,
    to: &mpsc::Sender<Result<JournalChunk, Status>>,
) -> Result<(), Status> {
    let gone = |_| Status::cancelled("the reader is gone");
    let (leaves_to, mut leaves) = mpsc::channel(1024);
    journal.read(0, false, leaves_to)?;
    let mut text = header;
    text.push('\n');
    while let Some((index, leaf)) = leaves.recv().await {
        if index >= upto.size {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&leaf));
        text.push('\n');
        if text.len() >= CHUNK {
            to.send(Ok(JournalChunk { text: std::mem::take(&mut text) })).await.map_err(gone)?;
        }
    }
    // A head names leaves for ever: none of them may be lost with the power.
    journal.flushed().await?;
    let signer = appliance.clone();
    let signed = tokio::task::spawn_blocking(move || signer.sign_head(upto))
        .await
        .map_err(|_| Status::internal("signing the head panicked"))?
        .map_err(|e| Status::failed_precondition(e.to_string()))?;
    text.push_str(&head_line(&signed));
    text.push('\n');
    to.send(Ok(JournalChunk { text })).await.map_err(gone)
}
