//! `strongroom payments list`

use clap::Args;
use serde::Serialize;
use strongroom_policy::NodeName;
use strongroom_proto::strongroom::v1::AuthorizedRequest;
use strongroom_proto::strongroom::v1::payments_client::PaymentsClient;

use super::state::PaymentState;
use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::open;
use crate::failure::Failure;

/// What was authorised, and how much of it was used.
#[derive(Args)]
pub struct List {
    /// Only this node's.
    #[arg(long, value_name = "NODE")]
    node: Option<NodeName>,
}

#[derive(Serialize)]
struct Known {
    payments: Vec<PaymentState>,
}

impl List {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let request = AuthorizedRequest { node: self.node.map_or_else(String::new, String::from) };
        let answer = PaymentsClient::new(open(&global.socket).await?).list(request).await?.into_inner();
        Known { payments: answer.payments.into_iter().map(PaymentState::from).collect() }.give(global.json)
    }
}

impl Answer for Known {
    fn words(&self) -> String {
        if self.payments.is_empty() {
            return "no payment is authorised".to_owned();
        }
        self.payments.iter().map(Answer::words).collect::<Vec<_>>().join("\n")
    }
}
