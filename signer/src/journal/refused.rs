//! Refused requests that would have brought money home from a channel, told until the same outputs are signed for.
//!
//! LND does not ask again for what it was refused: a sweep and a close by force never, a fee bump once. So a refusal that
//! nobody reads loses an HTLC when it runs out. What is told is kept with the refusal itself, and survives a restart.
//! It is bounded: of each node the largest claims stay, those on transactions that we signed before all others, so that
//! invented ones push no true one out.

use std::collections::HashMap;

use bitcoin::OutPoint;
use serde::{Deserialize, Serialize};
use strongroom_policy::{
    Evidence, InputFact, KeyLocator, KeyPath, Kind, NodeName, Spend, SpendAsk, SweepOf, Verdict, way_out,
};

use super::keys;
use super::thread::Keeper;
use crate::refusal::Refusal;
use crate::store::Batch;

/// Claims of one node that are told of.
const MOST: usize = 64;

/// Outputs of one transaction that are told of.
const OF_ONE: usize = 16;

/// Characters of the rules' words that are kept.
const WORDS: usize = 600;

/// An output that we were refused to claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedClaim {
    /// The output.
    pub outpoint: OutPoint,
    /// What was asked for, as the word of its kind.
    pub kind: String,
    /// What the output holds, satoshi.
    pub sat: u64,
    /// Unix seconds of the last refusal.
    pub at: u64,
    /// The rules that it broke, in words.
    pub because: String,
    /// What to do about it.
    pub way_out: String,
    /// The output is of a transaction that we signed, or of a channel that we know, and its amount is proven.
    pub known: bool,
}

impl RefusedClaim {
    /// What stays where not all can.
    fn rank(&self) -> (bool, u64, OutPoint) {
        (self.known, self.sat, self.outpoint)
    }
}

/// The refused claims of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct RefusedClaims(HashMap<OutPoint, RefusedClaim>);

/// What a decision changes in them.
#[derive(Debug, Default)]
pub(super) struct Retold {
    told: Vec<RefusedClaim>,
    gone: Vec<OutPoint>,
}

impl Retold {
    /// Whether a claim that is certainly ours is told of for the first time: no flood may hide it.
    pub(super) fn is_news(&self, before: &RefusedClaims) -> bool {
        self.told.iter().any(|claim| claim.known && !before.0.contains_key(&claim.outpoint))
    }

    pub(super) fn put(&self, batch: &mut Batch, node: &NodeName) -> Result<(), Refusal> {
        for claim in &self.told {
            let value = serde_json::to_vec(claim).map_err(|e| Refusal::Internal(format!("claim: {e}")))?;
            batch.put(keys::refused_claim(node, &claim.outpoint), value);
        }
        for outpoint in &self.gone {
            batch.remove(keys::refused_claim(node, outpoint));
        }
        Ok(())
    }
}

impl RefusedClaims {
    /// Reads what was stored; records that cannot be read are told of no more.
    pub(super) fn load(values: impl Iterator<Item = Vec<u8>>) -> Self {
        let claims = values.filter_map(|value| serde_json::from_slice::<RefusedClaim>(&value).ok());
        Self(claims.map(|claim| (claim.outpoint, claim)).collect())
    }

    /// All, the largest that are certain first.
    pub(super) fn list(&self) -> Vec<RefusedClaim> {
        let mut all: Vec<RefusedClaim> = self.0.values().cloned().collect();
        all.sort_unstable_by_key(|claim| std::cmp::Reverse(claim.rank()));
        all
    }

    /// What changes by telling of these too.
    fn with(&self, new: Vec<RefusedClaim>) -> Retold {
        let mut all = self.0.clone();
        all.extend(new.iter().map(|claim| (claim.outpoint, claim.clone())));
        let mut ranked: Vec<&RefusedClaim> = all.values().collect();
        ranked.sort_unstable_by_key(|claim| std::cmp::Reverse(claim.rank()));
        let over: Vec<OutPoint> = ranked.iter().skip(MOST).map(|claim| claim.outpoint).collect();
        Retold {
            told: new.into_iter().filter(|claim| !over.contains(&claim.outpoint)).collect(),
            gone: over.into_iter().filter(|outpoint| self.0.contains_key(outpoint)).collect(),
        }
    }

    /// What changes once these outputs are signed for.
    fn without(&self, signed: &[OutPoint]) -> Retold {
        let gone = signed.iter().copied().filter(|outpoint| self.0.contains_key(outpoint)).collect();
        Retold { told: Vec::new(), gone }
    }

    /// Takes a change in that was stored.
    pub(super) fn take(&mut self, retold: Retold) {
        for outpoint in retold.gone {
            self.0.remove(&outpoint);
        }
        self.0.extend(retold.told.into_iter().map(|claim| (claim.outpoint, claim)));
    }
}

/// Whether a request brings money home. Our own commitment 0 is asked for at the opening, and what looks like a commitment
/// or the peer's HTLC transaction, and is nothing that we know, is of a channel that goes on.
fn brings_home(ask: &SpendAsk) -> bool {
    const ALL: u32 = 1;
    match ask.spend {
        Spend::HolderCommitment { number, .. } => number > 0,
        Spend::Unknown { .. } => {
            let as_commitment = ask.inputs.len() == 1 && ask.inputs[0].sequence >> 24 == 0x80;
            !as_commitment && ask.signed.iter().all(|signed| signed.sighash <= ALL)
        }
        ref other => Kind::CLOSING.contains(&Kind::of_spend(other)),
    }
}

/// The outputs that a request would bring home, by input: those whose channel key it asks for; or, where only the wallet's
/// coins are to be signed that pay its fee, what they pay for.
fn claimed(ask: &SpendAsk) -> Vec<usize> {
    let brings = |key: &KeyPath| match key {
        KeyPath::Lightning(locator) => locator.family <= KeyLocator::DELAY_BASE,
        KeyPath::Wallet(_) => false,
    };
    let signed = ask.signed.iter().filter(|signed| brings(&signed.key)).map(|signed| signed.index);
    let paid_for = |input: &InputFact| match ask.spend {
        Spend::HolderHtlc { commitment } => input.outpoint.txid == commitment,
        Spend::Sweep(SweepOf::Anchor) => input.amount.to_sat() == 330,
        _ => false,
    };
    let mut found: Vec<usize> = signed.collect();
    if found.is_empty() {
        found = (0..ask.inputs.len()).filter(|index| paid_for(&ask.inputs[*index])).collect();
    }
    found.truncate(OF_ONE);
    found
}

impl Keeper {
    /// What is told of a refused request, and what no more once one was signed.
    pub(super) fn retold(&self, node: &NodeName, ask: &SpendAsk, verdict: &Verdict) -> Retold {
        let kind = Kind::of_spend(&ask.spend);
        let Some(books) = self.books.get(node) else { return Retold::default() };
        if let (Spend::CounterpartyCommitment { channel, .. }, true) = (&ask.spend, verdict.allowed()) {
            // The channel goes on: nobody waits for its close.
            return books.refused_claims.without(&[*channel]);
        }
        if !brings_home(ask) {
            return Retold::default();
        }
        let inputs = claimed(ask).into_iter().filter_map(|index| ask.inputs.get(index));
        if verdict.allowed() {
            return books.refused_claims.without(&inputs.map(|input| input.outpoint).collect::<Vec<_>>());
        }
        let words: Vec<String> = verdict.enforced.iter().map(ToString::to_string).collect();
        let because: String = words.join("; ").chars().take(WORDS).collect();
        let way_out = way_out(kind, &verdict.enforced);
        let new = inputs.map(|input| {
            let signed_before = || {
                let name = keys::transaction(node, &input.outpoint.txid);
                matches!(self.store.get(&name), Ok(Some(_))) || books.channels.is_known(&input.outpoint)
            };
            RefusedClaim {
                outpoint: input.outpoint,
                kind: kind.as_str().to_owned(),
                sat: input.amount.to_sat(),
                at: self.now(),
                because: because.clone(),
                way_out: way_out.clone(),
                known: input.evidence != Evidence::Claimed && signed_before(),
            }
        });
        books.refused_claims.with(new.collect())
    }

    /// Says aloud what is told from now on.
    pub(super) fn tell_retold(&self, node: &NodeName, retold: &Retold) {
        for claim in &retold.told {
            tell(node, claim);
        }
    }

    /// A refusal that is only counted, since there are so many: what is certainly ours is told of all the same.
    pub(super) fn tell_unlisted(&mut self, node: &NodeName, retold: Retold, batch: Batch) {
        let news = self.books.get(node).is_some_and(|books| retold.is_news(&books.refused_claims));
        if !news || self.record_all([], batch).is_err() {
            return;
        }
        self.tell_retold(node, &retold);
        if let Some(books) = self.books.get_mut(node) {
            books.refused_claims.take(retold);
        }
    }

    /// Says again, at a start, what still stands.
    pub(super) fn tell_refused_claims(&self, node: &NodeName) {
        for claim in self.books.get(node).map(|books| books.refused_claims.list()).unwrap_or_default() {
            tell(node, &claim);
        }
    }
}

fn tell(node: &NodeName, claim: &RefusedClaim) {
    tracing::error!(
        %node,
        output = %claim.outpoint,
        sat = claim.sat,
        because = claim.because,
        way_out = claim.way_out,
        "{} was refused",
        strongroom_policy::claim(&claim.kind)
    );
}

#[cfg(test)]
mod tests;
