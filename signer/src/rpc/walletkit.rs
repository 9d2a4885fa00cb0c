//! `walletrpc.WalletKit/SignPsbt`: everything on-chain, commitments and HTLCs too.

use std::sync::Arc;

use strongroom_lightning::SignRequest;
use strongroom_proto::walletrpc::wallet_kit_server::WalletKit;
use strongroom_proto::walletrpc::{SignPsbtRequest, SignPsbtResponse};
use tonic::{Request, Response, Status};

use super::admitted;
use crate::appliance::Appliance;
use crate::line;
use crate::refusal::Refusal;

/// Answers lnd's wallet.
pub struct WalletKitDoor {
    appliance: Arc<Appliance>,
    limits: strongroom_lightning::Limits,
}

impl WalletKitDoor {
    /// The door to `appliance`.
    pub fn new(appliance: Arc<Appliance>) -> Self {
        let limits = strongroom_lightning::Limits {
            bytes: appliance.limits().max_request_bytes,
            ..strongroom_lightning::Limits::default()
        };
        Self { appliance, limits }
    }
}

#[tonic::async_trait]
impl WalletKit for WalletKitDoor {
    async fn sign_psbt(
        &self,
        request: Request<SignPsbtRequest>,
    ) -> Result<Response<SignPsbtResponse>, Status> {
        let (client, asked) = admitted(request)?;
        let psbt = asked.funded_psbt;
        let answer = line::walk(
            &self.appliance,
            &client,
            psbt.len(),
            |node| {
                SignRequest::parse(&psbt, node.accounts(), &self.limits)
                    .map_err(|e| Refusal::Malformed(e.to_string()))
            },
            |node, approved| {
                let signed = node.keyring().sign_psbt(approved)?;
                Ok(SignPsbtResponse { signed_psbt: signed.psbt.into(), signed_inputs: signed.inputs })
            },
        )
        .await?;
        Ok(Response::new(answer))
    }
}
