//! `strongroom node list`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::NodeListRequest;

use super::state::NodeState;
use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;

/// The nodes, with what they did and what they may still do.
#[derive(Args)]
pub struct List {}

#[derive(Serialize)]
struct Nodes {
    nodes: Vec<NodeState>,
}

impl List {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let answer = connect(&global.socket).await?.node_list(NodeListRequest {}).await?.into_inner();
        Nodes { nodes: answer.nodes.into_iter().map(NodeState::from).collect() }.give(global.json)
    }
}

impl Answer for Nodes {
    fn words(&self) -> String {
        if self.nodes.is_empty() {
            return "no nodes; strongroom node add NAME --out DIR adds one".to_owned();
        }
        self.nodes.iter().map(NodeState::words).collect::<Vec<_>>().join("\n\n")
    }
}
