//! The terminal itself, whatever stdin and stdout are.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};

use crate::failure::{Exit, Failure};

/// The controlling terminal.
pub struct Terminal {
    file: File,
}

impl Terminal {
    /// Opens it. `instead` tells what to use where there is none.
    pub fn open(instead: &str) -> Result<Self, Failure> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty");
        let file = file.map_err(|_| Failure::new(Exit::Failed, "there is no terminal").hint(instead))?;
        Ok(Self { file })
    }

    /// Asks, and reads a line.
    pub fn ask(&mut self, question: &str) -> Result<String, Failure> {
        self.write(question)?;
        let mut line = String::new();
        BufReader::new(&self.file).read_line(&mut line).map_err(|error| gone(&error))?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Writes text.
    pub fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.flush()).map_err(|error| gone(&error))
    }

    /// Clears the screen and what was scrolled off it.
    pub fn clear(&mut self) -> Result<(), Failure> {
        self.write("\x1b[H\x1b[2J\x1b[3J")
    }
}

fn gone(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot use the terminal: {error}"))
}
