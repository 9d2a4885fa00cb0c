//! Fault injection for the crash suite: with the feature `fault-injection`, the process kills itself at a named step.
//!
//! Without the feature, as every release is built, [`point`] is nothing.

/// A step at which the crash suite may kill the process.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub fn point(_name: &'static str) {}

/// A step at which the crash suite may kill the process: `STRONGROOM_CRASH_AT=decided:17` kills at the 17th passage.
#[cfg(feature = "fault-injection")]
pub fn point(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WHERE: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let target = WHERE.get_or_init(|| {
        let text = std::env::var("STRONGROOM_CRASH_AT").ok()?;
        let (step, count) = text.split_once(':')?;
        Some((step.to_owned(), count.parse().ok()?))
    });
    if let Some((step, count)) = target
        && step == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *count
    {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
