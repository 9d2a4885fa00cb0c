//! Why a request is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Stable name of a rule, shared by the code, the policy file and POLICY.md, as `onchain-destination`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Tag(pub &'static str);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One rule broken, with what was asked and what is allowed, in words for the person who reads lnd's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The rule's [`Tag`].
    pub tag: String,
    /// The offending value with its unit, as `1,500,000 sat to bcrt1q…`.
    pub value: String,
    /// The limit with its unit, as `at most 1,000,000 sat per transaction`.
    pub limit: String,
}

impl Violation {
    /// A violation of the rule `tag`.
    pub fn new(tag: Tag, value: impl Into<String>, limit: impl Into<String>) -> Self {
        Self { tag: tag.0.to_owned(), value: value.into(), limit: limit.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; allowed: {}", self.tag, self.value, self.limit)
    }
}
