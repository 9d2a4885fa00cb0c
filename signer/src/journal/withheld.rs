//! Commitments that what is still to come may explain.
//!
//! lnd asks for a commitment of the peer's and for the peer's HTLC transactions on it at once, in any order. The HTLC
//! requests are answered as they come; the commitment's signature is withheld until they explain every output. It
//! keeps nobody waiting but itself.

use bitcoin::Txid;
use strongroom_lightning::SignRequest;
use strongroom_policy::NodeName;

use super::job::Asked;

/// Commitments of one node withheld at a time; lnd has one for each channel that is being updated. Each node has its own
/// room, so that one cannot take another's.
const MOST: usize = 1_000;

/// What a commitment waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// Requests that explain so many outputs.
    Htlcs(u32),
    /// A block.
    Block,
}

struct Held {
    asked: Asked<SignRequest>,
    txid: Txid,
    wants: Wants,
    /// Unix milliseconds.
    until: u64,
}

/// The commitments withheld.
pub(super) struct Withheld {
    held: Vec<Held>,
    patience_ms: u64,
    /// Why nothing more is waited for.
    closing: Option<String>,
}

impl Withheld {
    /// None yet; each will wait for `patience_ms` at most.
    pub(super) fn new(patience_ms: u64) -> Self {
        Self { held: Vec::new(), patience_ms, closing: None }
    }

    /// Longest wait in milliseconds.
    pub(super) fn patience_ms(&self) -> u64 {
        self.patience_ms
    }

    /// Whether another one of the node's may wait.
    pub(super) fn has_room(&self, node: &NodeName) -> bool {
        self.held.iter().filter(|held| held.asked.node == *node).count() < MOST
    }

    /// Withholds a commitment.
    pub(super) fn keep(&mut self, asked: Asked<SignRequest>, txid: Txid, wants: Wants, until: u64) {
        // A big one would otherwise keep out the very requests that it waits for.
        asked.turn.no_longer_alone();
        self.held.push(Held { asked, txid, wants, until });
    }

    /// An HTLC of a commitment was asked for. Answers the commitment when it wants no other, to be decided again.
    pub(super) fn explained(&mut self, node: &NodeName, txid: &Txid) -> Option<(Asked<SignRequest>, u64)> {
        let at = self.held.iter().position(|held| held.txid == *txid && held.asked.node == *node)?;
        if let Wants::Htlcs(left @ 2..) = &mut self.held[at].wants {
            *left -= 1;
            return None;
        }
        let Held { asked, until, .. } = self.held.swap_remove(at);
        Some((asked, until))
    }

    /// Takes those that wait for a block, to be decided again.
    pub(super) fn waiting_for_block(&mut self) -> Vec<(Asked<SignRequest>, u64)> {
        let waiting = self.held.extract_if(.., |held| held.wants == Wants::Block);
        waiting.map(|held| (held.asked, held.until)).collect()
    }

    /// When the next one has waited long enough, Unix milliseconds.
    pub(super) fn due(&self) -> Option<u64> {
        self.held.iter().map(|held| held.until).min()
    }

    /// Why nothing more is waited for: no request comes any more that could explain anything.
    pub(super) fn closing(&self) -> Option<&str> {
        self.closing.as_deref()
    }

    /// Waits no longer; takes all that did.
    pub(super) fn close(&mut self, because: String) -> Vec<Asked<SignRequest>> {
        self.closing = Some(because);
        self.held.drain(..).map(|held| held.asked).collect()
    }

    /// Takes those that have.
    pub(super) fn overdue(&mut self, now_ms: u64) -> Vec<Asked<SignRequest>> {
        self.held.extract_if(.., |held| held.until <= now_ms).map(|held| held.asked).collect()
    }
}
