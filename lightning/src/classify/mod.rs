//! What a transaction is: recognition by script, key, shape, and what earlier requests taught.

mod anew;
mod claimed;
pub(crate) mod close;
mod commitment;
mod ecdh;
mod evidence;
mod holder_htlc;
mod onchain;
mod outputs;
mod peer_htlc;
mod role;
mod sweep;
mod whose;

use bitcoin::{OutPoint, TxOut, Txid};
use strongroom_policy::SpendAsk;
use strongroom_policy::case::{Destination, Spend, SweepOf};

use crate::accounts::Accounts;
use crate::channels::{Change, Channels, Learned};
use crate::psbt::{SignRequest, ToSign};
use crate::weight;
use role::Role;

pub(crate) use commitment::has_shape as has_commitment_shape;
pub(crate) use peer_htlc::htlc_of;

/// Transactions that we recorded when we signed them, by [`SpendAsk::txid`]; the journal keeps them. All kinds but
/// the peer's HTLC transactions must be among them: a commitment that is neither recorded nor the latest counts as
/// one that lnd has yet to ask for.
pub trait KnownTransactions {
    /// The output, if its transaction was recorded.
    fn output(&self, outpoint: &OutPoint) -> Option<TxOut>;

    /// Whether [`Learned::tombstones`] named this commitment once, or it cannot be told.
    fn is_tombstoned(&self, commitment: &Txid) -> bool;
}

/// All that recognition looks at.
pub(crate) struct Scene<'a> {
    channels: &'a Channels,
    request: &'a SignRequest,
    accounts: &'a Accounts,
    known: &'a dyn KnownTransactions,
    reading: Reading,
}

/// How a commitment is read that may be either side's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// As the peer's, which is held against the books.
    First,
    /// As our own, where it may be that.
    Own,
}

/// What was recognised.
pub(crate) struct Finding {
    spend: Spend,
    changes: Vec<Change>,
    /// Outputs whose owner the kind of transaction tells, by index.
    owned: Vec<(usize, Destination)>,
}

impl Finding {
    fn of(spend: Spend) -> Self {
        Self { spend, changes: Vec::new(), owned: Vec::new() }
    }
}

/// Why a transaction is nothing that we know.
pub(crate) type Unfit = String;

impl Channels {
    /// What a SignPsbt request is, and what it teaches if it is approved.
    pub fn classify(
        &self,
        request: &SignRequest,
        accounts: &Accounts,
        known: &dyn KnownTransactions,
    ) -> (SpendAsk, Learned) {
        self.read(Scene { channels: self, request, accounts, known, reading: Reading::First })
    }

    /// The other reading of a commitment that is refused as the peer's: our own, if it may be that. lnd must be able to end
    /// a channel by its own commitment whatever the peer did to make it look like the peer's.
    pub fn classify_as_own(
        &self,
        request: &SignRequest,
        accounts: &Accounts,
        known: &dyn KnownTransactions,
    ) -> Option<(SpendAsk, Learned)> {
        let read = self.read(Scene { channels: self, request, accounts, known, reading: Reading::Own });
        matches!(read.0.spend, Spend::HolderCommitment { .. }).then_some(read)
    }

    fn read(&self, scene: Scene<'_>) -> (SpendAsk, Learned) {
        let request = scene.request;
        let (inputs, conflict) = evidence::inputs(&scene);
        let found = match conflict {
            Some(conflict) => Err(conflict),
            None => scene.find(),
        };
        let found = found.unwrap_or_else(|why| Finding::of(Spend::Unknown { why }));
        let (claimed, parents) = claimed::by(&scene, &found.spend, &inputs);
        let ask = SpendAsk {
            txid: request.txid(),
            signed: request.to_sign().iter().map(ToSign::fact).collect(),
            inputs,
            outputs: outputs::facts(&scene, &found.owned),
            weight: weight::estimate(request) + parents,
            claimed,
            spend: found.spend,
        };
        (ask, Learned { changes: found.changes })
    }
}

impl Scene<'_> {
    fn find(&self) -> Result<Finding, Unfit> {
        let role = role::of(self.signed())?;
        let rest = self.request.to_sign().iter().skip(1);
        let all_wallet = rest.map(role::of).all(|role| matches!(role, Ok(Role::Wallet)));
        if self.request.to_sign().len() > 1 && !(matches!(role, Role::Wallet) && all_wallet) {
            return Err("more than one signature is asked for, one of them with a channel key".into());
        }
        match role {
            Role::Wallet => onchain::find(self),
            Role::Funding(funding) => {
                if commitment::has_shape(self.request.transaction()) {
                    commitment::find(self, &funding)
                } else {
                    close::find(self, &funding)
                }
            }
            Role::Anchor => Ok(sweep::find(self, SweepOf::Anchor)),
            Role::Delayed => Ok(sweep::find(self, SweepOf::Delayed)),
            Role::ToRemote => Ok(sweep::find(self, SweepOf::ToRemote)),
            Role::Punishing => Ok(Finding::of(Spend::Justice)),
            Role::HtlcOnPeerCommitment(htlc) => peer_htlc::find(self, &htlc),
            Role::HtlcOnOwnCommitment(htlc) => holder_htlc::find(self, &htlc),
        }
    }

    /// Whether the commitment's HTLC signatures are kept no longer, so that nothing on it can be held against them.
    fn is_tombstoned(&self, commitment: &Txid) -> bool {
        self.channels.htlc_answers.get(commitment).is_none() && self.known.is_tombstoned(commitment)
    }

    /// The first signature asked for; a request has at least one.
    fn signed(&self) -> &ToSign {
        &self.request.to_sign()[0]
    }

    fn spent_by_signed(&self) -> (OutPoint, &TxOut) {
        let index = self.signed().index;
        let input = &self.request.transaction().input[index];
        (input.previous_output, &self.request.spent()[index].output)
    }
}

#[cfg(test)]
pub(crate) mod tests;
