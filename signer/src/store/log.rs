//! The file that fjall appends batches to, held a second time, so that flushing it keeps no writer waiting: fjall holds its
//! writers' lock while it flushes, and for that long nothing could be decided.
//!
//! fjall names its files `0.jnl`, `1.jnl` … and flushes a file whole before it begins the next.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The newest of fjall's log files.
pub(super) struct Log {
    dir: PathBuf,
    newest: Mutex<(u64, Arc<File>)>,
}

impl Log {
    /// Finds the newest log file in `dir`.
    pub(super) fn find(dir: &Path) -> io::Result<Self> {
        let mut newest = None;
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".jnl")?.parse::<u64>().ok());
            newest = newest.max(number);
        }
        let number = newest.ok_or_else(|| io::Error::other("fjall's log file is not where it was"))?;
        let file = Arc::new(File::open(path(dir, number))?);
        Ok(Self { dir: dir.to_owned(), newest: Mutex::new((number, file)) })
    }

    /// Makes all that fjall has handed to the operating system by now durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        let file = {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            // What came before a newer file began was flushed then.
            loop {
                match File::open(path(&self.dir, newest.0 + 1)) {
                    Ok(next) => *newest = (newest.0 + 1, Arc::new(next)),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => break newest.1.clone(),
                    Err(e) => return Err(e),
                }
            }
        };
        file.sync_data()
    }
}

#[cfg(test)]
impl Log {
    /// The number of the file that is flushed.
    pub(super) fn newest(&self) -> u64 {
        self.newest.lock().expect("nobody panicked").0
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number}.jnl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_file_is_found_and_followed() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert!(Log::find(dir.path()).is_err(), "no file of that name");
        let write = |number| std::fs::write(path(dir.path(), number), b"x").expect("written");
        std::fs::write(dir.path().join("lock"), b"").expect("written");
        write(9);
        write(10);
        let log = Log::find(dir.path()).expect("found");
        log.sync().expect("synced");
        assert_eq!(log.newest(), 10);
        write(11);
        write(12);
        log.sync().expect("synced");
        assert_eq!(log.newest(), 12);
        // fjall deletes what it needs no more.
        std::fs::remove_file(path(dir.path(), 11)).expect("removed");
        log.sync().expect("synced");
    }
}
