//! `funding-reservation`: a funding output needs a channel reservation that is still open.
//!
//! Without it any payment to a script hash could call itself a channel funding and pass by the limits on payments. A
//! reservation is LND's request for the revocation root of a new multisig key, made for every channel before its funding.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::leaving;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("funding-reservation");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "as many possible funding outputs as there are open channel reservations, no more",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let outputs = leaving::unmatched_fundings(policy, ask, facts).count();
    if !facts.already_charged && outputs > facts.open_reservations as usize {
        let value =
            format!("{outputs} possible funding outputs with {} open reservations", facts.open_reservations);
        found.push(Violation::new(TAG, value, "one funding output per open channel reservation"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn reserved(open_reservations: u32) -> Facts {
        Facts { open_reservations, ..known() }
    }

    #[test]
    fn fundings_without_reservation_are_refused() {
        let two = onchain(vec![to_funding(5), to_us(1), to_funding(6)]);
        assert!(violated(TAG, &cautious(), &onchain(vec![to_funding(5)]), &reserved(0)));
        assert!(violated(TAG, &cautious(), &two, &reserved(1)));
        assert!(!violated(TAG, &cautious(), &two, &reserved(2)));
    }

    #[test]
    fn a_second_payment_to_a_known_2_of_2_needs_one_too() {
        let own = output(500, wsh(5), crate::Destination::OwnFunding(locator(0, 1)));
        let seen = |capacity| crate::KnownFunding { output: 0, capacity: sat(capacity), pushed: sat(0) };
        let facts = |capacity| Facts { known_fundings: vec![seen(capacity)], ..reserved(0) };
        assert!(violated(TAG, &cautious(), &onchain(vec![own.clone()]), &reserved(0)));
        assert!(
            violated(TAG, &cautious(), &onchain(vec![own.clone()]), &facts(499)),
            "another amount than committed to"
        );
        assert!(
            violated(TAG, &cautious(), &onchain(vec![to_us(1), own.clone()]), &facts(500)),
            "another output"
        );
        assert!(!violated(TAG, &cautious(), &onchain(vec![own]), &facts(500)));
    }

    #[test]
    fn the_allowlist_and_approved_transactions_need_none() {
        assert!(!violated(TAG, &allowing(&wsh(5)), &onchain(vec![to_funding(5)]), &reserved(0)));
        let again = Facts { already_charged: true, ..reserved(0) };
        assert!(!violated(TAG, &cautious(), &onchain(vec![to_funding(5)]), &again));
    }
}
