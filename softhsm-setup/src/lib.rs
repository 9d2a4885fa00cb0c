//! A development token in one step: a SoftHSM configuration, a token with a label, its PINs.
//!
//! SoftHSM learns its configuration from `SOFTHSM2_CONF` when it is first loaded, so a token is
//! made in a process that starts with it: [`create`] runs the `softhsm-setup` binary for callers
//! that do not. SoftHSM keeps keys in files. It is for development and tests only.

mod dev_token;
mod layout;
mod module_path;
mod repair;

pub use dev_token::{DevToken, create, create_here, program};
pub use layout::Layout;
pub use module_path::find_module;
pub use repair::repair;

use std::path::PathBuf;

/// Why no development token could be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// SoftHSM is not installed.
    #[error(
        "SoftHSM is missing: libsofthsm2.so is in none of {0}; install it with: apt-get install softhsm2 (or name it with --module)"
    )]
    NoSoftHsm(String),
    /// The module that was named is not there.
    #[error("module {0} is not there")]
    NoModule(PathBuf),
    /// Something is there already.
    #[error("{0} is there already: a token is never made over another; choose an empty directory")]
    Occupied(PathBuf),
    /// A path that SoftHSM's configuration cannot hold.
    #[error("directory {0:?} cannot be written in softhsm2.conf: it must be UTF-8 on one line")]
    Directory(PathBuf),
    /// The process was not started with the configuration.
    #[error("SOFTHSM2_CONF must be {0} from this process's start on")]
    Environment(PathBuf),
    /// The `softhsm-setup` binary is not beside the caller.
    #[error("{0} is missing: build it with: cargo build -p softhsm-setup")]
    NoProgram(PathBuf),
    /// The `softhsm-setup` binary failed.
    #[error("{program} failed: {reason}")]
    Program {
        /// What was run.
        program: PathBuf,
        /// What it said.
        reason: String,
    },
    /// A file or directory.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No randomness for the PINs.
    #[error("the system gives no random numbers for the PINs: {0}")]
    Random(getrandom::Error),
    /// A PIN could not be read.
    #[error(transparent)]
    Pin(#[from] strongroom_hsm::PinError),
    /// SoftHSM refused.
    #[error(transparent)]
    Hsm(#[from] strongroom_hsm::HsmError),
}

/// Names the file in an I/O error.
fn at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> SetupError {
    let path = path.to_owned();
    move |source| SetupError::Io { path, source }
}
