//! Collecting our outputs of a closed channel.

use strongroom_policy::case::{Spend, SweepOf};

use super::{Finding, Scene, holder_htlc};

/// A sweep. lnd batches many inputs and asks for one signature at a time: the input signed names the kind, and
/// every output is judged by its script; unless second-level HTLC transactions are in the batch, whose outputs it
/// must have.
pub(super) fn find(scene: &Scene<'_>, of: SweepOf) -> Finding {
    holder_htlc::batch(scene).unwrap_or_else(|| Finding::of(Spend::Sweep(of)))
}
