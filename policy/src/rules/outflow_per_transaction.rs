//! `outflow-per-transaction`: one transaction pays strangers no more than this.
//!
//! Without it a compromised LND sends the whole on-chain wallet to itself in a single transaction, or gives a channel
//! away as a push at its opening. Our own wallet within the lookahead and the allowlist are not strangers; channel
//! scripts are, since coins sent there by hand are out of LND's sight.

use super::Rule;
use crate::case::{Ask, Case};
use crate::describe;
use crate::facts::Facts;
use crate::leaving;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("outflow-per-transaction");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "payments to strangers are limited per transaction",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let outflow = leaving::outflow(policy, ask, facts);
    let limit = policy.file.outflow.max_per_transaction_sat.amount();
    if outflow > limit {
        let limit = format!("at most {} per transaction to strangers", Sat(limit));
        found.push(Violation::new(TAG, format!("{} {}", Sat(outflow), describe::payees(policy, ask)), limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Destination;
    use crate::fixture::*;

    #[test]
    fn more_to_strangers_than_the_limit_is_refused() {
        let split = vec![to_stranger(600_000), to_us(5), to_stranger(400_001)];
        assert!(violated(TAG, &cautious(), &onchain(split), &known()));
        // Burnt coins leave too, and so do coins sent to a channel's script by hand.
        let burnt = output(1_000_001, bitcoin::ScriptBuf::new_op_return([0; 4]), Destination::Unspendable);
        assert!(violated(TAG, &cautious(), &onchain(vec![burnt]), &known()));
        let stuck = output(1_000_001, wsh(8), Destination::OwnChannel);
        assert!(violated(TAG, &cautious(), &onchain(vec![stuck]), &known()));
        // Sums beyond all bitcoin do not wrap to nothing.
        let absurd = vec![to_stranger(u64::MAX / 2), to_stranger(u64::MAX / 2), to_stranger(100)];
        let mut ask = spend(crate::Spend::Onchain, vec![to_us(1)]);
        ask.outputs = absurd;
        assert!(violated(TAG, &cautious(), &case(Ask::Spend(ask)), &known()));
    }

    #[test]
    fn an_approved_transaction_is_still_held_to_it() {
        let facts = Facts { already_charged: true, ..known() };
        assert!(violated(TAG, &cautious(), &onchain(vec![to_stranger(1_000_001)]), &facts));
    }

    #[test]
    fn a_push_at_the_opening_is_a_payment() {
        // We funded 10,000,000 and the first commitment pays 4,000,000 of it to the peer.
        let opening = |kind| {
            spend_case(kind, vec![to_stranger(4_000_000), output(5_990_000, wsh(2), Destination::OwnChannel)])
        };
        let funded = Facts { funded_by_us: sat(10_000_000), channel_known: false, ..Facts::default() };
        assert!(violated(TAG, &cautious(), &opening(theirs(0)), &funded));
        // All of it pushed: we have no output, and the commitment looks like our own.
        assert!(violated(TAG, &cautious(), &opening(ours(0)), &funded));
        // The peer's own money, and later states, are no push.
        assert!(!violated(
            TAG,
            &cautious(),
            &opening(theirs(0)),
            &Facts { funded_by_us: sat(0), ..funded.clone() }
        ));
        assert!(!violated(TAG, &cautious(), &opening(theirs(5)), &Facts { channel_known: true, ..funded }));
    }

    #[test]
    fn a_push_in_a_commitment_before_its_funding_is_a_payment() {
        let funding = vec![output(9_000_000, wsh(5), Destination::OwnFunding(locator(0, 1)))];
        let seen = |pushed| crate::KnownFunding { output: 0, capacity: sat(9_000_000), pushed: sat(pushed) };
        let facts = |pushed| Facts { known_fundings: vec![seen(pushed)], ..Facts::default() };
        assert!(violated(TAG, &cautious(), &onchain(funding.clone()), &facts(1_000_001)));
        assert!(!violated(TAG, &cautious(), &onchain(funding), &facts(1_000_000)));
    }

    #[test]
    fn ourselves_fundings_and_the_allowlist_are_no_strangers() {
        let policy = allowing(&wpkh(9));
        let outputs = vec![to_us(90_000_000), to_stranger(90_000_000), to_funding(9_000_000), to_stranger(1)];
        assert!(!violated(TAG, &policy, &onchain(outputs), &known()));
        assert!(!violated(TAG, &cautious(), &onchain(vec![to_stranger(1_000_000)]), &known()));
    }

    #[test]
    fn what_is_claimed_from_a_channel_is_no_payment() {
        for kind in [our_htlc(), crate::Spend::Justice, crate::Spend::Sweep(crate::SweepOf::Anchor)] {
            let claim =
                spend_case(kind, vec![output(9_000_000, wsh(3), Destination::OwnChannel), to_us(9_000_000)]);
            assert!(!violated(TAG, &cautious(), &claim, &known()));
        }
    }
}
