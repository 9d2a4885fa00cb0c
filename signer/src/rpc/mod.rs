//! The gRPC doors: bytes to requests, answers to bytes. What they mean is decided down the line.

mod channels;
mod export;
mod musig2;
mod operator;
mod payments;
mod preflight;
mod signer;
mod walletkit;

use strongroom_hsm::{Capabilities, Outcome};
use strongroom_proto::strongroom::v1::{Capability, CloseAllowance, InitResponse, RefusedClaim};
use tonic::Request;

pub use channels::ChannelsDoor;
pub use operator::OperatorDoor;
pub use payments::{PaymentsDoor, authorization};
pub use preflight::PreflightDoor;
pub use signer::SignerDoor;
pub use walletkit::WalletKitDoor;

use crate::line::Client;
use crate::refusal::Refusal;

/// The client that the gate let in, and what it asks.
fn admitted<T>(request: Request<T>) -> Result<(Client, T), Refusal> {
    let (_, mut extensions, asked) = request.into_parts();
    let client = extensions.remove::<Client>();
    client
        .map(|client| (client, asked))
        .ok_or_else(|| Refusal::Internal("no gate before this door".to_owned()))
}

/// The node named, or `None` for all where nothing is.
fn node_or_all(name: &str) -> Result<Option<strongroom_policy::NodeName>, tonic::Status> {
    if name.is_empty() {
        return Ok(None);
    }
    name.parse().map(Some).map_err(|e| tonic::Status::invalid_argument(format!("{e}")))
}

/// A claim that was refused, as it is told.
fn refused_claim(claim: crate::journal::RefusedClaim) -> RefusedClaim {
    RefusedClaim {
        output: claim.outpoint.to_string(),
        what: strongroom_policy::claim(&claim.kind).to_owned(),
        kind: claim.kind,
        sat: claim.sat,
        at: claim.at,
        because: claim.because,
        way_out: claim.way_out,
        known: claim.known,
    }
}

/// What an operator said of a close, as it is told.
fn close_allowance(allowed: &crate::journal::AllowedClose) -> CloseAllowance {
    CloseAllowance {
        node: allowed.node.to_string(),
        channel: allowed.channel.to_string(),
        at_least_sat: allowed.allowance.at_least.to_sat(),
        expires: allowed.allowance.expires,
        created: allowed.allowance.created,
    }
}

/// A funding outpoint.
fn outpoint(text: &str) -> Result<bitcoin::OutPoint, tonic::Status> {
    text.parse().map_err(|e| {
        tonic::Status::invalid_argument(format!("{text:?} is not a funding outpoint, as txid:index: {e}"))
    })
}

/// What `strongroom init` prints.
fn init_response(capabilities: &Capabilities, audit_key: String) -> InitResponse {
    let capabilities = capabilities
        .probes
        .iter()
        .map(|probe| {
            let (present, micros, detail) = match &probe.outcome {
                Outcome::Present { micros } => (true, *micros, String::new()),
                Outcome::Absent { reason } => (false, 0, reason.clone()),
            };
            Capability { name: probe.capability.to_string(), present, micros, detail }
        })
        .collect();
    InitResponse { capabilities, audit_key }
}
