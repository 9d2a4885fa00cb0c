//! `strongroom macaroon list`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::{MacaroonInfo, MacaroonListRequest};

use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::wording::{plain, time};

/// Every macaroon made, without the macaroons themselves.
#[derive(Args)]
pub struct List {}

#[derive(Serialize)]
struct Macaroons {
    macaroons: Vec<Macaroon>,
}

#[derive(Serialize)]
struct Macaroon {
    id: String,
    node: String,
    client: String,
    /// Unix seconds; 0 for never.
    expires: u64,
    /// Empty for any.
    address: String,
    revoked: bool,
}

impl List {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let answer = connect(&global.socket).await?.macaroon_list(MacaroonListRequest {}).await?.into_inner();
        Macaroons { macaroons: answer.macaroons.into_iter().map(Macaroon::from).collect() }.give(global.json)
    }
}

impl From<MacaroonInfo> for Macaroon {
    fn from(info: MacaroonInfo) -> Self {
        let MacaroonInfo { id, node, client, expires, address, revoked } = info;
        Self { id, node, client, expires, address, revoked }
    }
}

impl Answer for Macaroons {
    fn words(&self) -> String {
        if self.macaroons.is_empty() {
            return "no macaroons".to_owned();
        }
        let line = |m: &Macaroon| {
            let expires = if m.expires == 0 {
                "never expires".to_owned()
            } else {
                format!("expires {}", time(m.expires))
            };
            let address = if m.address.is_empty() {
                "from anywhere".to_owned()
            } else {
                format!("from {}", plain(&m.address))
            };
            let revoked = if m.revoked { ", revoked" } else { "" };
            format!(
                "{}  {} as {}, {expires}, {address}{revoked}",
                plain(&m.id),
                plain(&m.node),
                plain(&m.client)
            )
        };
        self.macaroons.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}
