//! Runs the built program.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::door::Door;

/// How it ended.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// Its answer.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

/// Runs it with `arguments`, without a terminal.
pub fn run(door: &Door, arguments: &[&str]) -> Run {
    run_with_fd(door, arguments, &[])
}

/// Runs it with texts to be read from file descriptors.
pub fn run_with_fd(door: &Door, arguments: &[&str], texts: &[(u32, &str)]) -> Run {
    started(door, arguments, texts, "exec \"$0\" \"$@\"".to_owned())
}

/// Runs it with a text on a pipe as its standard input.
pub fn run_with_pipe(door: &Door, arguments: &[&str], text: &str) -> Run {
    started(door, arguments, &[], format!("printf %s '{text}' | \"$0\" \"$@\""))
}

/// Runs it with a file to be written to through a file descriptor, too.
pub fn run_with_words_to(door: &Door, arguments: &[&str], texts: &[(u32, &str)], words: (u32, &Path)) -> Run {
    started(door, arguments, texts, format!("exec \"$0\" \"$@\" {}>>{}", words.0, words.1.display()))
}

fn started(door: &Door, arguments: &[&str], texts: &[(u32, &str)], mut script: String) -> Run {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (fd, text) in texts {
        let path = dir.path().join(fd.to_string());
        std::fs::write(&path, text).expect("a small file");
        write!(script, " {fd}<{}", path.display()).expect("a String takes every text");
    }
    // setsid: a session without terminal, so that prompts fail here as in a service.
    let output = Command::new("setsid")
        .args(["--wait", "sh", "-c", &script])
        .arg(env!("CARGO_BIN_EXE_strongroom"))
        .args(arguments)
        .env("STRONGROOM_SOCKET", door.socket())
        .stdin(Stdio::null())
        .output()
        .expect("setsid and sh are there");
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
