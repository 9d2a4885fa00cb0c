//! HTLCs that run out: the obligation to act that a signer cannot enforce, but can tell of in time.

use std::collections::BTreeSet;

use bitcoin::OutPoint;

use super::view::View;
use super::watch::Funding;

/// An HTLC whose deadline is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// Its channel.
    pub channel: OutPoint,
    /// Absolute height from which the other side can take it (CLTV, BIP 65).
    pub expiry: u32,
    /// Blocks left; 0 once it has run out.
    pub left: u32,
}

/// The HTLCs of `deadlines` (channel, CLTV expiry height) that run out within `blocks` of the tip, each channel and expiry
/// once. Not those for which `acted` says that something was signed since, and not those of channels whose funding is
/// spent: what follows there follows on chain. Empty while there is no tip.
pub fn due(
    view: &View,
    blocks: u32,
    deadlines: impl IntoIterator<Item = (OutPoint, u32)>,
    acted: impl Fn(&OutPoint, u32) -> bool,
) -> BTreeSet<Due> {
    let Some(tip) = view.tip() else { return BTreeSet::new() };
    deadlines
        .into_iter()
        .map(|(channel, expiry)| Due { channel, expiry, left: expiry.saturating_sub(tip.height) })
        .filter(|due| due.left <= blocks)
        .filter(|due| !matches!(view.funding(&due.channel), Funding::Spent { .. }))
        .filter(|due| !acted(&due.channel, due.expiry))
        .collect()
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;

    use super::*;
    use crate::chain::fixture::{Miner, coin, output, spend};

    #[test]
    fn what_runs_out_near_and_unsigned_is_told_once() {
        let mut miner = Miner::regtest();
        let genesis = bitcoin::constants::genesis_block(Network::Regtest).header;
        let mut view = View::new(Network::Regtest);
        let (open, closed, settled) = (coin(1), coin(2), coin(3));
        let deadlines = [(open, 30), (open, 30), (open, 31), (open, 5), (closed, 12), (settled, 12)];
        let acted = |channel: &OutPoint, _| *channel == settled;
        assert!(due(&view, 20, deadlines, acted).is_empty(), "without a tip nothing is near");

        view.anchor(0, &[genesis]).expect("regtest's own");
        view.watch(closed, output(1), true);
        view.connect(&miner.mine(vec![spend(closed, output(1))])).expect("sound");
        for _ in 1..10 {
            view.connect(&miner.mine(vec![])).expect("sound");
        }
        let told: Vec<_> = due(&view, 20, deadlines, acted).into_iter().collect();
        let expected =
            [Due { channel: open, expiry: 5, left: 0 }, Due { channel: open, expiry: 30, left: 20 }];
        assert_eq!(told, expected);
        assert_eq!(due(&view, 19, deadlines, acted).len(), 1);
    }
}
