//! `strongroom macaroon revoke`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::MacaroonRevokeRequest;

use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::wording::plain;

/// Refuse a macaroon from now on.
#[derive(Args)]
#[command(after_long_help = "  strongroom macaroon list\n  strongroom macaroon revoke ID")]
pub struct Revoke {
    /// Its id, as macaroon list shows it.
    id: String,
}

#[derive(Serialize)]
struct Revoked {
    id: String,
    revoked: bool,
}

impl Revoke {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = MacaroonRevokeRequest { id: self.id.clone() };
        connect(&global.socket).await?.macaroon_revoke(request).await?;
        Revoked { id: self.id, revoked: true }.give(global.json)
    }
}

impl Answer for Revoked {
    fn words(&self) -> String {
        format!("macaroon {} is refused from now on", plain(&self.id))
    }
}
