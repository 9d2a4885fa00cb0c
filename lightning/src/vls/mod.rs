//! The Validating Lightning Signer's rules, on what lnd's requests show (tier T0).
//!
//! Stock lnd sends neither the peer's basepoints nor commitment points nor revocations nor our own commitments. What
//! VLS judges without them it judges here: its validators are called with plain values that requests have truly shown.
//! Nothing is made up to please it; a rule that needs what is not known is named in [`TAGS`] with the reason.

mod attestation;
mod chain;
mod checks;
mod close;
mod commitment;
mod facts;
mod foresee;
mod funding_watch;
mod htlc;
mod judge;
mod onchain;
mod places;
mod record;
mod rules;
mod sweep;
mod tags;

use std::collections::{BTreeMap, HashMap};

use bitcoin::{Block, Network, OutPoint};
use lightning_signer::policy::validator::EnforcementState;
use secp256k1::PublicKey;
use strongroom_policy::file::VlsLimits;

use crate::channels::BadRecord;
use chain::{Chain, Parts};
use funding_watch::Watched;
use record::Record;
use rules::RuleSet;

pub use chain::{ChainError, DEPTH};
pub use checks::{VlsChecks, checks};
pub use facts::{ChannelFacts, CommitmentFacts, HtlcFacts};
pub use funding_watch::Funding;
pub use judge::Judged;
pub use places::Places;
pub use record::Taught;
pub use rules::PANIC;
pub use sweep::Sweep;
pub use tags::{AtT0, TAGS, VlsTag};

/// VLS for one LND node. One thread owns it: it judges a request, and what an approved one taught is stored
/// ([`Taught::records`]) and learned ([`Vls::learn`]) before the next.
pub struct Vls {
    limits: VlsLimits,
    /// The node's id, {6/0}.
    node: PublicKey,
    network: Network,
    rules: RuleSet,
    channels: HashMap<OutPoint, Latest>,
    chain: Option<Chain>,
}

/// The peer's latest commitment of one channel that we signed.
struct Latest {
    number: u64,
    /// Those whose script was shown, sorted.
    htlcs: Vec<HtlcFacts>,
    /// As VLS keeps it: true commitment numbers and amounts; no point and no revocation is ever put in.
    state: EnforcementState,
}

impl Latest {
    fn of(facts: &CommitmentFacts, least_feerate: u32) -> Self {
        let mut htlcs = facts.htlcs.clone();
        htlcs.sort_unstable();
        let mut state = EnforcementState::new(0);
        state.next_counterparty_commit_num = facts.vls_number().saturating_add(1);
        state.current_counterparty_commit_info = Some(commitment::info(facts, least_feerate));
        Self { number: facts.number, htlcs, state }
    }
}

impl Vls {
    /// A node of which nothing is known yet. `node` is its id.
    pub fn new(limits: VlsLimits, network: Network, node: PublicKey) -> Self {
        let rules = RuleSet::new(&limits, network, node);
        Self { limits, node, network, rules, channels: HashMap::new(), chain: None }
    }

    /// The node again from the records that [`Taught::records`] gave, in any order. Limits may have changed since.
    pub fn load(
        limits: VlsLimits,
        network: Network,
        node: PublicKey,
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, BadRecord> {
        let mut vls = Self::new(limits, network, node);
        let (mut fundings, mut chain) = (BTreeMap::new(), None);
        for (name, value) in records {
            match Record::read(&name, &value)? {
                Record::Commitment(facts) => vls.put(&facts),
                Record::Funding(outpoint, funding) => {
                    fundings.insert(outpoint, funding);
                }
                Record::Chain(bytes) => chain = Some((name, bytes)),
            }
        }
        if let Some((key, bytes)) = chain {
            let parts = Parts::read(&bytes, network, fundings).ok_or(BadRecord { key })?;
            vls.chain = Some(parts.build(node));
        }
        Ok(vls)
    }

    /// What an approved commitment teaches. A commitment older than the latest, asked for again, teaches nothing.
    pub fn learns(&self, facts: &CommitmentFacts) -> Taught {
        let before = self.channels.get(&facts.channel.funding);
        if before.is_some_and(|before| facts.channel.from_zero && facts.number < before.number) {
            return Taught::default();
        }
        let mut taught = Taught { commitment: Some(facts.clone()), ..Taught::default() };
        let outpoint = facts.channel.funding;
        if let Some(chain) = &self.chain
            && chain.funding(&outpoint).is_none()
        {
            // lnd has the first commitment signed before anybody can publish the funding.
            let from_opening = before.is_none() && facts.vls_number() == 0;
            taught.fundings.push((outpoint, Funding { from_opening, confirmed: None, spent: None }));
        }
        taught
    }

    /// Takes in what was stored.
    pub fn learn(&mut self, taught: Taught) {
        if let Some(facts) = taught.commitment {
            self.put(&facts);
        }
        if let Some(chain) = &mut self.chain {
            for (outpoint, funding) in taught.fundings {
                chain.watch(outpoint, funding);
            }
        }
    }

    fn put(&mut self, facts: &CommitmentFacts) {
        let latest = Latest::of(facts, *self.limits.min_commitment_sat_per_kw.get_ref());
        self.channels.insert(facts.channel.funding, latest);
    }

    /// Height of the tip, once a block was seen.
    pub fn height(&self) -> Option<u32> {
        self.chain.as_ref().map(Chain::height)
    }

    /// The next block of our own bitcoind. The first one only tells where the chain is: its work is checked and its
    /// transactions are not looked at. A block that is refused changes nothing.
    pub fn connect(&mut self, block: &Block, height: u32) -> Result<Taught, ChainError> {
        let before = match &mut self.chain {
            Some(chain) => {
                let before = chain.parts().watched;
                chain.connect(block, height)?;
                before
            }
            None => {
                // What confirmed before this is not known, and is not taken for unconfirmed.
                let unknown = Funding { from_opening: false, confirmed: None, spent: None };
                let mut watched = Watched::default();
                watched.height = height;
                watched.fundings = self.channels.keys().map(|outpoint| (*outpoint, unknown)).collect();
                self.chain = Some(Chain::begin(self.network, self.node, block.header, watched)?);
                Watched::default()
            }
        };
        Ok(self.moved(&before))
    }

    /// The tip's own block, which a reorganisation takes back: as many in a row as [`DEPTH`].
    pub fn disconnect(&mut self, block: &Block) -> Result<Taught, ChainError> {
        let chain = self.chain.as_mut().ok_or(ChainError::TooDeep)?;
        let before = chain.parts().watched;
        chain.disconnect(block)?;
        Ok(self.moved(&before))
    }

    /// Forgets the chain, for a view that lost its place; the next block connected begins another.
    pub fn forget_chain(&mut self) {
        self.chain = None;
    }

    /// A funding output that confirmed before it was watched, as our own bitcoind says; for channels that are older
    /// than our view of the chain.
    pub fn confirmed(&mut self, outpoint: OutPoint, height: u32) -> Taught {
        let Some(chain) = &mut self.chain else { return Taught::default() };
        let mut funding =
            chain.funding(&outpoint).unwrap_or(Funding { from_opening: false, confirmed: None, spent: None });
        funding.confirmed = Some(height);
        chain.watch(outpoint, funding);
        Taught { fundings: vec![(outpoint, funding)], ..Taught::default() }
    }

    /// Funding outputs of which it is not known whether they are confirmed, to ask bitcoind for.
    pub fn unknown_fundings(&self) -> Vec<OutPoint> {
        let Some(chain) = &self.chain else { return Vec::new() };
        let watched = chain.parts().watched;
        let unknown = watched.fundings.keys().filter(|outpoint| watched.state(outpoint).is_none());
        unknown.copied().collect()
    }

    /// What a block changed.
    fn moved(&self, before: &Watched) -> Taught {
        let Some(chain) = &self.chain else { return Taught::default() };
        let parts = chain.parts();
        let after = &parts.watched.fundings;
        let changed = after.iter().filter(|(outpoint, now)| before.fundings.get(outpoint) != Some(now));
        Taught {
            commitment: None,
            fundings: changed.map(|(outpoint, funding)| (*outpoint, *funding)).collect(),
            chain: Some(parts.write()),
        }
    }
}

#[cfg(test)]
mod tests;
