//! Why a request gets no signature, and what lnd is told.
//!
//! lnd shuts itself down on Unavailable and DeadlineExceeded, so a refusal is never one of these: a decision, even
//! "not now", is PermissionDenied, and what cannot be read is InvalidArgument. The text reaches lnd's log and often
//! its user, so it says what was asked and what is allowed.

use strongroom_policy::Violation;
use tonic::Status;

use crate::keyring::KeyringError;

/// Why a request gets no signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Policy forbids it: every reason.
    #[error("refused by policy: {}", joined(.0))]
    Denied(Vec<Violation>),
    /// Keys are not open.
    #[error("sealed: {0}")]
    Sealed(String),
    /// It could not be decided in time. Nothing was signed.
    #[error("not decided within {limit_ms} ms; asked again it is decided anew")]
    Late {
        /// The deadline.
        limit_ms: u64,
    },
    /// Too many requests wait already.
    #[error("busy: {limit} requests are waiting already; asked again it is decided anew")]
    Busy {
        /// The longest queue allowed.
        limit: usize,
    },
    /// The client has its share under way already, and the rest is the others'.
    #[error(
        "busy: {client} has {limit} {what} already, as many as {key} allows; asked again it is decided anew"
    )]
    Crowded {
        /// Node and client.
        client: String,
        /// Of what it has too many.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
        /// Where the configuration says so.
        key: &'static str,
    },
    /// The record cannot be made durable, so nothing may be signed.
    #[error("not recorded, so not signed: {0}")]
    NotRecorded(String),
    /// The request cannot be read, or contradicts itself.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// Who asks is not known.
    #[error("not authenticated: {0}")]
    Unauthenticated(String),
    /// A fault of ours. Nothing was signed.
    #[error("internal fault, nothing was signed: {0}")]
    Internal(String),
}

fn joined(violations: &[Violation]) -> String {
    violations.iter().map(Violation::to_string).collect::<Vec<_>>().join("; ")
}

impl Refusal {
    /// A word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::Denied(_) => "policy",
            Refusal::Sealed(_) => "sealed",
            Refusal::Late { .. } => "late",
            Refusal::Busy { .. } | Refusal::Crowded { .. } => "busy",
            Refusal::NotRecorded(_) => "not-recorded",
            Refusal::Malformed(_) => "malformed",
            Refusal::Unauthenticated(_) => "unauthenticated",
            Refusal::Internal(_) => "internal",
        }
    }
}

impl From<KeyringError> for Refusal {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Sealed => Refusal::Sealed(error.to_string()),
            error if error.is_request() => Refusal::Malformed(error.to_string()),
            error => Refusal::Internal(error.to_string()),
        }
    }
}

/// gRPC headers carry the text; lnd and its users read it whole, so it is cut only where HTTP/2 would break.
const MAX_TEXT: usize = 4_000;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        let mut text = refusal.to_string();
        if text.len() > MAX_TEXT {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
            text.push_str(" … (the journal has the rest)");
        }
        match refusal {
            Refusal::Malformed(_) => Status::invalid_argument(text),
            _ => Status::permission_denied(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn nothing_looks_like_unavailable() {
        let all = [
            Refusal::Denied(vec![]),
            Refusal::Sealed("token gone".into()),
            Refusal::Late { limit_ms: 3000 },
            Refusal::Busy { limit: 1 },
            Refusal::Crowded { client: "alice/lnd".into(), what: "connections", limit: 1, key: "limits.x" },
            Refusal::NotRecorded("disk".into()),
            Refusal::Malformed("x".into()),
            Refusal::Unauthenticated("x".into()),
            Refusal::Internal("x".into()),
        ];
        for refusal in all {
            let code = Status::from(refusal.clone()).code();
            assert!(matches!(code, Code::PermissionDenied | Code::InvalidArgument), "{refusal}: {code}");
        }
    }

    #[test]
    fn a_denial_names_every_rule_value_and_limit() {
        let tag = strongroom_policy::Tag("onchain-destination");
        let text = Refusal::Denied(vec![
            Violation::new(tag, "5 sat to x", "the allowlist"),
            Violation::new(strongroom_policy::Tag("fee-absolute"), "9 sat", "at most 8 sat"),
        ])
        .to_string();
        for part in
            ["onchain-destination", "5 sat to x", "the allowlist", "fee-absolute", "9 sat", "at most 8 sat"]
        {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
