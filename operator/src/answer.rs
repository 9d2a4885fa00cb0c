//! What a command says when it succeeds: words, or JSON with stable field names.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::{Exit, Failure};

/// A command's result. Field names of the JSON form are an interface: add, never rename.
pub trait Answer: Serialize {
    /// For people. Without a last newline.
    fn words(&self) -> String;

    /// Writes it to stdout.
    fn give(&self, json: bool) -> Result<(), Failure> {
        let text = if json {
            serde_json::to_string(self)
                .map_err(|error| Failure::new(Exit::Failed, format!("cannot write JSON: {error}")))?
        } else {
            self.words()
        };
        say(&text)
    }
}

/// Writes a line to stdout. A reader that went away (`| head`) ends the program in peace.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::new(Exit::Failed, format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
