//! A SoftHSM token of its own, made by the workspace's `softhsm-setup`.

use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

use crate::clock::until_true;
use crate::peers::{own_binary, peers_dir};
use crate::process::spawn;

/// A development token.
#[derive(Clone, Debug, Deserialize)]
pub struct SoftHsm {
    /// PKCS#11 URI, without PIN.
    pub uri: String,
    /// Value for `SOFTHSM2_CONF`.
    pub conf: PathBuf,
    /// File with the user PIN.
    pub pin_file: PathBuf,
}

impl SoftHsm {
    /// Makes a token labelled `label` in `dir`.
    pub fn create(dir: &Path, label: &str) -> Result<Self> {
        let output = Command::new(own_binary("softhsm-setup")?)
            .arg(dir)
            .args(["--json", "--label", label])
            .output()
            .context("run softhsm-setup")?;
        if !output.status.success() {
            bail!("softhsm-setup: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).context("softhsm-setup: not the JSON expected")
    }

    /// SoftHSM's module.
    fn module(&self) -> Result<PathBuf> {
        let path = self.uri.split(['?', '&']).find_map(|part| part.strip_prefix("module-path="));
        Ok(PathBuf::from(path.context("the URI names no module")?))
    }

    /// The token's URI with another module in SoftHSM's place.
    pub fn uri_through(&self, module: Option<&Path>) -> Result<String> {
        let Some(module) = module else {
            return Ok(self.uri.clone());
        };
        let (token, query) = self.uri.split_once('?').context("the URI names no module")?;
        let rest = query.split('&').filter(|part| !part.starts_with("module-path="));
        let mut query = vec![format!("module-path={}", module.display())];
        query.extend(rest.map(str::to_owned));
        Ok(format!("{token}?{}", query.join("&")))
    }
}

/// SoftHSM in another process, behind p11-kit's socket: an HSM that can be killed.
pub struct P11KitServer {
    child: Child,
    socket: PathBuf,
}

impl P11KitServer {
    /// Serves `token` on `socket`.
    pub fn start(token: &SoftHsm, socket: &Path) -> Result<Self> {
        // Left by one that was killed.
        let _ = std::fs::remove_file(socket);
        let program = p11_kit()?.join("bin/p11-kit");
        // Should this process be killed outright, the server dies with it.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&program)
            .args(["server", "--foreground", "--name"])
            .arg(socket)
            .arg("--provider")
            .arg(token.module()?)
            .arg(token.uri.split('?').next().unwrap_or_default())
            .env("SOFTHSM2_CONF", &token.conf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // A group of its own: it serves each connection by a process of its own.
            .process_group(0);
        let child = spawn(command).with_context(|| format!("start {}", program.display()))?;
        let server = Self { child, socket: socket.to_path_buf() };
        until_true(10, "p11-kit server listens", || Ok(UnixStream::connect(&server.socket).is_ok()))?;
        Ok(server)
    }

    /// The PKCS#11 module that speaks to such a server.
    pub fn client_module() -> Result<PathBuf> {
        Ok(p11_kit()?.join("lib/pkcs11/p11-kit-client.so"))
    }

    /// What the client module's process needs in its environment.
    pub fn environment(socket: &Path) -> (String, PathBuf) {
        let address = format!("unix:path={}", socket.display());
        ("P11_KIT_SERVER_ADDRESS".to_owned(), address.into())
    }
}

impl Drop for P11KitServer {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Gone already is what we want.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn p11_kit() -> Result<PathBuf> {
    let dir = peers_dir().join("p11-kit");
    if !dir.join("complete").exists() {
        bail!("p11-kit: missing at {}; run tests/peers/p11-kit", dir.display());
    }
    Ok(dir)
}
