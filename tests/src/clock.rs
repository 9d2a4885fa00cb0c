//! Waiting: by polling for readiness with a deadline, never by a fixed sleep.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long lnd waits for its signer before it shuts down (`remotesigner.timeout`, its default): what "in time" means where an
/// honest request is answered beside others. How fast it is answered is the bench's to measure, on a machine that is idle.
pub const LND_WAITS: Duration = Duration::from_secs(5);

/// How many times longer than on an idle machine a thing may take that must come. A wait that ends well costs nothing by it.
pub(crate) const PATIENCE: u32 = 4;

/// Polls `probe` until it answers `Some`, for something that must come. `seconds` is ample on an idle machine; on a loaded
/// one it is waited for longer.
///
/// An error from `probe` counts as "not yet"; the last one is told when the deadline passes.
pub fn until<T>(seconds: u64, what: &str, probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    within(Duration::from_secs(seconds) * PATIENCE, what, probe)
}

/// [`until`] for a yes-or-no probe.
pub fn until_true(seconds: u64, what: &str, mut probe: impl FnMut() -> Result<bool>) -> Result<()> {
    until(seconds, what, || Ok(probe()?.then_some(())))
}

/// Polls `probe` until it answers `Some`, at most `limit`: for something that may well not come.
pub fn within<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(10);
    loop {
        let last = match probe() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= deadline {
            return match last {
                Some(error) => Err(error).with_context(|| format!("{what}: not within {limit:?}")),
                None => bail!("{what}: not within {limit:?}"),
            };
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// [`within`] for a yes-or-no probe.
pub fn within_true(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<bool>) -> Result<()> {
    within(limit, what, || Ok(probe()?.then_some(())))
}
