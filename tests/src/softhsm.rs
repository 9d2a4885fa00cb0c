//! A SoftHSM token of its own, made by the workspace's `softhsm-setup`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::peers::own_binary;

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
}
