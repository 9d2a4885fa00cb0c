//! `tier`: channels of which too little is known are not opened, and pay nobody.
//!
//! Without it a policy that counts on checks which need more than LND's requests (a revocation seen, our own commitment
//! known) has channels opened and paid through as if these checks had been made. What brings money home (own commitments,
//! justice, sweeps, HTLC claims, mutual closes, commitments by which nothing leaves) goes on at any tier.

use super::Rule;
use crate::case::{Ask, Case, Spend};
use crate::facts::Facts;
use crate::leaving;
use crate::policy::Policy;
use crate::update::ChannelUpdate;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("tier");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "opens and outflow need a channel of the required tier",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let required = policy.file.channels.require_tier;
    if facts.tier >= required {
        return;
    }
    let Ask::Spend(ask) = &case.ask else { return };
    let what = match &ask.spend {
        Spend::Onchain if leaving::unmatched_fundings(policy, ask, facts).next().is_some() => "a funding",
        Spend::CounterpartyCommitment { .. } if !facts.channel_known => "a new channel",
        Spend::CounterpartyCommitment { .. }
            if facts.update.as_ref().is_some_and(ChannelUpdate::has_outflow) =>
        {
            "outflow"
        }
        _ => return,
    };
    found.push(Violation::new(TAG, format!("{what} at tier {}", facts.tier), format!("at least {required}")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::tier::Tier;
    use crate::update::Cover;

    const ABOVE: [&str; 3] = ["W", "T1", "T2"];

    fn requiring(tier: &str) -> Policy {
        edited("channels", "require_tier", format!("\"{tier}\""))
    }

    #[test]
    fn below_the_required_tier_nothing_is_opened_or_paid() {
        let opening = spend_case(theirs(0), vec![to_stranger(5)]);
        let paying = spend_case(theirs(3), vec![to_us(5)]);
        let dust = ChannelUpdate { unexplained_outflow: sat(1), ..ChannelUpdate::default() };
        let refused = [
            (onchain(vec![to_funding(5)]), known()),
            (opening.clone(), Facts::default()),
            (paying.clone(), offering(5, Cover::Authorized)),
            (paying, updating(dust)),
        ];
        for (case, facts) in refused {
            for tier in ABOVE {
                assert!(violated(TAG, &requiring(tier), &case, &facts), "{case:?} under {tier}");
            }
            assert!(!violated(TAG, &requiring("T0"), &case, &facts));
            let at = |tier| Facts { tier, ..facts.clone() };
            assert!(!violated(TAG, &requiring("W"), &case, &at(Tier::W)));
            assert!(violated(TAG, &requiring("T1"), &case, &at(Tier::W)));
            assert!(!violated(TAG, &requiring("T1"), &case, &at(Tier::T2)));
        }
    }

    #[test]
    fn what_brings_money_home_goes_on() {
        let sweep = Spend::Sweep(crate::SweepOf::CounterpartyHtlc);
        for kind in
            [ours(0), ours(3), Spend::Justice, sweep, our_htlc(), mutual_close(5, false), peers_htlc(5)]
        {
            for facts in [known(), Facts::default()] {
                assert!(!violated(TAG, &requiring("T2"), &spend_case(kind.clone(), vec![to_us(5)]), &facts));
            }
        }
        let settled = spend_case(theirs(4), vec![to_us(5)]);
        assert!(!violated(TAG, &requiring("T2"), &settled, &updating(ChannelUpdate::default())));
        assert!(!violated(TAG, &requiring("T2"), &onchain(vec![to_us(5), to_stranger(6)]), &known()));
    }
}
