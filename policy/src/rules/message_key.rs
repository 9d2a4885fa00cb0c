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
    let node = KeyLocator {
        family: KeyLocator::NODE,
        index: 0,
    };
    let announced = ask.key.family == KeyLocator::MULTISIG
        && matches!(
            ask.kind,
            MessageKind::ChannelAnnouncement { names_key: true }
        );
    if ask.key != node && !announced {
        let value = format!("key {{{}}} for a message", ask.key);
        found.push(Violation::new(
            TAG,
            value,
            "{6/0}, or {0/i} for a channel_announcement that names it",
        ));
    }
}
