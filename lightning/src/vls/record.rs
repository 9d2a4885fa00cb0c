//! What is stored: a commitment for each channel, the funding outputs watched, the chain.

use bitcoin::OutPoint;
use bitcoin::Txid;
use bitcoin::hashes::Hash as _;
use serde::{Deserialize, Serialize};

use super::facts::CommitmentFacts;
use super::funding_watch::Funding;
use crate::channels::BadRecord;

/// What an approval, or a block, changes; to be stored with it, in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "what VLS is to know after a restart must be stored"]
pub struct Taught {
    pub(super) commitment: Option<CommitmentFacts>,
    pub(super) fundings: Vec<(OutPoint, Funding)>,
    /// The chain as written, already in force.
    pub(super) chain: Option<Vec<u8>>,
}

/// One record read back.
pub(super) enum Record {
    Commitment(CommitmentFacts),
    Funding(OutPoint, Funding),
    Chain(Vec<u8>),
}

/// First byte of a value: its form.
const FORM: u8 = 1;

const COMMITMENT: u8 = b'k';
const FUNDING: u8 = b'w';
const CHAIN: u8 = b't';

impl Taught {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What to store: key and value. Keys are unique within a node's VLS; the caller adds both names. The latest value
    /// of each key rebuilds everything by [`Vls::load`](super::Vls::load).
    pub fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let commitment = self.commitment.iter().map(|facts| {
            let key = key(COMMITMENT, &facts.channel.funding);
            (key, encode(facts))
        });
        let fundings =
            self.fundings.iter().map(|(outpoint, funding)| (key(FUNDING, outpoint), encode(funding)));
        let chain = self.chain.iter().map(|chain| (vec![CHAIN], [&[FORM][..], chain].concat()));
        commitment.chain(fundings).chain(chain).collect()
    }
}

impl Record {
    pub(super) fn read(name: &[u8], value: &[u8]) -> Result<Self, BadRecord> {
        let bad = || BadRecord { key: name.to_vec() };
        let (&tag, rest) = name.split_first().ok_or_else(bad)?;
        let (&form, bytes) = value.split_first().ok_or_else(bad)?;
        if form != FORM {
            return Err(bad());
        }
        match tag {
            COMMITMENT => Ok(Self::Commitment(decode(bytes).ok_or_else(bad)?)),
            FUNDING => {
                let (txid, vout) = rest.split_first_chunk::<32>().ok_or_else(bad)?;
                let vout = u32::from_be_bytes(vout.try_into().map_err(|_| bad())?);
                let outpoint = OutPoint { txid: Txid::from_byte_array(*txid), vout };
                Ok(Self::Funding(outpoint, decode(bytes).ok_or_else(bad)?))
            }
            CHAIN => Ok(Self::Chain(bytes.to_vec())),
            _ => Err(bad()),
        }
    }
}

fn key(tag: u8, outpoint: &OutPoint) -> Vec<u8> {
    [&[tag][..], outpoint.txid.as_byte_array(), &outpoint.vout.to_be_bytes()].concat()
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![FORM]).expect("records hold no type that postcard cannot write")
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    let (decoded, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(decoded)
}
