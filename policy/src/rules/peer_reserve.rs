//! `peer-reserve`: the peer's balance on its commitment does not fall below its reserve.
//!
//! Without it a compromised LND leaves a peer that works with it nothing to lose: whoever publishes a revoked commitment
//! forfeits its own balance, and with none left, trying costs nothing. LND itself signs no such commitment: a balance that
//! falls stays at the reserve at least, whoever adds the HTLCs and pays the fee (BOLT 2 asks it of who adds them).

use bitcoin::Amount;

use super::Rule;
use crate::case::Case;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("peer-reserve");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "the peer's own balance does not fall below its reserve",
    protects_money: true,
    check,
};

/// The least dust limit of a peer with P2WSH outputs (BOLT 2): a reserve below has no output.
const DUST: Amount = Amount::from_sat(354);

fn check(policy: &Policy, _: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let (Some(update), Some(capacity)) = (&facts.update, facts.channel_capacity) else { return };
    let (before, after) = update.peer_balance;
    let reserve = policy.file.channels.min_peer_reserve_per_mille.of(capacity).max(DUST);
    if after < before && after < reserve {
        let value = format!("{} left of the peer's {}", Sat(after), Sat(before));
        let limit = format!("no fall below the peer's reserve of {}", Sat(reserve));
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::update::ChannelUpdate;

    /// The fixture's channel holds 10,000,000 sat.
    fn falls(before: u64, after: u64) -> Facts {
        let peer_balance = (sat(before), sat(after));
        updating(ChannelUpdate { peer_balance, ..ChannelUpdate::default() })
    }

    #[test]
    fn the_peer_keeps_something_to_lose() {
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        for (before, after) in [(100_000, 99_999), (5_000_000, 0), (90_000, 89_999), (1, 0)] {
            assert!(violated(TAG, &cautious(), &asked, &falls(before, after)), "{before} to {after}");
        }
        for (before, after) in [(5_000_000, 100_000), (0, 0), (0, 5), (50_000, 50_000), (50_000, 99_999)] {
            assert!(!violated(TAG, &cautious(), &asked, &falls(before, after)), "{before} to {after}");
        }
    }

    #[test]
    fn of_a_small_channel_or_by_a_lax_policy_the_dust_limit_stands() {
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let small = |after| Facts { channel_capacity: Some(sat(20_000)), ..falls(1_000, after) };
        let lax = edited("channels", "min_peer_reserve_per_mille", 0);
        for (policy, facts) in [(&cautious(), small(353)), (&lax, falls(1_000, 353))] {
            assert!(violated(TAG, policy, &asked, &facts));
        }
        for (policy, facts) in [(&cautious(), small(354)), (&lax, falls(1_000, 354))] {
            assert!(!violated(TAG, policy, &asked, &facts));
        }
    }
}
