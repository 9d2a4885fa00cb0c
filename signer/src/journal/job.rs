//! What the journal can be asked.

use std::sync::Arc;

use bitcoin::BlockHash;
use strongroom_audit as audit;
use strongroom_lightning::Accounts;
use strongroom_policy::{ClientName, NodeName, Operation};
use tokio::sync::oneshot;

use super::record::{Decided, Wake};
use crate::chain::{NotTaken, Stand, Update};
use crate::keyring::{EcdhRequest, MessageRequest, Musig2Request};
use crate::refusal::Refusal;
use crate::share::Turn;
use strongroom_lightning::SignRequest;

/// Where a decision goes.
pub type Reply<T> = oneshot::Sender<Result<Decided<T>, Refusal>>;

/// A parsed request of an authenticated client, on its way to the journal.
pub struct Asked<T> {
    /// The node whose keys are asked for.
    pub node: NodeName,
    /// Who asks.
    pub client: ClientName,
    /// Its place in the client's share, held until the request has been handled.
    pub turn: Turn,
    /// What is asked.
    pub request: T,
    /// Where the decision goes.
    pub reply: Reply<T>,
}

/// Requests that the journal decides. Sealed: only this room's kinds.
pub trait Subject: Send + Sized + 'static {
    /// The call, as policy names it.
    const OPERATION: Operation;
    /// The job for the journal's queue.
    fn into_job(asked: Asked<Self>) -> Job;
    /// Whether what it pays may be ours at keys that are not derived yet.
    fn may_be_far(&self, _: &Accounts) -> bool {
        false
    }
    /// Derives keys until that is known, while `goes_on` says so.
    fn search(&self, _: &Accounts, _goes_on: &dyn Fn() -> bool) {}
}

/// One entry of the journal's queue.
pub enum Job {
    /// Signatures on a transaction.
    Spend(Box<Asked<SignRequest>>),
    /// A signature on a message.
    Message(Box<Asked<MessageRequest>>),
    /// A shared secret.
    Ecdh(Box<Asked<EcdhRequest>>),
    /// A MuSig2 step that yields a nonce or a partial signature.
    Musig2(Box<Asked<Musig2Request>>),
    /// A request that could not be read.
    Malformed {
        /// Node of the client.
        node: NodeName,
        /// Who asked.
        client: ClientName,
        /// The call.
        operation: Operation,
        /// What was wrong.
        why: String,
        /// Its place in the client's share.
        turn: Turn,
    },
    /// Something that happened to the appliance.
    Note(Box<audit::Event>, Option<Wake>),
    /// Called once all that is recorded by now is durable.
    Flushed(Wake),
    /// A node's keys are open.
    OpenNode {
        /// The node.
        node: NodeName,
        /// Its public keys.
        accounts: Arc<Accounts>,
        /// Answered when its books are read.
        done: std::sync::mpsc::SyncSender<Result<(), String>>,
    },
    /// Commitments were withheld long enough.
    GiveUp,
    /// The daemon stops: what is withheld is let go, and nothing more is.
    LetGo(String),
    /// What the poller learned from bitcoind.
    Chain {
        /// It.
        update: Box<Update>,
        /// Where the journal's stand goes.
        done: std::sync::mpsc::SyncSender<Result<Stand, NotTaken>>,
    },
    /// An operator names the block to follow the chain from, after a contradiction.
    AcceptBlock(BlockHash, Wake),
    /// What the journal knows of itself.
    Report(oneshot::Sender<super::Report>),
    /// A question about channels and payments, or an authorisation.
    Ask(super::Inquiry),
    /// Flush what is pending and end.
    Stop(String),
}

impl Subject for SignRequest {
    const OPERATION: Operation = Operation::SignPsbt;
    fn into_job(asked: Asked<Self>) -> Job {
        Job::Spend(Box::new(asked))
    }
    fn may_be_far(&self, accounts: &Accounts) -> bool {
        SignRequest::may_be_far(self, accounts)
    }
    fn search(&self, accounts: &Accounts, goes_on: &dyn Fn() -> bool) {
        SignRequest::search(self, accounts, goes_on);
    }
}

impl Subject for MessageRequest {
    const OPERATION: Operation = Operation::SignMessage;
    fn into_job(asked: Asked<Self>) -> Job {
        Job::Message(Box::new(asked))
    }
}

impl Subject for EcdhRequest {
    const OPERATION: Operation = Operation::DeriveSharedKey;
    fn into_job(asked: Asked<Self>) -> Job {
        Job::Ecdh(Box::new(asked))
    }
}

impl Subject for Musig2Request {
    const OPERATION: Operation = Operation::Musig2;
    fn into_job(asked: Asked<Self>) -> Job {
        Job::Musig2(Box::new(asked))
    }
}
