//! The built companion beside an lnd.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::clock::until_true;
use crate::lnd::{Lnd, SignerEndpoint};
use crate::peers::own_binary;
use crate::process::Process;
use crate::rest::Rest;
use crate::strongroomd::Strongroomd;

/// A running companion.
pub struct Companion {
    process: Process,
    dir: PathBuf,
    starts: u32,
}

/// The only right that lnd's macaroon for it has.
const RIGHT: &str = "/lnrpc.Lightning/RegisterRPCMiddleware";

/// What it logs of its own beside the usual: how long each forward was held.
const LOG: (&str, &str) = ("STRONGROOM_LOG", "info,strongroom_companion::forwards=debug");

/// The right that holding forwards takes besides.
const FORWARDS: &str = "/routerrpc.Router/HtlcInterceptor";

impl Companion {
    /// Starts it in `dir` beside `lnd`, with macaroons made for it alone, and waits until it is registered.
    pub fn start(dir: &Path, lnd: &Lnd, signer: &Strongroomd, when_unreachable: &str) -> Result<Self> {
        Self::start_with(dir, lnd, signer, when_unreachable, false)
    }

    /// The same; with `forwards` it is lnd's interceptor too, and waits until lnd was asked for that.
    pub fn start_with(
        dir: &Path,
        lnd: &Lnd,
        signer: &Strongroomd,
        when_unreachable: &str,
        forwards: bool,
    ) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let rights = [RIGHT].into_iter().chain(forwards.then_some(FORWARDS));
        let rights: Vec<_> = rights.map(|uri| json!({"entity": "uri", "action": uri})).collect();
        let body = json!({"permissions": rights});
        let baked = lnd.rest().post("/v1/macaroon", &body)?;
        let baked = baked["macaroon"].as_str().context("lnd baked no macaroon")?;
        std::fs::write(dir.join("lnd.macaroon"), hex::decode(baked)?)?;
        std::fs::write(dir.join("signer.macaroon"), hex::decode(signer.macaroon("companion")?)?)?;
        Self::configure(dir, &lnd.as_signer(), &signer.endpoint(), when_unreachable, forwards)?;
        let mut companion = Self { process: launch(dir, 0)?, dir: dir.to_path_buf(), starts: 0 };
        companion.wait_registered()?;
        if forwards {
            until_true(10, "lnd was asked for its forwards", || {
                Ok(companion.log()?.contains("asking lnd for its forwards"))
            })?;
            // lnd answers with the first forward only.
            std::thread::sleep(Duration::from_secs(1));
        }
        Ok(companion)
    }

    fn configure(
        dir: &Path,
        lnd: &SignerEndpoint,
        signer: &SignerEndpoint,
        unreachable: &str,
        forwards: bool,
    ) -> Result<()> {
        let table = |name: &str, door: &SignerEndpoint| {
            format!(
                "[{name}]\naddress = \"{}\"\ntls_cert = \"{}\"\nmacaroon = \"{}\"\n",
                door.address,
                door.tls_cert.display(),
                dir.join(format!("{name}.macaroon")).display()
            )
        };
        // Left out where it is off: that is its default.
        let forwards = if forwards { "intercept_forwards = true\n" } else { "" };
        let (lnd, signer) = (table("lnd", lnd), table("signer", signer));
        let text = format!("{lnd}{forwards}{signer}when_unreachable = \"{unreachable}\"\n");
        Ok(std::fs::write(dir.join("companion.toml"), text)?)
    }

    /// Starts one that has ended again, over the same configuration but for what it does without a signer.
    pub fn start_again(&mut self, when_unreachable: &str) -> Result<()> {
        let file = self.dir.join("companion.toml");
        let text = std::fs::read_to_string(&file)?;
        let (before, _) = text.split_once("when_unreachable").context("no when_unreachable")?;
        std::fs::write(&file, format!("{before}when_unreachable = \"{when_unreachable}\"\n"))?;
        self.starts += 1;
        self.process = launch(&self.dir, self.starts)?;
        self.wait_registered()
    }

    /// Waits until lnd has taken its registration once more than `before` times.
    pub fn wait_registered_after(&mut self, before: usize) -> Result<()> {
        let process = &mut self.process;
        until_true(30, "the companion registered with lnd", || {
            process.check_alive()?;
            Ok(count(process)? > before)
        })
    }

    fn wait_registered(&mut self) -> Result<()> {
        self.wait_registered_after(0)
    }

    /// How often lnd has taken its registration since it was started.
    pub fn registrations(&self) -> Result<usize> {
        count(&self.process)
    }

    /// What it has logged since it was started.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.process.log())?)
    }

    /// lnd, as the companion's macaroon opens it.
    pub fn lnd_as_it(&self, lnd: &Lnd) -> Result<Rest> {
        let macaroon = hex::encode(std::fs::read(self.dir.join("lnd.macaroon"))?);
        let header = ("Grpc-Metadata-macaroon".to_owned(), macaroon);
        Ok(Rest::new(lnd.rest().base().to_owned(), Some(header)))
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.join("companion.toml")
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn count(process: &Process) -> Result<usize> {
    Ok(std::fs::read_to_string(process.log())?.matches(": registered with lnd").count())
}

fn launch(dir: &Path, start: u32) -> Result<Process> {
    let args = ["--config".to_owned(), dir.join("companion.toml").display().to_string()];
    let log = dir.join(format!("companion-{start}.log"));
    Process::start(
        "strongroom-companion",
        &own_binary("strongroom-companion")?,
        &args,
        &[(LOG.0, Path::new(LOG.1))],
        log,
    )
}
