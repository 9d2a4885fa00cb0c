//! `unexplained-outflow`: balance that leaves a channel with no HTLC to show for it is limited in the rolling window.
//!
//! Without it a compromised LND moves our balance to the peer outright, by commitments that pay us less and less, or by
//! HTLCs too small to have an output. Honest traffic leaves a little unexplained too: dust and rounding.

use super::Rule;
use crate::case::Case;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, Span, plus};
use bitcoin::Amount;

/// The rule's name.
pub const TAG: Tag = Tag("unexplained-outflow");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "what leaves our channel balance unexplained is limited over the rolling window",
    protects_money: true,
    check,
};

fn check(policy: &Policy, _: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Some(update) = &facts.update else { return };
    let limit = policy.file.payments.max_unexplained_in_window_sat.amount();
    let (new, before) = (update.unexplained_outflow, facts.unexplained_in_window);
    if new > Amount::ZERO && plus(before, new) > limit {
        let value = format!("{} more after {}", Sat(new), Sat(before));
        let limit = format!("at most {} in {} without an HTLC", Sat(limit), Span(policy.window().seconds()));
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::update::ChannelUpdate;

    #[test]
    fn a_gift_to_the_peer_is_limited() {
        let policy = edited("payments", "max_unexplained_in_window_sat", 1_000);
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let losing = |new, before| Facts {
            unexplained_in_window: sat(before),
            ..updating(ChannelUpdate { unexplained_outflow: sat(new), ..ChannelUpdate::default() })
        };
        for (new, before) in [(1_001, 0), (1, 1_000), (u64::MAX, 5)] {
            assert!(violated(TAG, &policy, &asked, &losing(new, before)));
        }
        for (new, before) in [(1_000, 0), (0, u64::MAX)] {
            assert!(!violated(TAG, &policy, &asked, &losing(new, before)));
        }
    }
}
