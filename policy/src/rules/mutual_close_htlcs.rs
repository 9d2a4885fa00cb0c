//! `mutual-close-htlcs`: no mutual close while HTLCs are pending.
//!
//! Without it a close leaves out what HTLCs hold: our offered HTLCs are in no balance then, and the peer keeps them.
//! BOLT 2 forbids it; an honest LND waits.

use super::Rule;
use crate::case::{Ask, Case, Spend};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("mutual-close-htlcs");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "a channel is closed mutually only when its latest commitment carries no HTLCs",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    if let Spend::MutualClose { channel, htlcs_pending: true, .. } = &ask.spend {
        let value = format!("close of {channel} with HTLCs on its latest commitment");
        let limit = format!(
            "a close after the last HTLC is gone; if they are gone, since LND never sent that commitment: \
             strongroom channel allow-close NODE {channel} --at-least SAT"
        );
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn pending_htlcs_refuse_a_close() {
        assert!(violated(TAG, &cautious(), &spend_case(mutual_close(5, true), vec![to_us(5)]), &known()));
        assert!(!violated(TAG, &cautious(), &spend_case(mutual_close(5, false), vec![to_us(5)]), &known()));
    }
}
