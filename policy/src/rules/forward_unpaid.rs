//! `forward-unpaid`: an incoming HTLC is not let go for nothing after its outgoing one was paid.
//!
//! Without it a compromised LND pays the next peer out of our balance and lets the peer before take its HTLC back. Only what is
//! certain is refused: no reading of the outgoing channel's balance in which the outgoing HTLC came back, none of the incoming
//! channel's in which this commitment pays us, and no other HTLC of the hash. The rest is charged to `forward-exposure`.

use super::Rule;
use crate::case::Case;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("forward-unpaid");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "no incoming HTLC is let go for nothing after its outgoing one was paid",
    protects_money: true,
    check,
};

fn check(_: &Policy, _: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    for unpaid in facts.update.iter().flat_map(|update| &update.unpaid) {
        let value = format!(
            "an incoming HTLC of {}, hash160 {}, gone for nothing after its outgoing one was paid",
            Sat(unpaid.amount),
            unpaid.payment_hash160
        );
        found.push(Violation::new(TAG, value, "its amount on our balance"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::update::{ChannelUpdate, UnpaidForward};

    #[test]
    fn what_was_paid_on_is_claimed() {
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let unpaid = UnpaidForward { payment_hash160: "00".repeat(20), amount: sat(5) };
        let facts = |count| {
            updating(ChannelUpdate { unpaid: vec![unpaid.clone(); count], ..ChannelUpdate::default() })
        };
        assert!(violated(TAG, &cautious(), &asked, &facts(1)));
        assert_eq!(violations(TAG, &cautious(), &asked, &facts(2)), 2);
        assert!(!violated(TAG, &cautious(), &asked, &facts(0)));
    }
}
