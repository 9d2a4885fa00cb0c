//! Keeps a process's memory out of core files and away from other processes of its user.

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
};

/// The process could not be hardened: hold no secrets in it.
#[derive(Debug, thiserror::Error)]
pub enum HardenError {
    /// RLIMIT_CORE could not be set to 0.
    #[error("core files cannot be switched off (RLIMIT_CORE): {0}")]
    CoreLimit(Errno),
    /// The process could not be made undumpable.
    #[error("the process cannot be made undumpable (PR_SET_DUMPABLE): {0}")]
    Dumpable(Errno),
    /// The system accepted a setting and does not show it.
    #[error("{0} was set, but the system does not show it")]
    NotInForce(&'static str),
}

/// Switches core files off (soft and hard RLIMIT_CORE 0) and makes the process undumpable,
/// which also shuts out ptrace and `/proc/<pid>/mem` for other processes of the same user;
/// then reads both back. Call it before the first secret enters the process.
///
/// # Errors
/// [`HardenError`]: the caller should stop rather than take secrets in.
pub fn harden_process() -> Result<(), HardenError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(HardenError::CoreLimit)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(HardenError::Dumpable)?;
    let core = getrlimit(Resource::Core);
    if (core.current, core.maximum) != (Some(0), Some(0)) {
        return Err(HardenError::NotInForce("RLIMIT_CORE 0"));
    }
    if dumpable_behavior().map_err(HardenError::Dumpable)? != DumpableBehavior::NotDumpable {
        return Err(HardenError::NotInForce("PR_SET_DUMPABLE 0"));
    }
    Ok(())
}
