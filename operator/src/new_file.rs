//! Files that are made, never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::failure::{Exit, Failure};

/// Who may read a new file.
#[derive(Clone, Copy)]
pub enum Readers {
    /// Its owner: it is a credential.
    Owner,
    /// Everybody, as far as the umask lets them.
    All,
}

/// Makes a file that must not exist yet.
pub fn create(path: &Path, readers: Readers) -> Result<File, Failure> {
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|error| {
        match error.kind() {
            io::ErrorKind::AlreadyExists => exists(path),
            _ => Failure::file("write", path, &error),
        }
    })
}

/// Makes a file with this content, on disk when this returns.
pub fn write(path: &Path, readers: Readers, content: &[u8]) -> Result<(), Failure> {
    let mut file = create(path, readers)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(|error| Failure::file("write", path, &error))
}

/// Makes a folder that only its owner may enter, if there is none.
pub fn folder(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::file("make the folder", path, &error))
}

/// Refuses early what [`create`] would refuse late.
pub fn must_be_free(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() { Err(exists(path)) } else { Ok(()) }
}

fn exists(path: &Path) -> Failure {
    Failure::new(Exit::Failed, format!("{} exists already", path.display()))
        .hint("nothing is overwritten: choose another place, or move it away")
}
