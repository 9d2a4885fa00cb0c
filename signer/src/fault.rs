//! Steps of the line at which the crash suite ends the process: `signer/tests/dying.rs` is a daemon that does so.
//!
//! The daemon that ships sets no hook, so [`point`] does nothing in it.

use std::sync::OnceLock;

static HOOK: OnceLock<fn(&'static str)> = OnceLock::new();

/// A named step.
pub fn point(name: &'static str) {
    if let Some(hook) = HOOK.get() {
        hook(name);
    }
}

/// From now on `hook` is called at every step; only the first call counts.
pub fn at_every_point(hook: fn(&'static str)) {
    let _ = HOOK.set(hook);
}
