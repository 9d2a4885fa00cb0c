//! A scenario's own directory: removed when all went well, kept and named when it did not.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A temporary directory that survives a failure.
pub struct Workdir {
    path: PathBuf,
    keep: bool,
}

impl Workdir {
    /// Makes `<tmp>/strongroom-<name>-<random>`. With `STRONGROOM_KEEP` set it is always kept.
    pub fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("strongroom-{name}-{:08x}", rand::random::<u32>()));
        Self::at(path)
    }

    /// Uses `path`, made if missing.
    pub fn at(path: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&path).with_context(|| format!("make directory {}", path.display()))?;
        Ok(Self { path, keep: std::env::var_os("STRONGROOM_KEEP").is_some() })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the directory whatever happens.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Runs `scenario`; if it fails, keeps the directory and adds its path to the error.
    pub fn run<T>(mut self, scenario: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let path = self.path.clone();
        scenario(&path).map_err(|error| {
            self.keep();
            error.context(format!("logs are kept in {}", path.display()))
        })
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        if self.keep || std::thread::panicking() {
            eprintln!("kept: {}", self.path.display());
        } else {
            // Left-overs in a temporary directory harm nothing.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
