//! `signrpc.Signer`: messages, shared secrets, MuSig2.

use std::sync::Arc;

use strongroom_lightning::messages::{MessageForm, recognise};
use strongroom_policy::{KeyLocator, KeyPath};
use strongroom_proto::signrpc::signer_server::Signer;
use strongroom_proto::signrpc::*;
use tonic::{Request, Response, Status};

use super::{admitted, musig2};
use crate::appliance::{Appliance, OpenNode};
use crate::keyring::{EcdhRequest, MessageFields, MessageRequest};
use crate::line;
use crate::refusal::Refusal;

/// Answers lnd's signer calls.
pub struct SignerDoor {
    appliance: Arc<Appliance>,
}

impl SignerDoor {
    /// The door to `appliance`.
    pub fn new(appliance: Arc<Appliance>) -> Self {
        Self { appliance }
    }
}

pub(super) fn malformed(e: impl std::fmt::Display) -> Refusal {
    Refusal::Malformed(e.to_string())
}

/// A locator within LND's ranges.
pub(super) fn locator(wire: &strongroom_proto::signrpc::KeyLocator) -> Result<KeyLocator, Refusal> {
    let family = u32::try_from(wire.key_family).ok().filter(|f| *f <= 255);
    let index = u32::try_from(wire.key_index).ok();
    match (family, index) {
        (Some(family), Some(index)) => Ok(KeyLocator { family, index }),
        _ => Err(malformed(format!(
            "key locator {{{}/{}}}: families are 0 to 255, indexes 0 to 2147483647",
            wire.key_family, wire.key_index
        ))),
    }
}

fn message(node: &OpenNode, asked: SignMessageReq) -> Result<MessageRequest, Refusal> {
    let key = locator(asked.key_loc.as_ref().ok_or_else(|| malformed("key_loc must be given"))?)?;
    if asked.msg.is_empty() {
        return Err(malformed("msg must be given"));
    }
    let public = node.accounts().public_key(&KeyPath::Lightning(key)).map_err(malformed)?;
    let form = MessageForm {
        message: &asked.msg,
        double_hash: asked.double_hash,
        schnorr: asked.schnorr_sig,
        tag: &asked.tag,
    };
    let kind = recognise(&form, key, &public.serialize());
    let fields = MessageFields {
        msg: asked.msg,
        double_hash: asked.double_hash,
        compact_sig: asked.compact_sig,
        schnorr_sig: asked.schnorr_sig,
        schnorr_sig_tap_tweak: asked.schnorr_sig_tap_tweak,
        tag: asked.tag,
    };
    Ok(MessageRequest::new(key, fields).map_err(malformed)?.recognised_as(kind))
}

fn ecdh(node: &OpenNode, asked: &SharedKeyRequest) -> Result<EcdhRequest, Refusal> {
    let (wire, raw_key): (_, &[u8]) = match (&asked.key_desc, &asked.key_loc) {
        (Some(_), Some(_)) => return Err(malformed("use either key_desc or key_loc, not both")),
        (Some(desc), None) => match &desc.key_loc {
            None => return Err(malformed("key_desc needs its key_loc")),
            some => (some.as_ref(), &desc.raw_key_bytes),
        },
        (None, wire) => (wire.as_ref(), &[]),
    };
    let key = wire.map(locator).transpose()?;
    EcdhRequest::resolve(node.accounts(), key, raw_key, &asked.ephemeral_pubkey).map_err(malformed)
}

#[tonic::async_trait]
impl Signer for SignerDoor {
    async fn sign_message(
        &self,
        request: Request<SignMessageReq>,
    ) -> Result<Response<SignMessageResp>, Status> {
        let (client, asked) = admitted(request)?;
        let signature = line::walk(
            &self.appliance,
            &client,
            asked.msg.len(),
            |node| message(node, asked),
            |node, approved| Ok(node.keyring().sign_message(approved)?),
        )
        .await?;
        Ok(Response::new(SignMessageResp { signature }))
    }

    async fn derive_shared_key(
        &self,
        request: Request<SharedKeyRequest>,
    ) -> Result<Response<SharedKeyResponse>, Status> {
        let (client, asked) = admitted(request)?;
        let secret = line::walk(
            &self.appliance,
            &client,
            0,
            |node| ecdh(node, &asked),
            |node, approved| Ok(node.keyring().derive_shared_key(approved)?),
        )
        .await?;
        Ok(Response::new(SharedKeyResponse { shared_key: secret.to_vec() }))
    }

    async fn mu_sig2_create_session(
        &self,
        request: Request<MuSig2SessionRequest>,
    ) -> Result<Response<MuSig2SessionResponse>, Status> {
        musig2::create(&self.appliance, request).await
    }

    async fn mu_sig2_register_nonces(
        &self,
        request: Request<MuSig2RegisterNoncesRequest>,
    ) -> Result<Response<MuSig2RegisterNoncesResponse>, Status> {
        musig2::register_nonces(&self.appliance, request)
    }

    async fn mu_sig2_register_combined_nonce(
        &self,
        request: Request<MuSig2RegisterCombinedNonceRequest>,
    ) -> Result<Response<MuSig2RegisterCombinedNonceResponse>, Status> {
        musig2::register_combined_nonce(&self.appliance, request)
    }

    async fn mu_sig2_get_combined_nonce(
        &self,
        request: Request<MuSig2GetCombinedNonceRequest>,
    ) -> Result<Response<MuSig2GetCombinedNonceResponse>, Status> {
        musig2::combined_nonce(&self.appliance, request)
    }

    async fn mu_sig2_sign(
        &self,
        request: Request<MuSig2SignRequest>,
    ) -> Result<Response<MuSig2SignResponse>, Status> {
        musig2::sign(&self.appliance, request).await
    }

    async fn mu_sig2_combine_sig(
        &self,
        request: Request<MuSig2CombineSigRequest>,
    ) -> Result<Response<MuSig2CombineSigResponse>, Status> {
        musig2::combine(&self.appliance, request)
    }

    async fn mu_sig2_cleanup(
        &self,
        request: Request<MuSig2CleanupRequest>,
    ) -> Result<Response<MuSig2CleanupResponse>, Status> {
        musig2::cleanup(&self.appliance, request)
    }
}
