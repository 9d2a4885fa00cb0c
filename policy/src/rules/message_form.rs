//! `message-form`: Schnorr signatures and taproot tweaks on messages only where the policy turns them on.
//!
//! Without it a message's signature has the form of a taproot spend: Schnorr under a tweaked key is what spends a P2TR
//! output. LND's ordinary messages are ECDSA.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("message-form");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "Schnorr signatures and taproot tweaks on messages are off unless turned on",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Message(ask) = &case.ask else { return };
    if ask.schnorr && !policy.file.messages.schnorr {
        found.push(Violation::new(
            TAG,
            "a Schnorr signature on a message",
            "ECDSA while messages.schnorr is false",
        ));
    }
    if ask.tap_tweak && !policy.file.messages.tap_tweak {
        let limit = "the plain key while messages.tap_tweak is false";
        found.push(Violation::new(TAG, "a message signed by a taproot-tweaked key", limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{MessageAsk, MessageKind};
    use crate::fixture::*;

    fn formed(schnorr: bool, tap_tweak: bool) -> Case {
        let kind = MessageKind::LightningSignedMessage;
        case(Ask::Message(MessageAsk { key: locator(6, 0), kind, schnorr, tap_tweak }))
    }

    #[test]
    fn forms_of_a_taproot_spend_are_refused_unless_turned_on() {
        assert_eq!(violations(TAG, &cautious(), &formed(true, true), &known()), 2);
        for (key, schnorr, tap_tweak) in [("schnorr", true, false), ("tap_tweak", false, true)] {
            assert!(violated(TAG, &cautious(), &formed(schnorr, tap_tweak), &known()));
            assert!(!violated(TAG, &edited("messages", key, true), &formed(schnorr, tap_tweak), &known()));
        }
        assert!(!violated(TAG, &cautious(), &formed(false, false), &known()));
    }
}
