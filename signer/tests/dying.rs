//! The daemon for the crash suite, which starts it: it kills itself at a named step of the line.
//! `STRONGROOM_CRASH_AT=decided:17` kills at the 17th passage.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

fn die(name: &'static str) {
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
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let Some(config) = args.iter().position(|arg| arg == "--config").and_then(|at| args.get(at + 1)) else {
        // As a test target it is run without arguments too, and has nothing to say then.
        return;
    };
    strongroom_signer::fault::at_every_point(die);
    if let Err(error) = strongroom_signer::daemon::run(Path::new(config), false, false) {
        eprintln!("strongroomd: {error}");
        std::process::exit(1);
    }
}
