//! `forward-exposure`: forwards that are not proven settled are limited, for the channel they came by and in total.
//!
//! Without it a compromised LND invents incoming HTLCs, or lets them go after the outgoing ones were paid, and so pays a
//! colluding peer out of our other channels without end. Requests alone never prove that an incoming HTLC will be ours;
//! only the balance it brings does, and until then the forward is at risk.

use super::Rule;
use crate::case::Case;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::update::Cover;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, plus};
use bitcoin::Amount;

/// The rule's name.
pub const TAG: Tag = Tag("forward-exposure");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "forwards not proven settled are limited per incoming channel and in total",
    protects_money: true,
    check,
};

fn check(policy: &Policy, _: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Some(update) = &facts.update else { return };
    let limits = &policy.file.forwards;
    let mut new = Amount::ZERO;
    let most = limits.max_provisional_per_channel_sat.amount();
    for htlc in &update.offered {
        let Cover::Forward { incoming, provisional, again: false, .. } = htlc.cover else { continue };
        new = plus(new, htlc.amount);
        if plus(provisional, htlc.amount) > most {
            let value =
                format!("{} more after {} for HTLCs of {incoming}", Sat(htlc.amount), Sat(provisional));
            found.push(Violation::new(TAG, value, format!("at most {} per incoming channel", Sat(most))));
        }
    }
    let reopened = update.reopened.as_ref();
    for (incoming, at_risk) in reopened.into_iter().flat_map(|reopened| &reopened.channels) {
        if *at_risk > most {
            let value = format!("{} at risk again for HTLCs of {incoming}", Sat(*at_risk));
            found.push(Violation::new(TAG, value, format!("at most {} per incoming channel", Sat(most))));
        }
    }
    let most = limits.max_provisional_total_sat.amount();
    let again = reopened.map_or(Amount::ZERO, |reopened| reopened.total);
    if again > most {
        let value = format!("{} at risk again for all channels", Sat(again));
        found.push(Violation::new(TAG, value, format!("at most {} in all", Sat(most))));
    }
    let before = facts.provisional_total.max(again);
    if new > Amount::ZERO && plus(before, new) > most {
        let value = format!("{} more after {} for all channels", Sat(new), Sat(before));
        found.push(Violation::new(TAG, value, format!("at most {} in all", Sat(most))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::update::{ChannelUpdate, Reopened};

    #[test]
    fn a_channels_bucket_fills() {
        let policy = edited("forwards", "max_provisional_per_channel_sat", 1_000);
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        assert!(violated(TAG, &policy, &asked, &offering(10, forward(700_100, 991))));
        assert!(!violated(TAG, &policy, &asked, &offering(10, forward(700_100, 990))));
        assert!(!violated(TAG, &policy, &asked, &offering(5_000, Cover::Own)));
    }

    #[test]
    fn what_another_version_ended_is_limited_when_it_is_at_risk_again() {
        let reopening = |total, of_one| {
            let reopened = Reopened { total: sat(total), channels: vec![(outpoint(59), sat(of_one))] };
            updating(ChannelUpdate { reopened: Some(reopened), ..ChannelUpdate::default() })
        };
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let policy = edited("forwards", "max_provisional_per_channel_sat", 1_000);
        assert!(violated(TAG, &policy, &asked, &reopening(1_001, 1_001)));
        assert!(!violated(TAG, &policy, &asked, &reopening(5_000, 1_000)));
        let policy = edited("forwards", "max_provisional_total_sat", 1_000);
        assert!(violated(TAG, &policy, &asked, &reopening(1_001, 1)));
        assert!(!violated(TAG, &policy, &asked, &reopening(1_000, 1_000)));
    }

    /// It is among those not settled already.
    #[test]
    fn a_forward_offered_again_is_not_counted_twice() {
        let policy = edited("forwards", "max_provisional_total_sat", 1_000);
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let cover = Cover::Forward {
            incoming: outpoint(59),
            incoming_cltv: 700_100,
            provisional: sat(1_000),
            again: true,
            claims_overdue: 0,
        };
        let facts = Facts { provisional_total: sat(1_000), ..offering(1_000, cover) };
        assert!(!violated(TAG, &policy, &asked, &facts));
    }

    #[test]
    fn all_of_them_together_are_limited() {
        let policy = edited("forwards", "max_provisional_total_sat", 1_000);
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let after = |before| Facts { provisional_total: sat(before), ..offering(10, forward(700_100, 0)) };
        assert!(violated(TAG, &policy, &asked, &after(991)));
        assert!(!violated(TAG, &policy, &asked, &after(990)));
    }
}
