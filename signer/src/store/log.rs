//! The file that fjall appends batches to, held a second time, so that flushing it keeps no writer waiting: fjall holds its
//! writers' lock while it flushes, and for that long nothing could be decided.
//!
//! fjall names its files `0.jnl`, `1.jnl` … and flushes a file whole before it begins the next.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The newest of fjall's log files.
pub(super) struct Log {
    dir: PathBuf,
    newest: Mutex<Newest>,
}

struct Newest {
    number: u64,
    file: File,
    /// Why an earlier flush failed. The kernel tells of a failed write once for each open file, and may have dropped what it
    /// could not write: no later success proves anything.
    fault: Option<String>,
}

impl Log {
    /// Finds the newest log file in `dir`.
    pub(super) fn find(dir: &Path) -> io::Result<Self> {
        let (number, file) = newest(dir)?;
        Ok(Self { dir: dir.to_owned(), newest: Mutex::new(Newest { number, file, fault: None }) })
    }

    /// Makes all that fjall has handed to the operating system by now durable. One at a time, and never again after it
    /// failed.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = &newest.fault {
            return Err(io::Error::other(format!("an earlier flush failed: {fault}")));
        }
        let outcome = newest.follow(&self.dir).and_then(|()| newest.file.sync_data());
        if let Err(e) = &outcome {
            newest.fault = Some(e.to_string());
        }
        outcome
    }
}

impl Newest {
    /// Goes on to a newer file, if fjall has begun one. What came before it was flushed then.
    fn follow(&mut self, dir: &Path) -> io::Result<()> {
        if !path(dir, self.number).try_exists()? {
            // It was deleted, and with it perhaps the one that came next.
            (self.number, self.file) = newest(dir)?;
        }
        loop {
            match File::open(path(dir, self.number + 1)) {
                Ok(next) => (self.number, self.file) = (self.number + 1, next),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }
}

fn newest(dir: &Path) -> io::Result<(u64, File)> {
    let mut newest = None;
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".jnl")?.parse::<u64>().ok());
        newest = newest.max(number);
    }
    let number = newest.ok_or_else(|| io::Error::other("fjall's log file is not where it was"))?;
    Ok((number, File::open(path(dir, number))?))
}

#[cfg(test)]
impl Log {
    /// The number of the file that is flushed.
    pub(super) fn newest(&self) -> u64 {
        self.newest.lock().expect("nobody panicked").number
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
        // fjall deletes what it needs no more, the oldest first.
        for number in 9..=12 {
            std::fs::remove_file(path(dir.path(), number)).expect("removed");
        }
        write(14);
        log.sync().expect("synced");
        assert_eq!(log.newest(), 14);
    }

    #[test]
    fn after_a_failed_flush_none_succeeds() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(path(dir.path(), 0), b"x").expect("written");
        let log = Log::find(dir.path()).expect("found");
        // A file of the next name that cannot be opened.
        let next = path(dir.path(), 1);
        std::os::unix::fs::symlink(&next, &next).expect("linked");
        assert!(log.sync().is_err());
        std::fs::remove_file(next).expect("removed");
        let error = log.sync().expect_err("it failed before").to_string();
        assert!(error.contains("an earlier flush failed"), "{error}");
    }
}
