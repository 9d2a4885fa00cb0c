//! A token's PIN and where it may come from: never argv, never an environment value.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use cryptoki::types::AuthPin;
use zeroize::{Zeroize, Zeroizing};

/// The longest PIN accepted, in bytes. PKCS#11 tokens name their own limit, commonly 255.
const MAX_PIN: usize = 255;

/// A token's user PIN: erased on drop, without `Debug`, `Display` or `Clone`.
pub struct Pin(Zeroizing<Box<str>>);

/// Where a PIN is read from. A prompt is the caller's: it hands the bytes to [`Pin::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSource {
    /// A file of this name under systemd's `$CREDENTIALS_DIRECTORY`
    /// (`LoadCredential=`, better `LoadCredentialEncrypted=`).
    Credential(String),
    /// An inherited file descriptor, read to its end: 0, or 3 and above.
    Fd(i32),
}

/// Why no PIN could be had. Never carries the PIN.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// Nothing was there.
    #[error("the PIN is empty")]
    Empty,
    /// More than 255 bytes.
    #[error("the PIN is longer than {MAX_PIN} bytes")]
    TooLong,
    /// PKCS#11 PINs are UTF-8 text.
    #[error("the PIN is not UTF-8 text on one line")]
    NotText,
    /// The service runs without credentials.
    #[error(
        "credential {0:?} was asked for, but CREDENTIALS_DIRECTORY is not set: add LoadCredentialEncrypted= to the unit"
    )]
    NoCredentials(String),
    /// A credential's name that would leave its directory.
    #[error("credential name {0:?} is not a plain file name")]
    CredentialName(String),
    /// Standard output and error are no source.
    #[error("file descriptor {0} cannot carry a PIN: use 0, or 3 and above")]
    Fd(i32),
    /// Reading failed.
    #[error("the PIN could not be read from {from}: {source}")]
    Read {
        /// The file that was read.
        from: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Pin {
    /// Takes a PIN, erasing the bytes it was given in. One trailing line end is dropped.
    ///
    /// # Errors
    /// [`PinError::Empty`], [`PinError::TooLong`] (255 bytes) or [`PinError::NotText`].
    pub fn new(mut bytes: Vec<u8>) -> Result<Self, PinError> {
        let pin = Self::from_line(&bytes);
        bytes.zeroize();
        pin
    }

    fn from_line(bytes: &[u8]) -> Result<Self, PinError> {
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(PinError::Empty);
        }
        if line.len() > MAX_PIN {
            return Err(PinError::TooLong);
        }
        let text = std::str::from_utf8(line).map_err(|_| PinError::NotText)?;
        if text.chars().any(char::is_control) {
            return Err(PinError::NotText);
        }
        Ok(Self(Zeroizing::new(text.into())))
    }

    /// The form cryptoki takes; it too is erased on drop.
    pub(crate) fn to_auth_pin(&self) -> AuthPin {
        AuthPin::new(Box::from(&**self.0))
    }
}

impl PinSource {
    /// Reads the PIN.
    ///
    /// # Errors
    /// Any [`PinError`]; the source is named, the PIN is not.
    pub fn read(&self) -> Result<Pin, PinError> {
        let path = self.path()?;
        // Room for one byte too many, so that the buffer never moves and leaves a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PIN + 3));
        File::open(&path)
            .and_then(|file| file.take(MAX_PIN as u64 + 3).read_to_end(&mut bytes))
            .map_err(|source| PinError::Read { from: path, source })?;
        Pin::from_line(&bytes)
    }

    fn path(&self) -> Result<PathBuf, PinError> {
        match self {
            Self::Credential(name) => {
                if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
                    return Err(PinError::CredentialName(name.clone()));
                }
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| PinError::NoCredentials(name.clone()))?;
                Ok(PathBuf::from(directory).join(name))
            }
            Self::Fd(fd @ (0 | 3..)) => Ok(PathBuf::from(format!("/proc/self/fd/{fd}"))),
            Self::Fd(fd) => Err(PinError::Fd(*fd)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_pin() {
        assert!(matches!(Pin::new(vec![]), Err(PinError::Empty)));
        assert!(matches!(Pin::new(b"\n".to_vec()), Err(PinError::Empty)));
        assert!(matches!(Pin::new(vec![b'1'; 256]), Err(PinError::TooLong)));
        assert!(matches!(Pin::new(b"12\n34".to_vec()), Err(PinError::NotText)));
        assert!(matches!(Pin::new(b"12\0".to_vec()), Err(PinError::NotText)));
        assert!(matches!(Pin::new(vec![0xff]), Err(PinError::NotText)));
    }

    #[test]
    fn drops_one_line_end_and_keeps_spaces() {
        for text in ["a b ", "a b \n", "a b \r\n"] {
            let pin = Pin::new(text.into()).ok().unwrap();
            assert_eq!(&**pin.0, "a b ");
        }
        assert!(Pin::new(vec![b'1'; 255]).is_ok());
    }

    #[test]
    fn refuses_sources_that_are_none() {
        for fd in [-1, 1, 2] {
            assert!(matches!(PinSource::Fd(fd).read(), Err(PinError::Fd(_))));
        }
        for name in ["", "..", "../pin", "/etc/pin"] {
            let source = PinSource::Credential(name.into());
            assert!(matches!(source.read(), Err(PinError::CredentialName(_))));
        }
        assert!(matches!(PinSource::Fd(987).read(), Err(PinError::Read { .. })));
    }

    #[test]
    fn reads_an_inherited_descriptor() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"secret pin\n").unwrap();
        drop(writer);
        let pin = PinSource::Fd(reader.as_raw_fd()).read().ok().unwrap();
        assert_eq!(&**pin.0, "secret pin");
    }
}
