//! `message-key`: messages are signed by the node key {6/0}; a channel announcement also by a multisig key that it names.
//!
//! Without it other keys sign text that others choose, and a key that locks coins signs anything but its own purpose:
//! each such signature is a step towards an oracle for that key.

use super::Rule;
use crate::case::{Ask, Case, MessageKind};
use crate::facts::Facts;
use crate::key::KeyLocator;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("message-key");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "the node key signs messages; a multisig key only a channel announcement that names it",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Message(ask) = &case.ask else { return };
    let node = KeyLocator { family: KeyLocator::NODE, index: 0 };
    let announced = ask.key.family == KeyLocator::MULTISIG
        && matches!(ask.kind, MessageKind::ChannelAnnouncement { names_key: true });
    if ask.key != node && !announced {
        let value = format!("key {{{}}} for a message", ask.key);
        found.push(Violation::new(TAG, value, "{6/0}, or {0/i} for a channel_announcement that names it"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn other_keys_sign_no_messages() {
        let announced = |names_key| MessageKind::ChannelAnnouncement { names_key };
        for (key, kind) in [
            (locator(6, 1), MessageKind::NodeAnnouncement),
            (locator(0, 0), MessageKind::Invoice { amount_msat: None }),
            (locator(0, 5), announced(false)),
            (locator(3, 0), announced(true)),
            (locator(7, 0), MessageKind::LightningSignedMessage),
            (locator(0, 0), MessageKind::Tagged { tag: "x".into() }),
            (locator(0, 0), MessageKind::Unknown { looks_like: String::new() }),
        ] {
            assert!(violated(TAG, &cautious(), &message(key, kind), &known()));
        }
        for (key, kind) in [
            (locator(6, 0), MessageKind::ChannelUpdate),
            (locator(6, 0), announced(false)),
            (locator(0, 5), announced(true)),
        ] {
            assert!(!violated(TAG, &cautious(), &message(key, kind), &known()));
        }
    }
}
