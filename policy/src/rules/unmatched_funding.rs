//! `unmatched-funding`: funding outputs that no commitment has matched yet are limited in number and sum.
//!
//! Without it a compromised LND funds 2-of-2 outputs of a stranger, or of a peer who then asks a ransom: LND signs the
//! funding before any commitment exists, so the signer cannot yet know whether the output is a channel of ours.

use super::Rule;
use crate::case::Case;
use crate::charges::{self, Charges};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, plus};

/// The rule's name.
pub const TAG: Tag = Tag("unmatched-funding");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "funding outputs without a commitment yet are limited in number and sum",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Charges { unmatched_funding: sum, unmatched_funding_count: count, .. } =
        charges::of(policy, case, facts);
    if count == 0 {
        return;
    }
    let channels = &policy.file.channels;
    let most = channels.max_unmatched_funding_sat.amount();
    if plus(facts.unmatched_funding, sum) > most {
        let value = format!("{} more after {} without a commitment", Sat(sum), Sat(facts.unmatched_funding));
        found.push(Violation::new(TAG, value, format!("at most {} without a commitment", Sat(most))));
    }
    if facts.unmatched_funding_count.saturating_add(count) > channels.max_unmatched_funding_count {
        let value =
            format!("{count} more after {} fundings without a commitment", facts.unmatched_funding_count);
        let limit = format!("at most {} without a commitment", channels.max_unmatched_funding_count);
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn open(sum: u64, count: u32) -> Facts {
        Facts { unmatched_funding: sat(sum), unmatched_funding_count: count, open_reservations: 9, ..known() }
    }

    #[test]
    fn too_much_or_too_many_without_commitment_is_refused() {
        let one = onchain(vec![to_funding(10_000_000)]);
        assert!(violated(TAG, &cautious(), &one, &open(23_554_431, 1)));
        assert!(violated(TAG, &cautious(), &one, &open(0, 4)));
        assert_eq!(violations(TAG, &cautious(), &one, &open(u64::MAX, u32::MAX)), 2);
        assert!(!violated(TAG, &cautious(), &one, &open(23_554_430, 3)));
        let five = onchain((0..5).map(|_| to_funding(10)).collect());
        assert!(violated(TAG, &cautious(), &five, &open(0, 0)));
    }

    #[test]
    fn what_funds_nothing_or_was_approved_passes() {
        assert!(!violated(TAG, &cautious(), &onchain(vec![to_us(1)]), &open(90_000_000, 90)));
        let again = Facts { already_charged: true, ..open(90_000_000, 90) };
        assert!(!violated(TAG, &cautious(), &onchain(vec![to_funding(10)]), &again));
    }
}
