//! `strongroom macaroon mint`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use strongroom_policy::{ClientName, NodeName, Profile};
use strongroom_proto::strongroom::v1::MacaroonMintRequest;

use super::life::expires_in;
use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::new_file::{self, Readers};
use crate::wording::plain;

const AFTER: &str = "\
The policy says what a client may; a macaroon only says who asks.

  strongroom macaroon mint alice --out signer.macaroon
  strongroom macaroon mint alice --out signer.macaroon \\
      --expires-in 90d --address 10.0.0.7";

/// Make a macaroon for a node.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Mint {
    /// Name of the node whose keys it opens.
    node: NodeName,
    /// File to write it to, readable by you only.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Client it authenticates; the policy says what a client may.
    #[arg(long, value_name = "NAME", default_value = Profile::CLIENT)]
    client: ClientName,
    /// Let it expire, as 90d or 12h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
    /// Make it good for requests from this IP address only.
    #[arg(long, value_name = "IP")]
    address: Option<std::net::IpAddr>,
}

#[derive(Serialize)]
struct Minted {
    id: String,
    node: String,
    client: String,
    file: PathBuf,
}

impl Mint {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut daemon = connect(&global.socket).await?;
        new_file::must_be_free(&self.out)?;
        let request = MacaroonMintRequest {
            node: self.node.to_string(),
            client: self.client.to_string(),
            expires_in: expires_in(self.expires_in)?,
            address: self.address.map_or_else(String::new, |ip| ip.to_string()),
        };
        let answer = daemon.macaroon_mint(request).await?.into_inner();
        new_file::write(&self.out, Readers::Owner, &answer.macaroon).map_err(|failure| {
            failure.hint(format!("it was made: strongroom macaroon revoke {}", answer.id))
        })?;
        let (node, client) = (self.node.to_string(), self.client.to_string());
        Minted { id: answer.id, node, client, file: self.out }.give(global.json)
    }
}

impl Answer for Minted {
    fn words(&self) -> String {
        let file = self.file.display();
        format!(
            "macaroon {} for client {} of node {} written to {file}",
            plain(&self.id),
            self.client,
            self.node
        )
    }
}
