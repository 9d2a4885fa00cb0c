//! `strongroom status`

use clap::Args;
use serde::Serialize;
use strongroom_proto::strongroom::v1::{StatusRequest, StatusResponse};

use super::chain::state::ChainState;
use super::node::state::NodeState;
use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::wording::{list, number, plain, time};

/// State of keys, nodes, limits, policy, journal, chain and token.
#[derive(Args)]
pub struct Status {}

#[derive(Serialize)]
struct State {
    state: String,
    sealed_because: String,
    version: String,
    started: u64,
    network: String,
    listen: String,
    token: String,
    token_heartbeat_ms: Option<u64>,
    policy_profile: String,
    policy_digest: String,
    observed_rules: Vec<String>,
    journal_size: u64,
    journal_head: String,
    journal_fault: String,
    chain: ChainState,
    nodes: Vec<NodeState>,
}

impl Status {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let answer = connect(&global.socket).await?.status(StatusRequest {}).await?.into_inner();
        State::from(answer).give(global.json)
    }
}

impl From<StatusResponse> for State {
    fn from(answer: StatusResponse) -> Self {
        Self {
            state: answer.state,
            sealed_because: answer.sealed_because,
            version: answer.version,
            started: answer.started,
            network: answer.network,
            listen: answer.listen,
            token: answer.token,
            token_heartbeat_ms: answer.token_heartbeat_ms,
            policy_profile: answer.policy_profile,
            policy_digest: answer.policy_digest,
            observed_rules: answer.observed_rules,
            journal_size: answer.journal_size,
            journal_head: answer.journal_head,
            journal_fault: answer.journal_fault,
            chain: ChainState::from(answer.chain.unwrap_or_default()),
            nodes: answer.nodes.into_iter().map(NodeState::from).collect(),
        }
    }
}

impl Answer for State {
    fn words(&self) -> String {
        let mut state = plain(&self.state);
        if !self.sealed_because.is_empty() {
            state += &format!(": {}", plain(&self.sealed_because));
        }
        if self.state == "sealed" {
            state += " (every request is refused; strongroom unseal opens it)";
        }
        let heartbeat = match self.token_heartbeat_ms {
            Some(ms) => format!("answered {}.{} s ago", ms / 1000, ms % 1000 / 100),
            None => "has not answered yet".to_owned(),
        };
        let observed = match self.observed_rules.as_slice() {
            [] => "every rule enforced".to_owned(),
            rules => format!("NOT ENFORCED, only observed: {}", list(rules)),
        };
        let mut text = format!(
            "state    {state}\ndaemon   {} on {}, started {}, lnd's door at {}\ntoken    {}, {heartbeat}\n\
             policy   {}, {}\n         {observed}\njournal  {} leaves, head {}",
            plain(&self.version),
            plain(&self.network),
            time(self.started),
            plain(&self.listen),
            plain(&self.token),
            plain(&self.policy_profile),
            plain(&self.policy_digest),
            number(self.journal_size),
            plain(&self.journal_head),
        );
        if !self.journal_fault.is_empty() {
            text +=
                &format!("\n         TAKES NO RECORDS, so nothing is signed: {}", plain(&self.journal_fault));
        }
        text += &format!("\nchain    {}", self.chain.words());
        for node in &self.nodes {
            text += &format!("\n\n{}", node.words());
        }
        text
    }
}
