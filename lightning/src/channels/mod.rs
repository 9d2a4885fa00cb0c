//! What requests have taught about one node's channels.

mod behind;
mod change;
mod close_allowance;
mod htlc_answers;
mod peers;
mod record;
mod totals;
mod view;

use std::collections::{BTreeMap, HashMap};

use bitcoin::{Amount, OutPoint, TxOut, Txid};
use strongroom_policy::{KeyLocator, NodeId};

pub use change::Learned;
pub(crate) use change::{Change, MaybeFunding};
pub use close_allowance::{CloseAllowance, CloseAllowanceError};
pub(crate) use htlc_answers::{AnsweredCommitments, HtlcAnswer, HtlcAnswers};
pub use record::BadRecord;
pub(crate) use record::{Before, Channel, ChannelRecord, CounterpartyState, HolderState, PendingHtlc};
pub use view::{ChannelView, HtlcView, OverdueClaim};

use crate::books::Books;

/// Registry of one node's channels, in memory. One thread owns it: it classifies a request, decides, and if the
/// decision is to sign, stores what was learned ([`Learned::records`]) and lets the registry [`learn`] it, before
/// the next request is classified.
///
/// [`learn`]: Channels::learn
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Channels {
    pub(crate) channels: HashMap<OutPoint, Channel>,
    /// Our multisig key's index → its channel; a key belongs to one channel only.
    pub(crate) by_multisig: HashMap<u32, OutPoint>,
    /// Our HTLC basepoint's index → its channel, once matched.
    pub(crate) by_htlc_base: HashMap<u32, OutPoint>,
    /// Latest commitments of each channel, the peer's and ours.
    pub(crate) by_commitment: HashMap<Txid, OutPoint>,
    /// Revocation root's index → the multisig key it was combined with, until a channel uses that key.
    pub(crate) reservations: BTreeMap<u32, u32>,
    /// Possible funding outputs that we signed and no commitment has spent yet.
    pub(crate) fundings: HashMap<OutPoint, MaybeFunding>,
    /// HTLC signatures given.
    pub(crate) htlc_answers: AnsweredCommitments,
    /// The peer that each channel's announcement named.
    peers: HashMap<OutPoint, NodeId>,
    /// Payments and forwards.
    pub(crate) books: Books,
    /// What operators said that closes by agreement must pay us.
    close_allowances: BTreeMap<OutPoint, CloseAllowance>,
    /// Unix seconds, as last told.
    now: u64,
    /// Sum of the capacities of channels that are not closing.
    open_capacity: Amount,
}

impl Channels {
    /// The registry from the records that [`Learned::records`] gave, in any order.
    pub fn load(records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, BadRecord> {
        let mut channels = Self::default();
        for (key, value) in records {
            channels.apply(Change::read(&key, &value)?);
        }
        Ok(channels)
    }

    /// Takes in what an approved request taught.
    pub fn learn(&mut self, learned: Learned) {
        for change in learned.changes {
            self.apply(change);
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Channel(record) => self.put(Channel::from(*record)),
            Change::Named { channel, peer } => {
                self.peers.insert(channel, peer);
            }
            Change::Reserved { root, multisig } => {
                self.reservations.insert(root, multisig);
            }
            Change::ReservationUsed { root } => {
                self.reservations.remove(&root);
            }
            Change::Funding { outpoint, funding } => {
                self.fundings.insert(outpoint, funding);
            }
            Change::FundingMatched { outpoint } => {
                self.fundings.remove(&outpoint);
            }
            Change::HtlcAnswered { commitment, vout, order, answer } => {
                let latest = self.by_commitment.contains_key(&commitment);
                self.htlc_answers.insert(commitment, vout, order, *answer, latest);
            }
            Change::HtlcForgotten { commitment, vout } => self.htlc_answers.remove(&commitment, vout),
            // Kept by the store alone.
            Change::Tombstoned { .. } => {}
            Change::Authorized { hash160, authorization } => {
                self.books.authorizations.insert(hash160, *authorization);
            }
            Change::AuthorizationForgotten { hash160 } => {
                self.books.authorizations.remove(&hash160);
            }
            Change::Forwarded { id, forward } => {
                self.books.forwards.insert(id, *forward);
            }
            Change::ForwardClosed { id } => {
                self.books.forwards.remove(&id);
            }
            Change::CloseAllowed { channel, allowance } => {
                self.close_allowances.insert(channel, allowance);
            }
            Change::CloseAllowanceForgotten { channel } => {
                self.close_allowances.remove(&channel);
            }
        }
    }

    fn put(&mut self, channel: Channel) {
        let record = &channel.record;
        let funding = record.funding;
        let before = self.channels.get(&funding);
        for txid in before.iter().flat_map(|before| before.record.commitments()) {
            self.by_commitment.remove(&txid);
            self.htlc_answers.set_latest(&txid, false);
        }
        for txid in record.commitments() {
            self.htlc_answers.set_latest(&txid, true);
        }
        let uncounted = before.map_or(Amount::ZERO, |before| before.record.counted_capacity());
        self.by_commitment.extend(record.commitments().map(|txid| (txid, funding)));
        self.by_multisig.insert(record.multisig.index, funding);
        self.by_htlc_base.extend(record.htlc_base.map(|base| (base, funding)));
        // Every capacity is below 21 million bitcoin, so a sum that overflows would need 8,000 of the largest.
        self.open_capacity = self
            .open_capacity
            .checked_sub(uncounted)
            .and_then(|sum| sum.checked_add(record.counted_capacity()))
            .unwrap_or(Amount::MAX);
        self.channels.insert(funding, channel);
    }

    /// Number of channels seen, closed ones among them.
    pub fn len(&self) -> usize {
        self.channels.len()
    }

    /// Whether no channel has been seen.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// What the first commitment of the peer's paid us: what we keep of a channel that we funded, less its fee.
    pub fn first_to_remote(&self, channel: &OutPoint) -> Option<Amount> {
        self.channels.get(channel)?.record.first_to_remote
    }

    /// The funding output of a channel, as its commitments were signed for.
    pub fn funding_output(&self, channel: &OutPoint) -> Option<TxOut> {
        let channel = self.channels.get(channel)?;
        Some(TxOut { value: channel.record.capacity, script_pubkey: channel.funding_script_pubkey.clone() })
    }

    /// The funding outpoints of all channels seen, closed ones among them.
    pub fn fundings(&self) -> impl Iterator<Item = OutPoint> {
        self.channels.keys().copied()
    }

    /// Whether `txid` is the channel's latest commitment, the peer's or ours, that was signed.
    pub fn is_latest_commitment(&self, channel: &OutPoint, txid: &Txid) -> bool {
        self.by_commitment.get(txid) == Some(channel)
    }

    /// The channel whose latest commitment, the peer's or ours, has this id.
    pub(crate) fn of_commitment(&self, txid: &Txid) -> Option<&Channel> {
        self.channels.get(self.by_commitment.get(txid)?)
    }

    /// The channel of which this is one of the latest two commitments of the peer's, or the latest of ours: one of these confirms
    /// when nobody cheats. The one before the latest is looked for in all channels, which only fee bumps are worth.
    pub(crate) fn of_live_commitment(&self, txid: &Txid) -> Option<&Channel> {
        self.of_commitment(txid).or_else(|| {
            self.channels.values().find(|channel| {
                let latest = channel.record.counterparty.as_ref();
                latest.and_then(|latest| latest.before.as_ref()).is_some_and(|before| before.txid == *txid)
            })
        })
    }

    /// Whether a commitment of the channel has been seen.
    pub fn is_known(&self, channel: &OutPoint) -> bool {
        self.channels.contains_key(channel)
    }

    /// Capacity of a channel.
    pub fn capacity(&self, channel: &OutPoint) -> Option<Amount> {
        self.channels.get(channel).map(|channel| channel.record.capacity)
    }

    /// Capacity of all channels for which no closing transaction was signed last.
    pub fn open_capacity(&self) -> Amount {
        self.open_capacity
    }

    /// Sum and count of possible funding outputs signed that no commitment has matched.
    pub fn unmatched_funding(&self) -> (Amount, u32) {
        let sum = self
            .fundings
            .values()
            .fold(Amount::ZERO, |sum, funding| sum.checked_add(funding.amount).unwrap_or(Amount::MAX));
        (sum, u32::try_from(self.fundings.len()).unwrap_or(u32::MAX))
    }

    /// Channel reservations that no channel has used.
    pub fn open_reservations(&self) -> u32 {
        u32::try_from(self.reservations.len()).unwrap_or(u32::MAX)
    }

    /// The multisig key that the revocation root `{5/root}` was combined with, while the reservation is open.
    pub fn reserved_for(&self, root: u32) -> Option<KeyLocator> {
        let index = *self.reservations.get(&root)?;
        Some(KeyLocator { family: KeyLocator::MULTISIG, index })
    }
}
