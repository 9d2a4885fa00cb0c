//! Makes the token.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use strongroom_hsm::{Pin, PinSource, provision_token};
use zeroize::Zeroizing;

use crate::layout::{Layout, write_new};
use crate::module_path::find_module;
use crate::{SetupError, repair};

/// A development token, ready for use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevToken {
    /// The PKCS#11 URI that names it.
    pub uri: String,
    /// What `SOFTHSM2_CONF` must be in every process that uses it.
    pub conf: PathBuf,
    /// The file (0600) that holds the user PIN; none if the PIN was given.
    pub pin_file: Option<PathBuf>,
    /// The file (0600) that holds the security officer's PIN; none if the PIN was given.
    pub so_pin_file: Option<PathBuf>,
}

/// Makes a token in `dir`, its PINs generated into files, by running the `softhsm-setup` binary
/// that lies beside the running program (`target/release/`, also seen from `target/release/deps/`).
///
/// # Errors
/// [`SetupError::NoProgram`] if it was not built, [`SetupError::Program`] with what it said.
pub fn create(dir: &Path, label: &str) -> Result<DevToken, SetupError> {
    let program = program()?;
    let failed = |reason: String| SetupError::Program { program: program.clone(), reason };
    let output = Command::new(&program)
        .args([dir.as_os_str(), "--json".as_ref(), "--label".as_ref(), label.as_ref()])
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

/// The `softhsm-setup` binary beside the running program.
///
/// # Errors
/// [`SetupError::NoProgram`].
pub fn program() -> Result<PathBuf, SetupError> {
    let running = std::env::current_exe().unwrap_or_default();
    let mut beside = running.ancestors().skip(1).take(2).map(|dir| dir.join("softhsm-setup"));
    let expected = || SetupError::NoProgram(running.with_file_name("softhsm-setup"));
    beside.find(|path| path.is_file()).ok_or_else(expected)
}

/// Makes a token in a directory that [`Layout::prepare`] has made, in a process whose
/// `SOFTHSM2_CONF` names its configuration. PINs without a source are generated.
///
/// # Errors
/// [`SetupError::Environment`] without that variable, else whatever went wrong.
pub fn create_here(
    layout: &Layout,
    label: &str,
    module: Option<&Path>,
    pin: Option<&PinSource>,
    so_pin: Option<&PinSource>,
) -> Result<DevToken, SetupError> {
    let conf = layout.conf();
    if std::env::var_os("SOFTHSM2_CONF").is_none_or(|set| set != conf) {
        return Err(SetupError::Environment(conf));
    }
    let module = find_module(module)?;
    let (pin, pin_file) = read_or_generate(pin, layout.pin())?;
    let (so_pin, so_pin_file) = read_or_generate(so_pin, layout.so_pin())?;
    let uri = provision_token(&module, label, &so_pin, &pin)?;
    repair::back_up(layout)?;
    Ok(DevToken { uri: uri.to_string(), conf, pin_file, so_pin_file })
}

fn read_or_generate(source: Option<&PinSource>, file: PathBuf) -> Result<(Pin, Option<PathBuf>), SetupError> {
    if let Some(source) = source {
        return Ok((source.read()?, None));
    }
    let mut random = Zeroizing::new([0; 16]);
    getrandom::fill(&mut *random).map_err(SetupError::Random)?;
    // 32 hexadecimal digits, room for them from the start so that no copy is left behind.
    let mut pin = Zeroizing::new(Vec::with_capacity(33));
    for byte in random.iter() {
        pin.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
    pin.push(b'\n');
    write_new(&file, &pin)?;
    Ok((Pin::new(pin.to_vec())?, Some(file)))
}
