//! The name of a Lightning node.

use std::fmt;
use std::str::FromStr;

use bitcoin::secp256k1::PublicKey;
use serde::{Deserialize, Serialize};

/// A node's identity key (BOLT 1), as 66 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(PublicKey);

impl From<PublicKey> for NodeId {
    fn from(key: PublicKey) -> Self {
        Self(key)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that names no node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("given {given:?}; allowed: a node's public key, compressed, as 66 hex digits")]
pub struct NodeIdError {
    given: String,
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        match text.parse() {
            Ok(key) if text.len() == 66 => Ok(Self(key)),
            _ => Err(NodeIdError { given: text.chars().take(80).collect() }),
        }
    }
}

impl TryFrom<String> for NodeId {
    type Error = NodeIdError;

    fn try_from(text: String) -> Result<Self, NodeIdError> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_compressed_points_are_names() {
        // The generator, and what is no point, too long, too short, uncompressed.
        let one = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        assert_eq!(one.parse::<NodeId>().expect("a point").to_string(), one);
        let uncompressed =
            format!("04{}483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8", &one[2..]);
        let off_curve = format!("02{}", "ff".repeat(32));
        for other in ["", "02", &one[..65], &format!("{one}0"), &off_curve, &uncompressed, "node"] {
            let error = other.parse::<NodeId>().expect_err("no name");
            assert!(error.to_string().contains("66 hex digits"), "{error}");
        }
    }
}
