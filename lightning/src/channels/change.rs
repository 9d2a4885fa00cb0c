//! What one request teaches, and its stored form.

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, OutPoint, ScriptBuf, Txid};
use serde::{Deserialize, Serialize};
use strongroom_policy::NodeId;

use super::close_allowance::CloseAllowance;
use super::htlc_answers::HtlcAnswer;
use super::record::{BadRecord, ChannelRecord};
use crate::books::{Authorization, Forward, Hash160};

/// What a request teaches if it is approved. Empty for most kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "an approved request's lessons must be stored and learned"]
pub struct Learned {
    pub(crate) changes: Vec<Change>,
}

/// One change of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A channel is new or has changed.
    Channel(Box<ChannelRecord>),
    /// A channel's announcement named its peer.
    Named { channel: OutPoint, peer: NodeId },
    /// `{5/root}` was combined with `{0/multisig}`.
    Reserved { root: u32, multisig: u32 },
    /// The reservation became a channel.
    ReservationUsed { root: u32 },
    /// A possible funding output was signed.
    Funding { outpoint: OutPoint, funding: MaybeFunding },
    /// A commitment spends it: it was one.
    FundingMatched { outpoint: OutPoint },
    /// The peer's HTLC transaction was signed.
    HtlcAnswered { commitment: Txid, vout: u32, order: u64, answer: Box<HtlcAnswer> },
    /// A later commitment was signed, so that no HTLC of this one is answered any more; or this one is never signed.
    HtlcForgotten { commitment: Txid, vout: u32 },
    /// HTLC transactions of this commitment were signed and are kept no longer: it is never to be signed.
    Tombstoned { commitment: Txid },
    /// A payment was authorised, or more of it offered.
    Authorized { hash160: Hash160, authorization: Box<Authorization> },
    /// An authorisation is long over.
    AuthorizationForgotten { hash160: Hash160 },
    /// An HTLC was forwarded, or one of its halves is gone.
    Forwarded { id: u64, forward: Box<Forward> },
    /// A forward is over.
    ForwardClosed { id: u64 },
    /// An operator said what a close by agreement must pay us.
    CloseAllowed { channel: OutPoint, allowance: CloseAllowance },
    /// That is over.
    CloseAllowanceForgotten { channel: OutPoint },
}

/// An output that could fund a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MaybeFunding {
    pub(crate) amount: Amount,
    pub(crate) script_pubkey: ScriptBuf,
}

/// First byte of a record: its form.
const FORM: u8 = 5;

impl Learned {
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Both lessons, this one first. What both say of a channel is said once, as the other has it.
    pub fn and(mut self, other: Self) -> Self {
        for change in other.changes {
            let same = match &change {
                Change::Channel(new) => self
                    .changes
                    .iter_mut()
                    .find(|same| matches!(same, Change::Channel(old) if old.funding == new.funding)),
                _ => None,
            };
            match same {
                Some(same) => *same = change,
                None => self.changes.push(change),
            }
        }
        self
    }

    /// What to store: key and value, or `None` where the key is to be deleted, in order. Keys are unique within a
    /// node; the caller adds the node. Together with all earlier ones they rebuild the registry by
    /// [`Channels::load`](super::Channels::load).
    pub fn records(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        self.changes.iter().filter_map(Change::record).collect()
    }

    /// Commitments never to be signed, which [`KnownTransactions::is_tombstoned`](crate::KnownTransactions::is_tombstoned)
    /// is to tell for ever. They are on disk only: as many as a long life brings need no memory.
    pub fn tombstones(&self) -> impl Iterator<Item = Txid> {
        self.changes.iter().filter_map(|change| match change {
            Change::Tombstoned { commitment } => Some(*commitment),
            _ => None,
        })
    }
}

impl Change {
    fn record(&self) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        Some(match self {
            Change::Channel(record) => (outpoint_key(b'c', &record.funding), Some(encode(record))),
            Change::Named { channel, peer } => (outpoint_key(b'n', channel), Some(encode(peer))),
            Change::Reserved { root, multisig } => (reservation_key(*root), Some(encode(multisig))),
            Change::ReservationUsed { root } => (reservation_key(*root), None),
            Change::Funding { outpoint, funding } => (outpoint_key(b'f', outpoint), Some(encode(funding))),
            Change::FundingMatched { outpoint } => (outpoint_key(b'f', outpoint), None),
            Change::HtlcAnswered { commitment, vout, order, answer } => {
                let outpoint = OutPoint { txid: *commitment, vout: *vout };
                (outpoint_key(b'h', &outpoint), Some(encode(&(order, answer))))
            }
            Change::HtlcForgotten { commitment, vout } => {
                (outpoint_key(b'h', &OutPoint { txid: *commitment, vout: *vout }), None)
            }
            Change::Tombstoned { .. } => return None,
            Change::Authorized { hash160, authorization } => {
                (authorization_key(hash160), Some(encode(authorization)))
            }
            Change::AuthorizationForgotten { hash160 } => (authorization_key(hash160), None),
            Change::Forwarded { id, forward } => (forward_key(*id), Some(encode(forward))),
            Change::ForwardClosed { id } => (forward_key(*id), None),
            Change::CloseAllowed { channel, allowance } => {
                (outpoint_key(b'x', channel), Some(encode(allowance)))
            }
            Change::CloseAllowanceForgotten { channel } => (outpoint_key(b'x', channel), None),
        })
    }

    /// The change that recreates a stored record.
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, BadRecord> {
        let bad = || BadRecord { key: key.to_vec() };
        let (&tag, rest) = key.split_first().ok_or_else(bad)?;
        match tag {
            b'c' => Ok(Change::Channel(decode(value).ok_or_else(bad)?)),
            b'n' => {
                let channel = outpoint(rest).ok_or_else(bad)?;
                Ok(Change::Named { channel, peer: decode(value).ok_or_else(bad)? })
            }
            b'r' => {
                let root = u32::from_be_bytes(rest.try_into().map_err(|_| bad())?);
                Ok(Change::Reserved { root, multisig: decode(value).ok_or_else(bad)? })
            }
            b'f' => {
                let outpoint = outpoint(rest).ok_or_else(bad)?;
                Ok(Change::Funding { outpoint, funding: decode(value).ok_or_else(bad)? })
            }
            b'h' => {
                let OutPoint { txid: commitment, vout } = outpoint(rest).ok_or_else(bad)?;
                let (order, answer) = decode(value).ok_or_else(bad)?;
                Ok(Change::HtlcAnswered { commitment, vout, order, answer })
            }
            b'a' => {
                let hash160 = rest.try_into().map_err(|_| bad())?;
                Ok(Change::Authorized { hash160, authorization: decode(value).ok_or_else(bad)? })
            }
            b'x' => {
                let channel = outpoint(rest).ok_or_else(bad)?;
                Ok(Change::CloseAllowed { channel, allowance: decode(value).ok_or_else(bad)? })
            }
            b'w' => {
                let id = u64::from_be_bytes(rest.try_into().map_err(|_| bad())?);
                Ok(Change::Forwarded { id, forward: decode(value).ok_or_else(bad)? })
            }
            _ => Err(bad()),
        }
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![FORM]).expect("records hold no type that postcard cannot write")
}

fn decode<T: for<'a> Deserialize<'a>>(value: &[u8]) -> Option<T> {
    let (&form, rest) = value.split_first()?;
    if form != FORM {
        return None;
    }
    let (decoded, rest) = postcard::take_from_bytes(rest).ok()?;
    rest.is_empty().then_some(decoded)
}

fn reservation_key(root: u32) -> Vec<u8> {
    [&[b'r'][..], &root.to_be_bytes()].concat()
}

fn authorization_key(hash160: &Hash160) -> Vec<u8> {
    [&[b'a'][..], hash160].concat()
}

fn forward_key(id: u64) -> Vec<u8> {
    [&[b'w'][..], &id.to_be_bytes()].concat()
}

fn outpoint_key(tag: u8, outpoint: &OutPoint) -> Vec<u8> {
    [&[tag][..], outpoint.txid.as_byte_array(), &outpoint.vout.to_be_bytes()].concat()
}

fn outpoint(key: &[u8]) -> Option<OutPoint> {
    let (txid, vout) = key.split_first_chunk::<32>()?;
    let vout = u32::from_be_bytes(vout.try_into().ok()?);
    Some(OutPoint { txid: Txid::from_byte_array(*txid), vout })
}
