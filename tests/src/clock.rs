//! Waiting: by polling for readiness with a deadline, never by a fixed sleep.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Polls `probe` until it answers `Some`, at most `seconds`.
///
/// An error from `probe` counts as "not yet"; the last one is told when the deadline passes.
pub fn until<T>(seconds: u64, what: &str, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut pause = Duration::from_millis(10);
    loop {
        let last = match probe() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= deadline {
            return match last {
                Some(error) => Err(error).with_context(|| format!("{what}: not within {seconds} s")),
                None => bail!("{what}: not within {seconds} s"),
            };
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// [`until`] for a yes-or-no probe.
pub fn until_true(seconds: u64, what: &str, mut probe: impl FnMut() -> Result<bool>) -> Result<()> {
    until(seconds, what, || Ok(probe()?.then_some(())))
}
