//! VLS's chain tracker, fed with plain blocks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::consensus::{Decodable as _, Encodable as _, serialize};
use bitcoin::hash_types::FilterHeader;
use bitcoin::hashes::Hash as _;
use bitcoin::{Block, Network, OutPoint};
use lightning_signer::chain::tracker::{ChainTracker, Error, Headers, ListenSlot};
use lightning_signer::policy::simple_validator::SimpleValidatorFactory;
use lightning_signer::policy::validator::ChainState;
use secp256k1::PublicKey;
use txoo::proof::TxoProof;

use super::attestation::attest;
use super::funding_watch::{Funding, FundingWatch, Watched};
use super::rules::strictest;

/// Headers below the tip that are kept: reorganisations up to this depth are followed. VLS keeps 100.
pub const DEPTH: usize = 100;

/// Filters begin with the first block we see. VLS takes a filter before of all zeros for one that it must not check.
const FIRST_FILTER: [u8; 32] = [1; 32];

/// A block that does not go onto the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// VLS knows no rules of difficulty for this network.
    #[error("VLS follows no chain of {0}; it follows those of bitcoin, testnet and regtest")]
    Network(Network),
    /// Not the block above the tip.
    #[error("block {given} does not follow the tip at {tip}")]
    Height {
        /// Height of the tip.
        tip: u32,
        /// Height given.
        given: u32,
    },
    /// The block to be taken back is not the tip.
    #[error("the block to be taken back is not the tip at {0}")]
    NotTheTip(u32),
    /// No block was seen, or none that deep is kept.
    #[error("the chain goes back further than is kept")]
    TooDeep,
    /// VLS does not accept it.
    #[error("VLS refuses the block: {0}")]
    Refused(String),
}

/// The tracker and its one listener.
pub(super) struct Chain {
    tracker: ChainTracker<FundingWatch>,
    watch: FundingWatch,
    node: PublicKey,
}

/// All of a [`Chain`], to be put back if VLS fails halfway, and to be stored.
#[derive(Clone)]
pub(super) struct Parts {
    network: Network,
    headers: VecDeque<Headers>,
    tip: Headers,
    pub(super) watched: Watched,
}

impl Chain {
    /// A chain of which `header`, at `height`, is the first block known. VLS checks its work.
    pub(super) fn begin(
        network: Network,
        node: PublicKey,
        header: Header,
        watched: Watched,
    ) -> Result<Self, ChainError> {
        if !matches!(network, Network::Bitcoin | Network::Testnet | Network::Regtest) {
            return Err(ChainError::Network(network));
        }
        header.validate_pow(header.target()).map_err(|error| ChainError::Refused(error.to_string()))?;
        let tip = Headers(header, FilterHeader::from_byte_array(FIRST_FILTER));
        Ok(Self::build(Parts { network, headers: VecDeque::new(), tip, watched }, node))
    }

    fn build(parts: Parts, node: PublicKey) -> Self {
        let Parts { network, headers, tip, watched } = parts;
        let height = watched.height;
        let slot = slot(&watched.fundings);
        let watch = FundingWatch::of(watched);
        // What judges blocks has no limits; the strictest are as good as any.
        let factory = Arc::new(SimpleValidatorFactory::new_with_policy(strictest()));
        let listeners = BTreeMap::from([((), (watch.clone(), slot))]);
        let tracker =
            ChainTracker::restore(headers, tip, height, network, listeners, node, factory, Vec::new());
        Self { tracker, watch, node }
    }

    pub(super) fn parts(&self) -> Parts {
        let tracker = &self.tracker;
        Parts {
            network: tracker.network,
            headers: tracker.headers.clone(),
            tip: tracker.tip.clone(),
            watched: self.watch.lock().clone(),
        }
    }

    pub(super) fn height(&self) -> u32 {
        self.tracker.height()
    }

    pub(super) fn funding_state(&self, funding: &OutPoint) -> Option<ChainState> {
        self.watch.lock().state(funding)
    }

    pub(super) fn funding(&self, funding: &OutPoint) -> Option<Funding> {
        self.watch.lock().fundings.get(funding).copied()
    }

    /// Watches an output from now on, or corrects what is known of it.
    pub(super) fn watch(&mut self, outpoint: OutPoint, funding: Funding) {
        self.watch.lock().fundings.insert(outpoint, funding);
        if let Some((_, slot)) = self.tracker.listeners.get_mut(&()) {
            slot.txid_watches.insert(outpoint.txid);
            slot.watches.insert(outpoint);
        }
    }

    /// The block above the tip.
    pub(super) fn connect(&mut self, block: &Block, height: u32) -> Result<(), ChainError> {
        let tip = self.height();
        if tip.checked_add(1) != Some(height) {
            return Err(ChainError::Height { tip, given: height });
        }
        self.guarded(|chain| {
            let before = chain.tracker.tip.1;
            let (txids, outpoints) = chain.tracker.get_all_forward_watches();
            let attestations = attest(block, height, &before);
            let proof = TxoProof::prove(attestations, &before, block, height, &outpoints, &txids);
            // The filter seemed to match an output that no transaction spends: VLS wants the block itself, in pieces.
            let (proof, whole) = proof.take_block();
            if whole.is_some() {
                chain.tracker.block_chunk(block.block_hash(), 0, &serialize(block))?;
            }
            chain.tracker.add_block(block.header, proof)
        })
    }

    /// The tip's own block, which a reorganisation takes back.
    pub(super) fn disconnect(&mut self, block: &Block) -> Result<(), ChainError> {
        let height = self.height();
        if block.block_hash() != self.tracker.tip.0.block_hash() {
            return Err(ChainError::NotTheTip(height));
        }
        let before = self.tracker.headers.front().cloned().ok_or(ChainError::TooDeep)?;
        let (txids, outpoints) = self.tracker.get_all_reverse_watches();
        let attestations = attest(block, height, &before.1);
        let proof = TxoProof::prove(attestations, &before.1, block, height, &outpoints, &txids);
        let (proof, whole) = proof.take_block();
        if whole.is_some() {
            // VLS cannot take back a block that comes in pieces: it holds the pieces against the block before. The block
            // is the tip, which VLS has accepted, so going back to the parts before it is the same.
            let mut parts = self.parts();
            parts.headers.pop_front();
            parts.tip = before;
            parts.watched.take_back();
            *self = Self::build(parts, self.node);
            return Ok(());
        }
        self.guarded(|chain| chain.tracker.remove_block(proof, before).map(drop))
    }

    /// One change by VLS: an error or a panic leaves the chain as it was.
    pub(super) fn guarded(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), ChainError> {
        let parts = self.parts();
        let outcome = catch_unwind(AssertUnwindSafe(|| change(self)));
        let refusal = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Error::ReorgTooDeep)) => ChainError::TooDeep,
            Ok(Err(error)) => ChainError::Refused(format!("{error:?}")),
            Err(_) => ChainError::Refused("its tracker panicked; the daemon's log has its words".to_owned()),
        };
        *self = Self::build(parts, self.node);
        Err(refusal)
    }
}

fn slot(fundings: &BTreeMap<OutPoint, Funding>) -> ListenSlot {
    ListenSlot {
        txid_watches: fundings.keys().map(|funding| funding.txid).collect(),
        watches: fundings.keys().copied().collect(),
        seen: BTreeSet::new(),
    }
}

impl Parts {
    /// Height, tip, and the headers below it, latest first; without what is watched.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = self.watched.height.to_be_bytes().to_vec();
        for headers in std::iter::once(&self.tip).chain(self.headers.iter().take(DEPTH)) {
            headers.consensus_encode(&mut bytes).expect("writing to memory cannot fail");
        }
        bytes
    }

    pub(super) fn read(
        bytes: &[u8],
        network: Network,
        fundings: BTreeMap<OutPoint, Funding>,
    ) -> Option<Self> {
        let (height, mut rest) = bytes.split_first_chunk::<4>()?;
        let tip = Headers::consensus_decode(&mut rest).ok()?;
        let mut headers = VecDeque::new();
        while !rest.is_empty() {
            headers.push_back(Headers::consensus_decode(&mut rest).ok()?);
        }
        let mut watched = Watched::default();
        watched.height = u32::from_be_bytes(*height);
        watched.fundings = fundings;
        Some(Self { network, headers, tip, watched })
    }

    /// The chain again.
    pub(super) fn build(self, node: PublicKey) -> Chain {
        Chain::build(self, node)
    }
}
