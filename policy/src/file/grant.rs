//! Who may ask for what.

use serde::{Deserialize, Serialize};

use crate::case::Operation;
use crate::key::{ClientName, NodeName};
use crate::key_group::KeyGroup;

/// Operations on keys of a node, granted to a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The client.
    pub client: ClientName,
    /// The node, or `"*"` for every node.
    pub node: WhichNode,
    /// The calls.
    pub operations: Vec<Operation>,
    /// The keys.
    pub keys: Vec<KeyGroup>,
}

impl Grant {
    /// Whether it lets this client ask beforehand what would be refused.
    pub fn lets_ask(&self, client: &ClientName, node: &NodeName) -> bool {
        self.client == *client && self.node.is(node) && self.operations.contains(&Operation::Preflight)
    }

    /// Whether it covers this.
    pub fn covers(&self, client: &ClientName, node: &NodeName, operation: Operation, key: KeyGroup) -> bool {
        self.client == *client
            && self.node.is(node)
            && self.operations.contains(&operation)
            && self.keys.contains(&key)
    }
}

/// One node or all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum WhichNode {
    /// `"*"`
    Any,
    /// The node of this name.
    Only(NodeName),
}

impl WhichNode {
    fn is(&self, node: &NodeName) -> bool {
        match self {
            Self::Any => true,
            Self::Only(name) => name == node,
        }
    }
}

impl TryFrom<String> for WhichNode {
    type Error = String;
    fn try_from(given: String) -> Result<Self, String> {
        if given == "*" {
            return Ok(Self::Any);
        }
        NodeName::try_from(given).map(Self::Only).map_err(|e| format!("{e}, nor \"*\" for every node"))
    }
}

impl From<WhichNode> for String {
    fn from(which: WhichNode) -> String {
        match which {
            WhichNode::Any => "*".to_owned(),
            WhichNode::Only(name) => name.into(),
        }
    }
}
