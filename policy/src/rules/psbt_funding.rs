//! `psbt-funding`: where it is required, a funding is signed only after its channel's first commitment.
//!
//! Without it a compromised LND funds a 2-of-2 that no channel comes of, since it signs the funding before any commitment; the
//! limits on unmatched fundings bound that. LND's PSBT flow without publishing puts the commitments first: then the outpoint and
//! its amount are those of a commitment that was signed here, and pays us.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::leaving;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("psbt-funding");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "where required, fundings are signed after their channel's first commitment only",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    if !policy.file.channels.require_psbt_funding || facts.already_charged {
        return;
    }
    for (index, output) in leaving::unmatched_fundings(policy, ask, facts) {
        let value =
            format!("output {index} of {} may fund a channel without a commitment yet", Sat(output.amount));
        let limit = "the peer's first commitment of that output and amount, signed before: open by PSBT, without publishing";
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn required() -> Policy {
        edited("channels", "require_psbt_funding", true)
    }

    fn own(amount: u64) -> Case {
        onchain(vec![to_us(1), output(amount, wsh(5), crate::Destination::OwnFunding(locator(0, 1)))])
    }

    /// A commitment of the channel on this output of the transaction was signed.
    fn committed(output: u32, capacity: u64) -> Facts {
        let seen = crate::KnownFunding { output, capacity: sat(capacity), pushed: sat(0) };
        Facts { known_fundings: vec![seen], open_reservations: 1, ..known() }
    }

    #[test]
    fn a_funding_before_its_commitment_is_refused() {
        assert!(violated(TAG, &required(), &onchain(vec![to_funding(500)]), &known()));
        assert!(violated(TAG, &required(), &own(500), &known()));
        assert!(violated(TAG, &required(), &own(500), &committed(0, 500)), "another output");
        assert!(violated(TAG, &required(), &own(500), &committed(1, 499)), "another amount");
        assert_eq!(violations(TAG, &required(), &onchain(vec![to_funding(5), to_funding(6)]), &known()), 2);
    }

    #[test]
    fn a_funding_after_its_commitment_and_what_funds_nothing_pass() {
        assert!(!violated(TAG, &required(), &own(500), &committed(1, 500)));
        assert!(!violated(TAG, &required(), &onchain(vec![to_us(1)]), &known()));
        let again = Facts { already_charged: true, ..known() };
        assert!(!violated(TAG, &required(), &own(500), &again));
        assert!(!violated(TAG, &cautious(), &own(500), &known()), "not required");
    }
}
