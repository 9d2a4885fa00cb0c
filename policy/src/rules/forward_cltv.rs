//! `forward-cltv`: a forwarded HTLC times out well before the one it is paid from.
//!
//! Without it a compromised LND forwards with no time in between: the next peer claims at the last block, and the peer
//! before takes its own HTLC back before we can claim it.

use super::Rule;
use crate::case::Case;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::update::Cover;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("forward-cltv");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "a forwarded HTLC times out this many blocks before the incoming one",
    protects_money: true,
    check,
};

fn check(policy: &Policy, _: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Some(update) = &facts.update else { return };
    let least = policy.file.forwards.min_cltv_delta_blocks;
    for htlc in &update.offered {
        let Cover::Forward { incoming, incoming_cltv, .. } = htlc.cover else { continue };
        let delta = incoming_cltv.saturating_sub(htlc.cltv_expiry);
        if delta < least {
            let value = format!(
                "forward of {} that times out at block {}, {delta} blocks before the incoming HTLC of {incoming}",
                Sat(htlc.amount),
                htlc.cltv_expiry
            );
            found.push(Violation::new(TAG, value, format!("at least {least} blocks before")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn a_forward_without_time_to_claim_is_refused() {
        let policy = edited("forwards", "min_cltv_delta_blocks", 40);
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        // The fixture's HTLC times out at block 700,000.
        for incoming in [0, 700_000, 700_039] {
            assert!(violated(TAG, &policy, &asked, &offering(5, forward(incoming, 0))));
        }
        assert!(!violated(TAG, &policy, &asked, &offering(5, forward(700_040, 0))));
        assert!(!violated(TAG, &policy, &asked, &offering(5, Cover::Own)));
    }
}
