//! `strongroom node export`

use std::path::PathBuf;

use clap::Args;
use strongroom_proto::strongroom::v1::NodeExportRequest;

use super::files::Folder;
use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;

/// Write what lnd needs once more, without a macaroon.
#[derive(Args)]
#[command(after_long_help = "  strongroom node export alice --out ./alice-again")]
pub struct Export {
    /// Name of the node.
    name: String,
    /// Folder for accounts.json and tls.cert; made if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Export {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut daemon = connect(&global.socket).await?;
        let folder = Folder::prepare(&self.out)?;
        let export = daemon.node_export_again(NodeExportRequest { name: self.name }).await?.into_inner();
        folder.write(export)?.give(global.json)
    }
}
