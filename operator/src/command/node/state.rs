//! One node as the daemon sees it.

use serde::Serialize;
use strongroom_proto::strongroom::v1::{NodeStatus, PeerExposure};

use super::refused::{RefusedState, refused};
use crate::wording::{number, plain, sat, time};

/// What a node did and what it may still do.
#[derive(Serialize)]
pub struct NodeState {
    name: String,
    identity: String,
    seed_origin: String,
    approved: u64,
    refused: u64,
    channels: u32,
    channels_behind: u32,
    channels_sat: u64,
    outflow_sat: u64,
    outflow_limit_sat: u64,
    fees_sat: u64,
    fees_limit_sat: u64,
    closing_fees_sat: u64,
    closing_fees_limit_sat: u64,
    last_request: u64,
    exposure_sat: u64,
    guaranteed_sat: u64,
    provisional_sat: u64,
    provisional_limit_sat: u64,
    unauthorized_sat: u64,
    unauthorized_limit_sat: u64,
    unexplained_sat: u64,
    unexplained_limit_sat: u64,
    peers: Vec<PeerState>,
    refused_claims: Vec<RefusedState>,
}

/// What is ours in the channels with one peer.
#[derive(Serialize)]
struct PeerState {
    peer: String,
    exposure_sat: u64,
}

/// Peers, and refused claims, shown to people; --json has them all.
const SHOWN: usize = 5;

impl From<PeerExposure> for PeerState {
    fn from(peer: PeerExposure) -> Self {
        Self { peer: peer.peer, exposure_sat: peer.sat }
    }
}

impl From<NodeStatus> for NodeState {
    fn from(node: NodeStatus) -> Self {
        Self {
            name: node.name,
            identity: node.identity,
            seed_origin: node.seed_origin,
            approved: node.approved,
            refused: node.refused,
            channels: node.channels,
            channels_behind: node.channels_behind,
            channels_sat: node.channels_sat,
            outflow_sat: node.outflow_sat,
            outflow_limit_sat: node.outflow_limit_sat,
            fees_sat: node.fees_sat,
            fees_limit_sat: node.fees_limit_sat,
            closing_fees_sat: node.closing_fees_sat,
            closing_fees_limit_sat: node.closing_fees_limit_sat,
            last_request: node.last_request,
            exposure_sat: node.exposure_sat,
            guaranteed_sat: node.guaranteed_sat,
            provisional_sat: node.provisional_sat,
            provisional_limit_sat: node.provisional_limit_sat,
            unauthorized_sat: node.unauthorized_sat,
            unauthorized_limit_sat: node.unauthorized_limit_sat,
            unexplained_sat: node.unexplained_sat,
            unexplained_limit_sat: node.unexplained_limit_sat,
            peers: node.peers.into_iter().map(PeerState::from).collect(),
            refused_claims: node.refused_claims.into_iter().map(RefusedState::from).collect(),
        }
    }
}

impl NodeState {
    /// For people.
    pub fn words(&self) -> String {
        let identity = if self.identity.is_empty() { "sealed" } else { &self.identity };
        let last = match self.last_request {
            0 => "no request yet".to_owned(),
            seconds => format!("last request {}", time(seconds)),
        };
        let peer =
            |peer: &PeerState| format!("            {} with {}\n", sat(peer.exposure_sat), plain(&peer.peer));
        let mut peers: String = self.peers.iter().take(SHOWN).map(peer).collect();
        if let Some(more) = self.peers.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            peers += &format!("            and {more} more, which --json lists\n");
        }
        let behind = match self.channels_behind {
            0 => String::new(),
            count => format!("; {count} BEHIND, which only close: strongroom channels"),
        };
        format!(
            "node {}  {}  seed {}\n  requests  {} approved, {} refused, {last}\n  channels  {} of {} in all{behind}\n  \
             exposure  {} ours in channels, {} guaranteed\n{peers}  outflow   {} of {} in the window\n  \
             fees      {} of {} in the window\n  closing   {} of {} of fees in the window\n  payments  {} of {} without authorisation in the window\n  \
             lost      {} of {} without an HTLC in the window\n  forwards  {} of {} not proven settled{}",
            plain(&self.name),
            plain(identity),
            plain(&self.seed_origin),
            number(self.approved),
            number(self.refused),
            self.channels,
            sat(self.channels_sat),
            number(self.exposure_sat),
            sat(self.guaranteed_sat),
            number(self.outflow_sat),
            sat(self.outflow_limit_sat),
            number(self.fees_sat),
            sat(self.fees_limit_sat),
            number(self.closing_fees_sat),
            sat(self.closing_fees_limit_sat),
            number(self.unauthorized_sat),
            sat(self.unauthorized_limit_sat),
            number(self.unexplained_sat),
            sat(self.unexplained_limit_sat),
            number(self.provisional_sat),
            sat(self.provisional_limit_sat),
            refused(&self.refused_claims, SHOWN),
        )
    }
}
