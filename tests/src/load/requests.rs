//! What the load asks: requests as lnd sends them, no two alike.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1};
use bytes::Bytes;
use serde_json::Value;

use super::shapes::{BenchChannel, key};
use crate::grpc::frame;

/// Invented channels that the load is spread over, as a node's is.
pub const CHANNELS: u32 = 64;
/// Genesis hash of regtest, as channel_update carries it.
const REGTEST: &str = "06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f";

/// Framed requests, to be asked once each.
pub type Requests = Arc<Vec<Bytes>>;

/// What each connection asks, in order: method and framed request.
#[derive(Clone)]
pub struct Load(pub(super) Vec<Vec<(&'static str, Bytes)>>);

impl Load {
    /// Spreads requests for one method over `connections`, which divide [`CHANNELS`]: a Lightning channel's requests stay on
    /// one connection, in order.
    pub fn spread(method: &'static str, requests: &[Bytes], connections: usize) -> Self {
        let of = |first| {
            requests
                .iter()
                .skip(first)
                .step_by(connections)
                .map(|request| (method, request.clone()))
                .collect()
        };
        Self((0..connections).map(of).collect())
    }

    /// Requests in all.
    pub fn count(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// SignPsbt of a counterparty commitment's HTLC transaction.
    SignHtlc,
    /// SignPsbt of a counterparty commitment.
    SignCommitment,
    /// SignMessage of a channel_update.
    SignMessage,
    /// DeriveSharedKey for an onion, with the node's key.
    DeriveSharedKey,
    /// What lnd asks while it forwards payments: seven onions to sixteen SignPsbt, as on the recorded day (31 to 71).
    Forwarding,
}

impl Operation {
    /// All, HTLCs before the commitments they belong to: lnd's own order.
    pub const ALL: [Self; 5] =
        [Self::SignHtlc, Self::SignCommitment, Self::SignMessage, Self::DeriveSharedKey, Self::Forwarding];

    /// The gRPC method; of a mix the one that is most of it.
    pub fn method(self) -> &'static str {
        match self {
            Self::SignHtlc | Self::SignCommitment | Self::Forwarding => "/walletrpc.WalletKit/SignPsbt",
            Self::SignMessage => "/signrpc.Signer/SignMessage",
            Self::DeriveSharedKey => "/signrpc.Signer/DeriveSharedKey",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SignHtlc => "SignPsbt HTLC",
            Self::SignCommitment => "SignPsbt commitment",
            Self::SignMessage => "SignMessage",
            Self::DeriveSharedKey => "DeriveSharedKey",
            Self::Forwarding => "while forwarding",
        })
    }
}

/// Makes requests; never the same one twice.
pub struct RequestSource {
    channels: Vec<BenchChannel>,
    node_key: PublicKey,
    next_commitment: u64,
    next_message: u32,
    next_point: u64,
}

impl RequestSource {
    /// For the node whose accounts are `accounts`.
    pub fn new(accounts: &Value) -> Result<Self> {
        let secp = Secp256k1::verification_only();
        Ok(Self {
            channels: (1..=CHANNELS)
                .map(|index| BenchChannel::new(accounts, index))
                .collect::<Result<_>>()?,
            node_key: key(&secp, accounts, 6, 0)?,
            next_commitment: 0,
            next_message: 0,
            next_point: 0,
        })
    }

    /// What a signer that keeps state must see of each channel first: its reservation (ECDH of the
    /// revocation root with our multisig key) and its commitment number 0.
    pub fn preface(&self) -> Result<Vec<(&'static str, Bytes)>> {
        let mut calls = Vec::new();
        for (channel, index) in self.channels.iter().zip(1u8..) {
            calls.push((Operation::DeriveSharedKey.method(), reservation(channel, index)));
            let first = sign_psbt(&channel.plain_commitment(0)?);
            calls.push((Operation::SignCommitment.method(), first));
        }
        Ok(calls)
    }

    /// `count` commitments without HTLCs.
    pub fn commitments(&mut self, count: usize) -> Result<Requests> {
        let commitments = (0..count).map(|_| {
            let (channel, number) = self.next();
            Ok(sign_psbt(&self.channels[channel].plain_commitment(number)?))
        });
        Ok(Arc::new(commitments.collect::<Result<_>>()?))
    }

    /// The channel and the number of the next commitment: each channel's turn in a row.
    fn next(&mut self) -> (usize, u64) {
        let n = self.next_commitment;
        self.next_commitment += 1;
        ((n % u64::from(CHANNELS)) as usize, 1 + n / u64::from(CHANNELS))
    }

    /// `count` commitments with one HTLC each: (HTLC requests, commitment requests). A signer that validates signs a
    /// commitment only after its HTLC.
    pub fn pairs(&mut self, count: usize) -> Result<(Requests, Requests)> {
        let mut htlcs = Vec::with_capacity(count);
        let mut commitments = Vec::with_capacity(count);
        for _ in 0..count {
            let (channel, number) = self.next();
            let update = self.channels[channel].update(number, 1)?;
            htlcs.extend(update.htlcs.iter().map(|htlc| sign_psbt(htlc)));
            commitments.push(sign_psbt(&update.commitment));
        }
        Ok((Arc::new(htlcs), Arc::new(commitments)))
    }

    /// About `count` requests as while forwarding: each of eight HTLCs before its commitment, and between them seven onions.
    pub fn forwarding(&mut self, count: usize, connections: usize) -> Result<Load> {
        let pairs = count * 8 / 23;
        let (htlcs, commitments) = self.pairs(pairs)?;
        let onions = self.shared_keys(pairs)?;
        let mut load = vec![Vec::new(); connections];
        for n in 0..pairs {
            let asked = &mut load[n % connections];
            if !(n / connections).is_multiple_of(8) {
                asked.push((Operation::DeriveSharedKey.method(), onions[n].clone()));
            }
            asked.push((Operation::SignHtlc.method(), htlcs[n].clone()));
            asked.push((Operation::SignCommitment.method(), commitments[n].clone()));
        }
        Ok(Load(load))
    }

    /// `count` commitments with `htlcs` HTLCs each, and before each its HTLCs: what lnd asks for one update of a channel.
    pub fn updates(&mut self, count: usize, htlcs: u64) -> Result<Vec<Requests>> {
        let updates = (0..count).map(|_| {
            let (channel, number) = self.next();
            let update = self.channels[channel].update(number, htlcs)?;
            let requests = update.htlcs.iter().chain([&update.commitment]);
            Ok(Arc::new(requests.map(|psbt| sign_psbt(psbt)).collect()))
        });
        updates.collect()
    }

    /// `count` channel_updates.
    pub fn messages(&mut self, count: usize) -> Result<Requests> {
        let chain = hex::decode(REGTEST)?;
        Ok(Arc::new(
            (0..count)
                .map(|_| {
                    let n = self.next_message;
                    self.next_message += 1;
                    let mut update = chain.clone();
                    update.extend(0x0001_cc00_0001_0000_u64.to_be_bytes());
                    update.extend((1_700_000_000 + n).to_be_bytes());
                    update.extend([1, 0]);
                    update.extend(80u16.to_be_bytes());
                    update.extend(1_000u64.to_be_bytes());
                    update.extend(1_000u32.to_be_bytes());
                    update.extend(1u32.to_be_bytes());
                    update.extend(9_900_000_000u64.to_be_bytes());
                    let mut request = field(1, &update);
                    // key_loc {family 6, index 0}, double_hash
                    request.extend([0x12, 0x02, 0x08, 0x06, 0x18, 0x01]);
                    frame(&request)
                })
                .collect(),
        ))
    }

    /// `count` onions' ephemeral keys.
    pub fn shared_keys(&mut self, count: usize) -> Result<Requests> {
        let mut requests = Vec::with_capacity(count);
        while requests.len() < count {
            let hash = sha256::Hash::hash(&self.next_point.to_le_bytes());
            self.next_point += 1;
            let mut bytes = [2u8; 33];
            bytes[1..].copy_from_slice(&hash.to_byte_array());
            // Half of all x have a point.
            if let Ok(point) = PublicKey::from_slice(&bytes) {
                requests.push(shared_key(&point, Some(&self.node_key), 6, 0));
            }
        }
        Ok(Arc::new(requests))
    }
}

/// A framed reservation of the channel with key index `index`: ECDH of the revocation root with our multisig key.
pub fn reservation(channel: &BenchChannel, index: u8) -> Bytes {
    shared_key(&channel.multisig, None, 5, index)
}

/// A framed `SignPsbtRequest`.
pub fn sign_psbt(psbt: &[u8]) -> Bytes {
    frame(&field(1, psbt))
}

/// A framed `SharedKeyRequest`. lnd names the raw key only where the index is 0.
fn shared_key(ephemeral: &PublicKey, raw: Option<&PublicKey>, family: u8, index: u8) -> Bytes {
    let mut locator = vec![0x08, family];
    if index != 0 {
        locator.extend([0x10, index]);
    }
    let mut descriptor = raw.map_or_else(Vec::new, |raw| field(1, &raw.serialize()));
    descriptor.extend(field(2, &locator));
    let mut request = field(1, &ephemeral.serialize());
    request.extend(field(3, &descriptor));
    frame(&request)
}

/// A protobuf field of wire type 2 (length-delimited).
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![(number << 3) | 2];
    let mut length = value.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(value);
    out
}
