//! From a byte offset to a line and a key, for errors.

use std::ops::Range;

use super::PolicyError;

/// Finds lines and keys in a policy file's text.
pub(crate) struct Places<'a> {
    text: &'a str,
}

impl<'a> Places<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// An error at `span`, naming the key found there.
    pub(crate) fn error(&self, span: Range<usize>, problem: impl Into<String>) -> PolicyError {
        let start = span.start.min(self.text.len());
        let line = self.line(start);
        PolicyError { line, key: self.key(line), problem: problem.into() }
    }

    /// An error from the TOML parser, with what was given there.
    pub(crate) fn parse_error(&self, error: &toml::de::Error) -> PolicyError {
        let span = error.span().unwrap_or(0..0);
        let message = tidy(error.message());
        let given = self.text.get(span.clone()).and_then(|text| text.lines().next()).unwrap_or_default();
        let problem = match given {
            "" => message.clone(),
            _ if message.starts_with("given ") => message.clone(),
            given => format!("given {}; {message}", given.chars().take(60).collect::<String>()),
        };
        let mut refused = self.error(span, problem);
        // A missing key has no line of its own: the parser points at its table, or at the whole file.
        if let Some(missing) = message.strip_prefix("missing field `").and_then(|m| m.strip_suffix('`')) {
            refused.problem = "given nothing; this key is required and has no default".to_owned();
            refused.key = match self.header(refused.line) {
                Some(table) => format!("{table}.{missing}"),
                None => missing.to_owned(),
            };
        }
        refused
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.as_bytes().iter().take(offset).filter(|&&b| b == b'\n').count()
    }

    /// `table.key` at a line: the nearest line at or above it that has a key or a table's header.
    fn key(&self, line: usize) -> String {
        let lines: Vec<&str> = self.text.lines().take(line).collect();
        let key = lines.iter().rev().find_map(|l| match l.trim_start() {
            l if header(l).is_some() => Some(None),
            l if l.starts_with('#') => None,
            l => l.split_once('=').map(|(key, _)| Some(key.trim().trim_matches('"').to_owned())),
        });
        match (self.header(line), key.flatten()) {
            (Some(table), Some(key)) => format!("{table}.{key}"),
            (Some(table), None) => table,
            (None, Some(key)) => key,
            (None, None) => "the file".to_owned(),
        }
    }

    /// The table that a line is in.
    fn header(&self, line: usize) -> Option<String> {
        let lines: Vec<&str> = self.text.lines().take(line).collect();
        lines.iter().rev().find_map(|l| header(l))
    }
}

/// `fees.wallet` of `[fees.wallet]`, `grants` of `[[grants]]`.
fn header(line: &str) -> Option<String> {
    let inner = line.trim_start().strip_prefix('[')?;
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    let name = inner.split(']').next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '"');
    (inner.contains(']') && !name.is_empty() && name.chars().all(plain)).then(|| name.trim().to_owned())
}

/// The parser's message on one line.
fn tidy(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
