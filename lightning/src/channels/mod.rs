//! What requests have taught about one node's channels.

mod change;
mod htlc_answers;
mod record;
mod totals;

use std::collections::{BTreeMap, HashMap};

use bitcoin::{Amount, OutPoint, Txid};
use strongroom_policy::KeyLocator;

pub use change::Learned;
pub(crate) use change::{Change, MaybeFunding};
pub(crate) use htlc_answers::{HtlcAnswer, HtlcAnswers};
pub use record::BadRecord;
pub(crate) use record::{Channel, ChannelRecord, CounterpartyState, HolderState};

/// Registry of one node's channels, in memory. One thread owns it: it classifies a request, decides, and if the
/// decision is to sign, stores what was learned ([`Learned::records`]) and lets the registry [`learn`] it, before
/// the next request is classified.
///
/// [`learn`]: Channels::learn
#[derive(Default)]
pub struct Channels {
    pub(crate) channels: HashMap<OutPoint, Channel>,
    /// Our multisig key's index → its channel; a key belongs to one channel only.
    pub(crate) by_multisig: HashMap<u32, OutPoint>,
    /// Our HTLC basepoint's index → its channel, once matched.
    pub(crate) by_htlc_base: HashMap<u32, OutPoint>,
    /// Revocation root's index → the multisig key it was combined with, until a channel uses that key.
    pub(crate) reservations: BTreeMap<u32, u32>,
    /// Possible funding outputs that we signed and no commitment has spent yet.
    pub(crate) fundings: HashMap<OutPoint, MaybeFunding>,
    /// HTLC signatures given, by the commitment they spend: for the latest commitment of each channel and for
    /// commitments not asked for yet.
    pub(crate) htlc_answers: HashMap<Txid, HtlcAnswers>,
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
            Change::Channel(record) => {
                let channel = Channel::from(*record);
                let record = &channel.record;
                self.by_multisig
                    .insert(record.multisig.index, record.funding);
                if let Some(base) = record.htlc_base {
                    self.by_htlc_base.insert(base, record.funding);
                }
                let counted = record.counted_capacity();
                let before = self.channels.insert(record.funding, channel);
                let before =
                    before.map_or(Amount::ZERO, |channel| channel.record.counted_capacity());
                // Capacities are below 21 million bitcoin each; a sum that overflows would need 8,000 of them.
                self.open_capacity = self
                    .open_capacity
                    .checked_sub(before)
                    .and_then(|sum| sum.checked_add(counted))
                    .unwrap_or(Amount::MAX);
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
            Change::HtlcAnswered {
                commitment,
                vout,
                answer,
            } => {
                self.htlc_answers
                    .entry(commitment)
                    .or_default()
                    .insert(vout, *answer);
            }
            Change::HtlcForgotten { commitment, vout } => {
                if let Some(answers) = self.htlc_answers.get_mut(&commitment) {
                    answers.remove(vout);
                    if answers.is_empty() {
                        self.htlc_answers.remove(&commitment);
                    }
                }
            }
        }
    }

    /// Whether a commitment of the channel has been seen.
    pub fn is_known(&self, channel: &OutPoint) -> bool {
        self.channels.contains_key(channel)
    }

    /// Capacity of a channel.
    pub fn capacity(&self, channel: &OutPoint) -> Option<Amount> {
        self.channels
            .get(channel)
            .map(|channel| channel.record.capacity)
    }

    /// Capacity of all channels for which no closing transaction was signed last.
    pub fn open_capacity(&self) -> Amount {
        self.open_capacity
    }

    /// Sum and count of possible funding outputs signed that no commitment has matched.
    pub fn unmatched_funding(&self) -> (Amount, u32) {
        let sum = self.fundings.values().fold(Amount::ZERO, |sum, funding| {
            sum.checked_add(funding.amount).unwrap_or(Amount::MAX)
        });
        (sum, u32::try_from(self.fundings.len()).unwrap_or(u32::MAX))
    }

    /// Channel reservations that no channel has used.
    pub fn open_reservations(&self) -> u32 {
        u32::try_from(self.reservations.len()).unwrap_or(u32::MAX)
    }

    /// The multisig key that the revocation root `{5/root}` was combined with, while the reservation is open.
    pub fn reserved_for(&self, root: u32) -> Option<KeyLocator> {
        let index = *self.reservations.get(&root)?;
        Some(KeyLocator {
            family: KeyLocator::MULTISIG,
            index,
        })
    }
}
