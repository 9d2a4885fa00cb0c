//! Strongroom against lnd's own signer: every request of a recorded day of a real watch-only lnd is
//! asked again, under the same seed, and the answers are compared.
//!
//! Equal means byte for byte where signatures are deterministic (RFC 6979 ECDSA, shared keys, public
//! keys). Schnorr signatures differ by their nonces; they are verified against the transaction.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use bitcoin::consensus::Decodable;
use bitcoin::hashes::Hash;
use bitcoin::key::XOnlyPublicKey;
use bitcoin::secp256k1::{Message, Parity, Scalar, Secp256k1, VerifyOnly};
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::{Psbt, VarInt};
use prost::Message as _;
use serde_json::Value;
use strongroom_proto::signrpc;
use strongroom_proto::walletrpc::{SignPsbtRequest, SignPsbtResponse};
use strongroom_tests::grpc::Channel;
use strongroom_tests::recorder::{Call, read_calls};
use strongroom_tests::signer::TEST_MASTER_KEY;
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/lnd-0.21.3")
}

/// The recorded day, in the order of its requests.
fn recorded() -> Result<Vec<Call>> {
    let meta: Value = serde_json::from_str(&std::fs::read_to_string(vectors().join("meta.json"))?)?;
    ensure!(meta["master_key"] == TEST_MASTER_KEY, "the vectors are another seed's");
    let mut calls = Vec::new();
    for phase in meta["phases"].as_array().context("meta.json without phases")? {
        let file = phase["file"].as_str().context("phase without file")?;
        calls.extend(read_calls(&vectors().join(file))?);
    }
    ensure!(calls.len() >= 1_000, "{} recorded requests: fewer than 1,000", calls.len());
    Ok(calls)
}

/// How an answer agreed.
enum Agreement {
    Identical,
    /// The same but for a Schnorr nonce; the signature verifies.
    Verified,
    /// The same but for fresh MuSig2 nonces.
    FreshNonces,
}

#[test]
fn every_recorded_request_is_answered_as_lnds_signer_did() -> Result<()> {
    Workdir::new("differential")?.run(|dir| {
        let daemon = Strongroomd::start(dir, &PolicyChoice::lab(), Some(TEST_MASTER_KEY))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let channel = Channel::to_signer(&daemon.endpoint()).await?;
            let mut replay = Replay::default();
            let (mut identical, mut verified, mut fresh) = (0, 0, 0);
            let mut differing = Vec::new();
            for call in recorded()? {
                match replay.ask(&channel, &call).await {
                    Ok(Agreement::Identical) => identical += 1,
                    Ok(Agreement::Verified) => verified += 1,
                    Ok(Agreement::FreshNonces) => fresh += 1,
                    Err(error) => differing.push(format!("request {} {}: {error:#}", call.seq, call.method)),
                }
            }
            eprintln!(
                "differential figures: {} requests, {identical} answers identical, {verified} with another valid Schnorr nonce, \
                 {fresh} with fresh MuSig2 nonces, {} different",
                identical + verified + fresh + differing.len(),
                differing.len()
            );
            ensure!(differing.is_empty(), "answers differ:\n{}", differing[..differing.len().min(20)].join("\n"));
            Ok(())
        })
    })
}

#[test]
fn the_accounts_are_those_that_lnd_exports() -> Result<()> {
    Workdir::new("accounts")?.run(|dir| {
        let daemon = Strongroomd::start(dir, &PolicyChoice::cautious(), Some(TEST_MASTER_KEY))?;
        let theirs: Value = serde_json::from_str(&std::fs::read_to_string(vectors().join("accounts.json"))?)?;
        let (ours, theirs) = (used_fields(&daemon.accounts()?)?, used_fields(&theirs)?);
        ensure!(theirs.len() == 259, "lnd exported {} accounts, not 259", theirs.len());
        ensure!(ours == theirs, "first difference: {:?}", ours.iter().zip(&theirs).find(|(a, b)| a != b));
        Ok(())
    })
}

/// What lnd reads of each account: path, extended public key, fingerprint.
fn used_fields(accounts: &Value) -> Result<Vec<(String, String, String)>> {
    let list = accounts["accounts"].as_array().context("no accounts")?;
    let text = |account: &Value, field: &str| account[field].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = list
        .iter()
        .map(|a| {
            (text(a, "derivation_path"), text(a, "extended_public_key"), text(a, "master_key_fingerprint"))
        })
        .collect();
    all.sort();
    Ok(all)
}

/// Session ids of lnd's signer and ours, where they differ.
#[derive(Default)]
struct Replay {
    sessions: HashMap<Vec<u8>, Vec<u8>>,
}

impl Replay {
    async fn ask(&mut self, channel: &Channel, call: &Call) -> Result<Agreement> {
        let request = self.translated(call)?;
        let theirs = hex::decode(&call.resp)?;
        let answer = channel.call(&call.method, &request).await?;
        ensure!(
            answer.code == call.code,
            "code {} ({}), lnd's signer {}",
            answer.code,
            answer.message,
            call.code
        );
        if answer.body == theirs {
            return Ok(Agreement::Identical);
        }
        match call.method.as_str() {
            "/walletrpc.WalletKit/SignPsbt" => same_but_schnorr(&answer.body, &theirs),
            "/signrpc.Signer/MuSig2CreateSession" => self.same_but_nonces(call, &answer.body, &theirs),
            "/signrpc.Signer/MuSig2Sign" => {
                let id = signrpc::MuSig2SignRequest::decode(hex::decode(&call.req)?.as_slice())?.session_id;
                ensure!(self.sessions.contains_key(&id), "another partial signature under the same nonces");
                Ok(Agreement::FreshNonces)
            }
            _ => bail!("{} not {}", hex::encode(&answer.body), call.resp),
        }
    }

    /// The recorded request with our session's id for theirs.
    fn translated(&self, call: &Call) -> Result<Vec<u8>> {
        let request = hex::decode(&call.req)?;
        Ok(match call.method.as_str() {
            "/signrpc.Signer/MuSig2Sign" => {
                let mut sign = signrpc::MuSig2SignRequest::decode(request.as_slice())?;
                self.translate(&mut sign.session_id);
                sign.encode_to_vec()
            }
            "/signrpc.Signer/MuSig2CombineSig" => {
                let mut combine = signrpc::MuSig2CombineSigRequest::decode(request.as_slice())?;
                self.translate(&mut combine.session_id);
                combine.encode_to_vec()
            }
            _ => request,
        })
    }

    fn translate(&self, id: &mut Vec<u8>) {
        if let Some(ours) = self.sessions.get(id) {
            id.clone_from(ours);
        }
    }

    /// A session without a nonce given by the caller: all but nonces and id must agree.
    fn same_but_nonces(&mut self, call: &Call, ours: &[u8], theirs: &[u8]) -> Result<Agreement> {
        let asked = signrpc::MuSig2SessionRequest::decode(hex::decode(&call.req)?.as_slice())?;
        ensure!(asked.pregenerated_local_nonce.is_empty(), "another session from the same nonce");
        let mut ours = signrpc::MuSig2SessionResponse::decode(ours)?;
        let theirs = signrpc::MuSig2SessionResponse::decode(theirs)?;
        self.sessions.insert(theirs.session_id.clone(), ours.session_id.clone());
        ours.session_id.clone_from(&theirs.session_id);
        ours.local_public_nonces.clone_from(&theirs.local_public_nonces);
        ensure!(ours == theirs, "{ours:?} not {theirs:?}");
        Ok(Agreement::FreshNonces)
    }
}

/// Two SignPsbt answers that are the same but for valid Schnorr signatures.
fn same_but_schnorr(ours: &[u8], theirs: &[u8]) -> Result<Agreement> {
    let (ours, theirs) = (SignPsbtResponse::decode(ours)?, SignPsbtResponse::decode(theirs)?);
    ensure!(ours.signed_inputs == theirs.signed_inputs, "other inputs are signed");
    let (ours, our_witnesses) = without_final_witnesses(&ours.signed_psbt)?;
    let (theirs, their_witnesses) = without_final_witnesses(&theirs.signed_psbt)?;
    ensure!(our_witnesses == their_witnesses, "final witnesses of other inputs differ");
    let mut ours = Psbt::deserialize(&ours)?;
    let mut theirs = Psbt::deserialize(&theirs)?;
    let signatures = verify_schnorr(&ours)?;
    // Theirs too: a verification that takes anything would be found out.
    ensure!(
        signatures > 0 && verify_schnorr(&theirs)? == signatures,
        "other inputs carry Schnorr signatures"
    );
    for psbt in [&mut ours, &mut theirs] {
        for input in &mut psbt.inputs {
            input.tap_key_sig = None;
            for signature in input.tap_script_sigs.values_mut() {
                signature.signature = bitcoin::secp256k1::schnorr::Signature::from_slice(&[0; 64])?;
            }
        }
    }
    ensure!(ours == theirs, "the PSBTs differ beside Schnorr signatures");
    Ok(Agreement::Verified)
}

/// A PSBT's bytes without the final witnesses (0x08) of inputs signed before, and these apart: in
/// batches of HTLC transactions lnd writes witnesses that count fewer items than they hold, which
/// rust-bitcoin does not read.
fn without_final_witnesses(psbt: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let (magic, mut rest) = psbt.split_at_checked(5).context("no PSBT")?;
    let mut kept = magic.to_vec();
    let mut witnesses = Vec::new();
    // The first map is the global one, where 0x08 means nothing of the kind.
    let mut global = true;
    while !rest.is_empty() {
        let before = rest;
        let key = take(&mut rest)?;
        if key.is_empty() {
            global = false;
        } else {
            let value = take(&mut rest)?;
            if !global && key == [0x08] {
                witnesses.push(value.to_vec());
                continue;
            }
        }
        kept.extend_from_slice(&before[..before.len() - rest.len()]);
    }
    Ok((kept, witnesses))
}

/// Takes a length-prefixed run of bytes off `rest`.
fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let VarInt(length) = Decodable::consensus_decode(rest)?;
    let (taken, left) = rest.split_at_checked(usize::try_from(length)?).context("PSBT cut short")?;
    *rest = left;
    Ok(taken)
}

/// Verifies every Schnorr signature of a PSBT and answers how many there are.
fn verify_schnorr(psbt: &Psbt) -> Result<usize> {
    let secp = Secp256k1::verification_only();
    let utxos: Vec<_> = psbt
        .inputs
        .iter()
        .map(|i| i.witness_utxo.clone().context("an input without witness_utxo"))
        .collect::<Result<_>>()?;
    let mut cache = SighashCache::new(&psbt.unsigned_tx);
    let prevouts = Prevouts::All(&utxos);
    let mut verified = 0;
    for (n, input) in psbt.inputs.iter().enumerate() {
        if let Some(signature) = input.tap_key_sig {
            let script = utxos[n].script_pubkey.as_bytes();
            let key = XOnlyPublicKey::from_slice(script.get(2..34).context("not a taproot output")?)?;
            let hash = cache.taproot_key_spend_signature_hash(n, &prevouts, signature.sighash_type)?;
            secp.verify_schnorr(&signature.signature, &Message::from_digest(hash.to_byte_array()), &key)?;
            verified += 1;
        }
        for ((key, leaf), signature) in &input.tap_script_sigs {
            let kind: TapSighashType = signature.sighash_type;
            let hash = cache.taproot_script_spend_signature_hash(n, &prevouts, *leaf, kind)?;
            let message = Message::from_digest(hash.to_byte_array());
            let keys = signing_keys(&secp, input, *key)?;
            ensure!(
                keys.iter().any(|key| secp.verify_schnorr(&signature.signature, &message, key).is_ok()),
                "input {n}: the signature is not the stated key's"
            );
            verified += 1;
        }
    }
    Ok(verified)
}

/// The keys that may sign where lnd names `key`: itself, or with the input's single tweak (0x51) added.
/// lnd names the untweaked key without its parity, so both are tried.
fn signing_keys(
    secp: &Secp256k1<VerifyOnly>,
    input: &bitcoin::psbt::Input,
    key: XOnlyPublicKey,
) -> Result<Vec<XOnlyPublicKey>> {
    let Some(tweak) = input.unknown.iter().find(|(name, _)| name.type_value == 0x51).map(|(_, t)| t) else {
        return Ok(vec![key]);
    };
    let tweak = Scalar::from_be_bytes(tweak.as_slice().try_into().context("a tweak of 32 bytes")?)?;
    [Parity::Even, Parity::Odd]
        .into_iter()
        .map(|parity| Ok(key.public_key(parity).add_exp_tweak(secp, &tweak)?.x_only_public_key().0))
        .collect()
}

#[test]
fn no_recorded_request_is_malformed_to_the_contract() -> Result<()> {
    // The recorded bytes are lnd's; what our contract cannot read would be lost before it is judged.
    for call in recorded()? {
        if call.method == "/walletrpc.WalletKit/SignPsbt" {
            let bytes = hex::decode(&call.req)?;
            let request = SignPsbtRequest::decode(bytes.as_slice())?;
            ensure!(request.encode_to_vec() == bytes, "request {} loses fields", call.seq);
        }
    }
    Ok(())
}
