//! Why a command did not do what was asked, in words for the person who asked.

use std::io::{self, Write};
use std::path::Path;

use tonic::{Code, Status};

/// Exit codes. 0 is success, 2 (clap's) wrong usage; part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something here failed: a file, a prompt.
    Failed = 1,
    /// What was given makes no sense; the same number as clap's.
    Usage = 2,
    /// The daemon cannot be reached.
    Unreachable = 3,
    /// The daemon answered no.
    Refused = 4,
    /// What was to be checked is not right: a policy file, a journal.
    NotRight = 5,
}

/// One failure: what went wrong, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    what: String,
    hint: Option<String>,
    /// Exit code.
    pub exit: Exit,
}

impl Failure {
    /// A failure; `what` has no capital and no full stop.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, exit }
    }

    /// With advice, unless there is some already.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// A file that could not be used; `verb` as in "cannot write".
    pub fn file(verb: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::Failed, format!("cannot {verb} {}: {error}", path.display()))
    }

    /// Writes it to stderr.
    pub fn report(&self, json: bool) {
        let text = if json {
            let hint = self.hint.as_deref();
            serde_json::json!({ "error": self.what, "hint": hint, "exit": self.exit as u8 }).to_string()
        } else {
            let hint = self.hint.iter().map(|hint| format!("\nstrongroom: hint: {hint}"));
            format!("strongroom: {}{}", self.what, hint.collect::<String>())
        };
        // Nothing is left to be done if stderr is gone; the exit code still tells.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let message = crate::wording::plain(status.message());
        match status.code() {
            Code::Unavailable => Self::new(Exit::Unreachable, format!("the daemon went away: {message}"))
                .hint("look at its log: journalctl -u strongroomd"),
            Code::Unimplemented => Self::new(Exit::Refused, "the daemon does not know this command")
                .hint("strongroom and strongroomd are of different versions: see strongroom version"),
            Code::Internal | Code::Unknown => {
                Self::new(Exit::Refused, format!("the daemon failed: {message}"))
                    .hint("look at its log: journalctl -u strongroomd")
            }
            _ => Self::new(Exit::Refused, message),
        }
    }
}
