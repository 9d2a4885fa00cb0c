//! The line that every request walks, top to bottom. Nothing reaches the keyring by another way.
//!
//! Comments at the steps say what a crash *here* costs.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::appliance::{Appliance, OpenNode};
use crate::journal::{Approved, Asked, Subject};
use crate::refusal::Refusal;
use crate::share::{BIG, Turn};

/// Who asks: a macaroon that was verified.
#[derive(Clone, Debug)]
pub struct Client {
    /// The node whose keys the macaroon is good for.
    pub node: strongroom_policy::NodeName,
    /// The client's name, which policy grants rights to.
    pub name: strongroom_policy::ClientName,
    /// The place of this request in the client's share.
    pub turn: Turn,
}

/// Walks one request down the line.
///
/// `size` is its length in bytes, about; `parse` reads it against the node's public keys; `sign` uses the approval up
/// and gives the answer.
pub async fn walk<T, P, S, A>(
    appliance: &Arc<Appliance>,
    client: &Client,
    size: usize,
    parse: P,
    sign: S,
) -> Result<A, Refusal>
where
    T: Subject,
    P: FnOnce(&OpenNode) -> Result<T, Refusal>,
    S: FnOnce(&OpenNode, Approved<T>) -> Result<A, Refusal>,
{
    let began = Instant::now();
    let limit = appliance.limits().deadline_ms;
    let deadline = began + Duration::from_millis(limit);
    let late = Refusal::Late { limit_ms: limit };

    // Sealed: no keys, no journal. Crash: nothing was asked yet.
    let node = appliance.node(&client.node)?;

    // Big ones take long to parse, decide and sign: one at a time of each client, so that small ones of others get
    // between them. Crash: nothing happened.
    let big = size >= BIG;
    if big && tokio::time::timeout_at(deadline.into(), client.turn.alone()).await.is_err() {
        return Err(late);
    }

    // parse: bytes to meaning, or InvalidArgument. Pure. Crash: nothing happened.
    let request = match aside(big, || guarded(|| parse(&node))) {
        Ok(request) => request,
        Err(refusal) => {
            node.journal().turned_away(client, T::OPERATION, &refusal);
            return Err(refusal);
        }
    };

    // An output that no key derived so far explains, of a kind that our wallet has: keys further on are derived, once ever,
    // one request of each client at a time, and for half of the deadline at most. Crash: nothing happened.
    let far = request.may_be_far(node.accounts());
    if far {
        if !big && tokio::time::timeout_at(deadline.into(), client.turn.alone()).await.is_err() {
            return Err(late);
        }
        let until = began + Duration::from_millis(limit / 2);
        aside(true, || request.search(node.accounts(), &|| Instant::now() < until));
        if !big {
            client.turn.no_longer_alone();
        }
    }

    // classify, decide, record: on the journal's own thread, in one step. The answer comes when the record is written.
    // Crash before that: no leaf, no charge, no signature; lnd asks again.
    let (reply, decided) = oneshot::channel();
    let turn = client.turn.clone();
    let asked = Asked { node: client.node.clone(), client: client.name.clone(), turn, request, reply };
    node.journal().decide(asked)?;
    let decided = match tokio::time::timeout_at(deadline.into(), decided).await {
        Ok(Ok(decision)) => decision?,
        Ok(Err(_)) => return Err(Refusal::Internal("the journal dropped the request".to_owned())),
        Err(_) => return Err(late),
    };
    crate::fault::point("decided");

    // sign: consumes the approval; verified before release. The disk works meanwhile. Crash: the signature dies with
    // the process; the record stands or not, and the same request asked again gets the same bytes.
    let withheld = aside(big, || guarded(|| sign(&node, decided.approved)))?;
    client.turn.no_longer_alone();
    crate::fault::point("signed");

    // record: nothing leaves before its record is durable (money) or written (gossip). Crash before the flush: no leaf,
    // no charge, nothing left. Crash after it: leaf and charge stand, and the request repeated is not charged twice.
    match tokio::time::timeout_at(deadline.into(), decided.record.wait()).await {
        Ok(durable) => durable?,
        Err(_) => return Err(late),
    }
    crate::fault::point("durable");

    // release. Crash: the client may or may not have the bytes; asked again it gets the same ones.
    Ok(withheld)
}

/// Runs a long step aside: the thread's other work goes to another thread meanwhile.
fn aside<A>(long: bool, step: impl FnOnce() -> A) -> A {
    if long { tokio::task::block_in_place(step) } else { step() }
}

/// Runs `step` so that a panic in it is a refusal of this request and nothing else.
pub fn guarded<A>(step: impl FnOnce() -> Result<A, Refusal>) -> Result<A, Refusal> {
    std::panic::catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
        tracing::error!("a step of the line panicked; the request is refused");
        Err(Refusal::Internal("a step of the line panicked".to_owned()))
    })
}
