//! What a decision stands on: the list of checks that its leaf names, resolved.

use std::collections::HashMap;

use strongroom_audit::{Checks, Event, Leaf};
use strongroom_proto::strongroom::v1::JournalLeafRequest;
use strongroom_proto::strongroom::v1::operator_client::OperatorClient;
use tonic::transport::Channel;

use crate::failure::{Exit, Failure};
use crate::wording::plain;

/// The lists that decisions name, each asked for once.
pub struct Lists {
    daemon: OperatorClient<Channel>,
    known: HashMap<u64, Vec<Checks>>,
}

impl Lists {
    /// Of the journal of `daemon`.
    pub fn new(daemon: OperatorClient<Channel>) -> Self {
        Self { daemon, known: HashMap::new() }
    }

    /// What the decision in `leaf` stands on; `None` for other events, and for decisions that name no list.
    pub async fn of(&mut self, leaf: &Leaf) -> Result<Option<Checks>, Failure> {
        let Event::Decision(decision) = &leaf.event else { return Ok(None) };
        let (Some(index), Some(class)) = (decision.checks, decision.class()) else { return Ok(None) };
        if !self.known.contains_key(&index) {
            let answer = self.daemon.journal_leaf(JournalLeafRequest { index }).await?.into_inner();
            let no_list = || {
                let what = format!("leaf {} names leaf {index}, which is no list of checks", leaf.index);
                Failure::new(Exit::Failed, what).hint("strongroom journal verify checks the whole journal")
            };
            let list = Leaf::parse(answer.json.as_bytes()).map_err(|_| no_list())?;
            let Event::ChecksInForce { checks, .. } = list.event else { return Err(no_list()) };
            self.known.insert(index, checks);
        }
        Ok(self.known.get(&index).into_iter().flatten().find(|checks| checks.class == class).cloned())
    }
}

/// A line for each list that is not empty.
pub fn lines(checks: &Checks) -> String {
    let lists = [
        ("enforced", &checks.enforced),
        ("partly", &checks.partly),
        ("observed", &checks.observed),
        ("idle", &checks.idle),
        ("by ours", &checks.by_ours),
        ("not enforceable", &checks.not_enforceable),
    ];
    let lists = lists.into_iter().filter(|(_, tags)| !tags.is_empty());
    lists.map(|(what, tags)| format!("\n{:>10}{what}: {}", "", plain(&tags.join(", ")))).collect()
}
