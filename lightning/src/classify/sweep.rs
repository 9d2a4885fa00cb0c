//! Collecting our outputs of a closed channel.

use strongroom_policy::case::{Spend, SweepOf};

use super::Finding;

/// A sweep. lnd batches many inputs and asks for one signature at a time: the input signed names the kind, and
/// every output is judged by its script.
pub(super) fn find(of: SweepOf) -> Finding {
    Finding::of(Spend::Sweep(of))
}
