//! The seven MuSig2 calls. Two yield something that only our key can give (a nonce bound to it, a partial signature)
//! and walk the line; the other five move public values about in a session that walked it.

use std::sync::Arc;

use strongroom_proto::signrpc::*;
use tonic::{Request, Response, Status};

use super::admitted;
use super::signer::{locator, malformed};
use crate::appliance::{Appliance, OpenNode};
use crate::keyring::{CreateSession, KeyringError, SessionFields, SessionId};
use crate::line;
use crate::refusal::Refusal;

type Answer<A> = Result<Response<A>, Status>;

fn slices(values: &[Vec<u8>]) -> Vec<&[u8]> {
    values.iter().map(Vec::as_slice).collect()
}

fn session(bytes: &[u8]) -> Result<SessionId, Refusal> {
    SessionId::from_slice(bytes).map_err(malformed)
}

fn parse(asked: &MuSig2SessionRequest) -> Result<CreateSession, Refusal> {
    let key = locator(asked.key_loc.as_ref().ok_or_else(|| malformed("key_loc must be given"))?)?;
    let fields = SessionFields {
        version: asked.version,
        key,
        all_signer_pubkeys: slices(&asked.all_signer_pubkeys),
        other_signer_public_nonces: slices(&asked.other_signer_public_nonces),
        tweaks: asked.tweaks.iter().map(|t| (t.tweak.as_slice(), t.is_x_only)).collect(),
        taproot_tweak: asked.taproot_tweak.as_ref().map(|t| (t.script_root.as_slice(), t.key_spend_only)),
        pregenerated_local_nonce: &asked.pregenerated_local_nonce,
    };
    CreateSession::parse(&fields).map_err(malformed)
}

/// A step that needs no approval: its client must be the node's, and the session must exist.
fn step<T, A>(
    appliance: &Arc<Appliance>,
    request: Request<T>,
    step: impl FnOnce(&OpenNode, T) -> Result<A, Refusal>,
) -> Answer<A> {
    let (client, asked) = admitted(request)?;
    let node = appliance.node(&client.node)?;
    Ok(Response::new(line::guarded(|| step(&node, asked))?))
}

pub(super) async fn create(
    appliance: &Arc<Appliance>,
    request: Request<MuSig2SessionRequest>,
) -> Answer<MuSig2SessionResponse> {
    let (client, asked) = admitted(request)?;
    let info = line::walk(
        appliance,
        &client,
        33 * asked.all_signer_pubkeys.len(),
        |node| Ok(node.keyring().musig2_create_request(parse(&asked)?)),
        |node, approved| Ok(node.keyring().musig2_create(approved)?),
    )
    .await?;
    Ok(Response::new(MuSig2SessionResponse {
        session_id: info.id.to_bytes().to_vec(),
        combined_key: info.combined_key.to_vec(),
        taproot_internal_key: info.taproot_internal_key.map_or_else(Vec::new, |k| k.to_vec()),
        local_public_nonces: info.local_public_nonces.to_vec(),
        have_all_nonces: info.have_all_nonces,
        version: asked.version,
    }))
}

pub(super) async fn sign(
    appliance: &Arc<Appliance>,
    request: Request<MuSig2SignRequest>,
) -> Answer<MuSig2SignResponse> {
    let (client, asked) = admitted(request)?;
    let partial = line::walk(
        appliance,
        &client,
        0,
        |node| {
            let id = session(&asked.session_id)?;
            Ok(node.keyring().musig2_sign_request(id, &asked.message_digest, asked.cleanup)?)
        },
        |node, approved| Ok(node.keyring().musig2_sign(approved)?),
    )
    .await?;
    Ok(Response::new(MuSig2SignResponse { local_partial_signature: partial.to_vec() }))
}

pub(super) fn register_nonces(
    appliance: &Arc<Appliance>,
    request: Request<MuSig2RegisterNoncesRequest>,
) -> Answer<MuSig2RegisterNoncesResponse> {
    step(appliance, request, |node, asked| {
        let nonces = slices(&asked.other_signer_public_nonces);
        let have_all_nonces = node.keyring().musig2_register_nonces(session(&asked.session_id)?, &nonces)?;
        Ok(MuSig2RegisterNoncesResponse { have_all_nonces })
    })
}

pub(super) fn register_combined_nonce(
    appliance: &Arc<Appliance>,
    request: Request<MuSig2RegisterCombinedNonceRequest>,
) -> Answer<MuSig2RegisterCombinedNonceResponse> {
    step(appliance, request, |node, asked| {
        let id = session(&asked.session_id)?;
        node.keyring().musig2_register_combined_nonce(id, &asked.combined_public_nonce)?;
        Ok(MuSig2RegisterCombinedNonceResponse {})
    })
}

pub(super) fn combined_nonce(
    appliance: &Arc<Appliance>,
    request: Request<MuSig2GetCombinedNonceRequest>,
) -> Answer<MuSig2GetCombinedNonceResponse> {
    step(appliance, request, |node, asked| {
        let nonce = node.keyring().musig2_combined_nonce(session(&asked.session_id)?)?;
        Ok(MuSig2GetCombinedNonceResponse { combined_public_nonce: nonce.to_vec() })
    })
}

pub(super) fn combine(
    appliance: &Arc<Appliance>,
    request: Request<MuSig2CombineSigRequest>,
) -> Answer<MuSig2CombineSigResponse> {
    step(appliance, request, |node, asked| {
        let others = slices(&asked.other_partial_signatures);
        let signature = node.keyring().musig2_combine(session(&asked.session_id)?, &others)?;
        Ok(MuSig2CombineSigResponse {
            have_all_signatures: signature.is_some(),
            final_signature: signature.map_or_else(Vec::new, |s| s.to_vec()),
        })
    })
}

pub(super) fn cleanup(
    appliance: &Arc<Appliance>,
    request: Request<MuSig2CleanupRequest>,
) -> Answer<MuSig2CleanupResponse> {
    step(appliance, request, |node, asked| {
        node.keyring()
            .musig2_cleanup(session(&asked.session_id)?)
            .map_err(|e: KeyringError| Refusal::from(e))?;
        Ok(MuSig2CleanupResponse {})
    })
}
