//! Secrets come from a prompt without echo or from a file descriptor, never from argv or the environment.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// No PIN, passphrase or seed is longer.
const BYTES_MAX: usize = 4096;

/// Bytes wiped when dropped.
pub type Secret = Zeroizing<Vec<u8>>;

/// Reads one secret: from descriptor `fd`, or by asking `question` on the terminal. `option` is the flag that names
/// the descriptor, for the hint.
pub fn read(question: &str, fd: Option<u32>, option: &str) -> Result<Secret, Failure> {
    match fd {
        Some(fd) => from_fd(fd, option),
        None => match rpassword::prompt_password(question) {
            Ok(text) => Ok(Zeroizing::new(text.into_bytes())),
            Err(error) => Err(Failure::new(Exit::Failed, format!("cannot ask on a terminal: {error}"))
                .hint(format!("without one, give a file descriptor: {option} 3 3< <(…)"))),
        },
    }
}

/// A secret that must not be empty.
pub fn read_some(what: &str, fd: Option<u32>, option: &str) -> Result<Secret, Failure> {
    let secret = read(&format!("{what}: "), fd, option)?;
    if secret.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("the {what} is empty")));
    }
    Ok(secret)
}

/// Reads all of descriptor `fd` but a last line break.
fn from_fd(fd: u32, option: &str) -> Result<Secret, Failure> {
    let unreadable = |error| {
        Failure::new(Exit::Failed, format!("{option} {fd}: cannot read from that file descriptor: {error}"))
    };
    // A buffer that never grows leaves no copies behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(BYTES_MAX + 1));
    let file = File::open(path(fd)).map_err(unreadable)?;
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut secret).map_err(unreadable)?;
    if secret.len() > BYTES_MAX {
        return Err(Failure::new(Exit::Usage, format!("{option} {fd}: more than {BYTES_MAX} bytes")));
    }
    while matches!(secret.last(), Some(b'\n' | b'\r')) {
        secret.pop();
    }
    Ok(secret)
}

/// Opens descriptor `fd` for writing a secret to.
pub fn fd_to_write(fd: u32, option: &str) -> Result<File, Failure> {
    OpenOptions::new().write(true).open(path(fd)).map_err(|error| {
        Failure::new(Exit::Failed, format!("{option} {fd}: cannot write to that file descriptor: {error}"))
    })
}

/// Writes a secret and a newline.
pub fn write(file: &mut File, secret: &[u8]) -> Result<(), Failure> {
    let written = file.write_all(secret).and_then(|()| file.write_all(b"\n"));
    written.map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot write to the file descriptor given: {error}"))
    })
}

fn path(fd: u32) -> String {
    format!("/proc/self/fd/{fd}")
}
