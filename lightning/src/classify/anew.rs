//! A channel key that is taken.

use bitcoin::OutPoint;
use strongroom_policy::KeyLocator;

use super::{Scene, Unfit};

/// Our key of a new channel belongs to another. An honest LND comes to that when it was made anew and its channels were
/// restored from a backup: it counts keys from the first again, so each opening is refused until it has passed them all.
pub(super) fn taken(scene: &Scene<'_>, multisig: KeyLocator, other: &OutPoint) -> Unfit {
    let taken = scene.channels.by_multisig.len();
    let last = scene.channels.by_multisig.keys().max().copied().unwrap_or(multisig.index);
    format!(
        "our key {{{multisig}}} belongs to channel {other} already; if lnd was made anew, {taken} keys are taken, the last \
         of them {{{}/{last}}}: move lnd's key index past it (README.md, \"lnd made anew\")",
        KeyLocator::MULTISIG
    )
}
