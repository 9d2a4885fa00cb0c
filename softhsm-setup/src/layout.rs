//! The files of one development token.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::{SetupError, at};

/// The directory of one development token: `softhsm2.conf`, `tokens/`, `pin`, `so-pin`, and
/// `backup/`, which [`repair`](crate::repair) restores from.
#[derive(Clone, Debug)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// The layout in `dir`, which need not exist yet.
    ///
    /// # Errors
    /// [`SetupError::Directory`] for a path that softhsm2.conf cannot hold.
    pub fn new(dir: &Path) -> Result<Self, SetupError> {
        let dir = std::path::absolute(dir).map_err(at(dir))?;
        match dir.to_str() {
            Some(text) if !text.contains(['\n', '\r']) && text.trim() == text => Ok(Self { dir }),
            _ => Err(SetupError::Directory(dir)),
        }
    }

    /// SoftHSM's configuration, the value for `SOFTHSM2_CONF`.
    pub fn conf(&self) -> PathBuf {
        self.dir.join("softhsm2.conf")
    }

    /// The token's user PIN, when it was generated.
    pub fn pin(&self) -> PathBuf {
        self.dir.join("pin")
    }

    /// The security officer's PIN, when it was generated.
    pub fn so_pin(&self) -> PathBuf {
        self.dir.join("so-pin")
    }

    pub(crate) fn tokens(&self) -> PathBuf {
        self.dir.join("tokens")
    }

    pub(crate) fn backup(&self) -> PathBuf {
        self.dir.join("backup")
    }

    /// Makes the directories (0700) and softhsm2.conf (0600).
    ///
    /// # Errors
    /// [`SetupError::Occupied`] if a configuration or token is there already.
    pub fn prepare(&self) -> Result<(), SetupError> {
        for taken in [self.conf(), self.tokens(), self.pin(), self.so_pin()] {
            if taken.symlink_metadata().is_ok() {
                return Err(SetupError::Occupied(taken));
            }
        }
        for dir in [&self.dir, &self.tokens(), &self.backup()] {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        }
        let text = format!(
            "# A development token. Keys lie in files here: never use it in production.\n\
             directories.tokendir = {}\n\
             objectstore.backend = file\n\
             log.level = ERROR\n\
             slots.removable = false\n",
            self.tokens().display()
        );
        write_new(&self.conf(), text.as_bytes())
    }
}

/// Writes a file that must not exist yet, readable by its owner alone.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), SetupError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all())).map_err(at(path))
}
