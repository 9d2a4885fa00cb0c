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
            (_, kind) => kind.map_or("an unknown message", MessageKindName::as_str).to_owned(),
        };
        let mut allowed: Vec<&str> = messages.kinds.iter().map(|kind| kind.as_str()).collect();
        allowed.extend(messages.tags.iter().map(String::as_str));
        found.push(Violation::new(TAG, value, allowed.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn asked(kind: MessageKind) -> Case {
        message(locator(6, 0), kind)
    }

    #[test]
    fn unknown_bytes_are_refused_whatever_is_listed() {
        let all = "[\"node-announcement\", \"channel-update\", \"channel-announcement\", \"invoice\", \"lightning-signed-message\", \"tagged\"]";
        let most = edited("messages", "kinds", all);
        for looks_like in ["", "BIP143 sighash preimage"] {
            let unknown = asked(MessageKind::Unknown { looks_like: looks_like.into() });
            assert!(violated(TAG, &most, &unknown, &known()));
        }
    }

    #[test]
    fn tags_need_to_be_listed_themselves() {
        let tagged = |tag: &str| asked(MessageKind::Tagged { tag: tag.into() });
        let kind_only = edited("messages", "kinds", "[\"tagged\"]");
        assert!(violated(TAG, &cautious(), &tagged("lightninginvoice_requestsignature"), &known()));
        assert!(violated(TAG, &kind_only, &tagged("TapSighash"), &known()));
        let text = edited_text(
            crate::Profile::Cautious.render(crate::Network::Regtest),
            "messages",
            "kinds",
            "[\"tagged\"]",
        );
        let policy =
            Policy::from_toml(&edited_text(text, "messages", "tags", "[\"bolt12\"]")).expect("a tag is text");
        assert!(!violated(TAG, &policy, &tagged("bolt12"), &known()));
        assert!(violated(TAG, &policy, &tagged("bolt1"), &known()));
    }

    #[test]
    fn only_listed_kinds_pass() {
        let invoice = asked(MessageKind::Invoice { amount_msat: Some(5) });
        assert!(violated(TAG, &edited("messages", "kinds", "[\"channel-update\"]"), &invoice, &known()));
        for kind in [
            MessageKind::NodeAnnouncement,
            MessageKind::ChannelUpdate,
            MessageKind::ChannelAnnouncement { names_key: true },
            MessageKind::Invoice { amount_msat: None },
            MessageKind::LightningSignedMessage,
        ] {
            assert!(!violated(TAG, &cautious(), &asked(kind), &known()));
        }
    }
}
