//! `strongroom init`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::InitRequest;

use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::secret;
use crate::wording::{number, plain};

const AFTER: &str = "\
Makes a non-extractable AES key that seals seeds and state, and the audit key
that signs the journal's heads. Prints what the token can do, tried by doing.
Note the audit key outside the appliance: journals are verified with it.

  strongroom init
  strongroom init --pin-fd 3 3< /run/credentials/pin";

/// Make the keys on the token and the journal, once per appliance.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Init {
    /// Read the PIN from this file descriptor instead of asking.
    #[arg(long, value_name = "N")]
    pin_fd: Option<u32>,
}

#[derive(Serialize)]
struct Initialised {
    audit_key: String,
    capabilities: Vec<Capability>,
}

#[derive(Serialize)]
struct Capability {
    name: String,
    present: bool,
    micros: u64,
    detail: String,
}

impl Init {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut daemon = connect(&global.socket).await?;
        let mut pin = secret::read_some("PIN", self.pin_fd, "--pin-fd")?;
        let request = InitRequest { pin: std::mem::take(&mut *pin) };
        let answer = daemon.init(request).await?.into_inner();
        let capability = |c: strongroom_proto::strongroom::v1::Capability| Capability {
            name: c.name,
            present: c.present,
            micros: c.micros,
            detail: c.detail,
        };
        let capabilities = answer.capabilities.into_iter().map(capability).collect();
        Initialised { audit_key: answer.audit_key, capabilities }.give(global.json)
    }
}

impl Answer for Initialised {
    fn words(&self) -> String {
        let mut text = String::from("the token can do:\n");
        for Capability { name, present, micros, detail } in &self.capabilities {
            let answer = if *present { format!("{} µs", number(*micros)) } else { "no".to_owned() };
            text += format!("  {:<32} {answer:>12}  {}", plain(name), plain(detail)).trim_end();
            text.push('\n');
        }
        format!(
            "{text}\naudit key, to be noted outside this machine:\n  {}\n\nnext: strongroom node add NAME --out DIR",
            plain(&self.audit_key)
        )
    }
}
