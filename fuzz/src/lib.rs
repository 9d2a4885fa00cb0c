//! What the fuzz targets share: libFuzzer's two entry points, the recorded day that their inputs grow from, and a node
//! that is asked as lnd asks it.
//!
//! Each target is a file of `fuzz_targets`: what an input is, the seeds, and what must hold of any input. An input
//! "fails" by a panic, and the checks of the targets are assertions. `./test fuzz` runs all targets; a failed input is
//! kept, run again by `target/release/fuzz-NAME FILE`, and goes to `regressions/NAME` with what mends it.

pub mod day;
pub mod node;
pub mod pieces;

use std::ffi::{OsString, c_int};
use std::path::PathBuf;

/// Names the folder that a target writes its seeds to, and then ends.
const SEEDS: &str = "STRONGROOM_FUZZ_SEEDS";

/// Makes a program of a target: its seeds, and what is done with one input.
#[macro_export]
macro_rules! target {
    ($seeds:expr, $run:expr) => {
        #[unsafe(no_mangle)]
        extern "C" fn LLVMFuzzerInitialize(
            _count: *mut ::std::ffi::c_int,
            _arguments: *mut *mut *mut ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            $crate::begin($seeds)
        }

        #[unsafe(no_mangle)]
        extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> ::std::ffi::c_int {
            // SAFETY: libFuzzer owns `size` bytes at `data` until this returns.
            let input = if size == 0 { &[] } else { unsafe { ::std::slice::from_raw_parts(data, size) } };
            $run(input);
            0
        }
    };
}

/// Writes the seeds and ends, if that is what is asked. From here on every panic ends the program, and so counts as a
/// failure, also where the code under test would catch it.
pub fn begin<I: IntoIterator<Item = Vec<u8>>>(seeds: impl FnOnce() -> I) -> c_int {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
    if let Some(folder) = std::env::var_os(SEEDS) {
        write(folder, seeds().into_iter()).expect("the seeds can be written");
        std::process::exit(0);
    }
    0
}

fn write(folder: OsString, seeds: impl Iterator<Item = Vec<u8>>) -> std::io::Result<()> {
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    for (number, seed) in seeds.enumerate() {
        std::fs::write(folder.join(format!("seed-{number:04}")), seed)?;
    }
    Ok(())
}
