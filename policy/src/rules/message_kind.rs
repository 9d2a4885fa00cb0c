//! `message-kind`: only messages of a known kind that the policy lists are signed.
//!
//! Without it a message is a transaction: the double hash that LND's SignMessage signs is a BIP143 sighash if the bytes
//! are its preimage, and a Schnorr signature over two tags is a BIP341 one. LND could have any key spend anything, past
//! every rule on transactions.

use super::Rule;
use crate::case::{Ask, Case, MessageKind};
use crate::facts::Facts;
use crate::file::MessageKindName;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("message-kind");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "only listed kinds of message are signed, never unknown bytes",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Message(ask) = &case.ask else { return };
    let messages = &policy.file.messages;
    let listed = MessageKindName::of(&ask.kind).is_some_and(|kind| messages.kinds.contains(&kind));
    let tag_listed = match &ask.kind {
        MessageKind::Tagged { tag } => messages.tags.contains(tag),
        _ => true,
    };
    if !listed || !tag_listed {
        let value = match (&ask.kind, MessageKindName::of(&ask.kind)) {
            (MessageKind::Unknown { looks_like }, _) => {
                format!("an unknown message, like {looks_like:?}")
            }
            (MessageKind::Tagged { tag }, _) => format!("a message tagged {tag:?}"),
            (_, kind) => kind
                .map_or("an unknown message", MessageKindName::as_str)
                .to_owned(),
        };
        let mut allowed: Vec<&str> = messages.kinds.iter().map(|kind| kind.as_str()).collect();
        allowed.extend(messages.tags.iter().map(String::as_str));
        found.push(Violation::new(TAG, value, allowed.join(", ")));
    }
}
