//! Where the real peers' programs are.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The checkout's root.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in a folder of the checkout")
        .to_path_buf()
}

/// The folder that `tests/peers/install` fills.
pub fn peers_dir() -> PathBuf {
    std::env::var_os("STRONGROOM_PEERS").map_or_else(|| checkout().join(".peers"), PathBuf::from)
}

/// The program `name` as `tests/peers/install` left it in `$STRONGROOM_PEERS/bin`.
///
/// With `STRONGROOM_LND` set, `lnd` and `lncli` are those of that folder. Errors name the missing program and how to get it.
pub fn program(name: &str) -> Result<PathBuf> {
    if let (Some(dir), "lnd" | "lncli") = (std::env::var_os("STRONGROOM_LND"), name) {
        let path = PathBuf::from(dir).join(name);
        if !path.exists() {
            bail!("{name}: missing at {}, which STRONGROOM_LND names", path.display());
        }
        return Ok(path);
    }
    let path = peers_dir().join("bin").join(name);
    if !path.exists() {
        bail!("{name}: missing at {}; run tests/peers/install", path.display());
    }
    Ok(path)
}

/// A binary of this workspace, built by `cargo build --release` (the `test` script does).
pub fn own_binary(name: &str) -> Result<PathBuf> {
    let dir = std::env::var_os("STRONGROOM_BIN").map_or_else(
        || {
            std::env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| checkout().join("target"), PathBuf::from)
                .join("release")
        },
        PathBuf::from,
    );
    let path = dir.join(name);
    if !path.exists() {
        bail!("{name}: missing at {}; run cargo build --release --bins", path.display());
    }
    Ok(path)
}
