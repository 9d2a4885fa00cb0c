//! The chain as the daemon sees it.

use serde::Serialize;
use strongroom_proto::strongroom::v1::ChainStatus;

use crate::wording::{number, plain, time};

/// How far the chain is followed, and what keeps it.
#[derive(Serialize)]
pub struct ChainState {
    state: String,
    because: String,
    height: Option<u32>,
    block: String,
    tip_time: u64,
    agreed_ms: Option<u64>,
    reorganisations: u64,
    watched: u64,
    pending: u64,
}

impl From<ChainStatus> for ChainState {
    fn from(chain: ChainStatus) -> Self {
        Self {
            state: chain.state,
            because: chain.because,
            height: chain.height,
            block: chain.block,
            tip_time: chain.tip_time,
            agreed_ms: chain.agreed_ms,
            reorganisations: chain.reorganisations,
            watched: chain.watched,
            pending: chain.pending,
        }
    }
}

impl ChainState {
    /// For people, without the heading.
    pub fn words(&self) -> String {
        // What stops credit until somebody acts is shouted, as what is not enforced is.
        let loud = matches!(self.state.as_str(), "stale" | "refused" | "contradicting");
        let mut text = if loud { self.state.to_uppercase() } else { plain(&self.state) };
        if !self.because.is_empty() {
            text += &format!(": {}", plain(&self.because));
        }
        if self.state == "contradicting" {
            text += " (strongroom chain accept HASH, with a hash from elsewhere)";
        }
        let Some(height) = self.height else { return text };
        let agreed = match self.agreed_ms {
            Some(ms) => format!("agreed {}.{} s ago", ms / 1000, ms % 1000 / 100),
            None => "has not agreed yet".to_owned(),
        };
        text += &format!(
            "\n         height {}, {}, of {}, bitcoind {agreed}\n         {} fundings watched, {} of them still looked up, {} reorganisations",
            number(height.into()),
            plain(&self.block),
            time(self.tip_time),
            number(self.watched),
            number(self.pending),
            number(self.reorganisations),
        );
        text
    }
}
