//! `grant`: a client asks only for what it was granted.
//!
//! Without it every service that can reach the signer can ask for every key: a stolen macaroon of a service that
//! only needs invoices would spend the wallet, close channels and open the revocation paths.

use super::Rule;
use crate::case::{Ask, Case, Operation};
use crate::facts::Facts;
use crate::key::KeyPath;
use crate::key_group::KeyGroup;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("grant");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "a client may use an operation on a node's keys only if the policy grants it",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let asked = match &case.ask {
        Ask::Spend(_) => Operation::SignPsbt,
        Ask::Message(_) => Operation::SignMessage,
        Ask::Ecdh(_) => Operation::DeriveSharedKey,
        Ask::Musig2(_) => Operation::Musig2,
    };
    if asked != case.operation {
        let value = format!("{} that asks for {}", name(case.operation), name(asked));
        found.push(Violation::new(TAG, value, "the operation that was granted"));
    }
    match &case.ask {
        Ask::Spend(ask) => ask
            .signed
            .iter()
            .for_each(|input| key(policy, case, input.key, found)),
        Ask::Message(ask) => key(policy, case, KeyPath::Lightning(ask.key), found),
        Ask::Ecdh(ask) => key(policy, case, KeyPath::Lightning(ask.key), found),
        Ask::Musig2(ask) => key(policy, case, KeyPath::Lightning(ask.key), found),
    }
}

fn key(policy: &Policy, case: &Case, key: KeyPath, found: &mut Vec<Violation>) {
    let group = KeyGroup::of(key);
    let granted = group.is_some_and(|group| {
        policy
            .file
            .grants
            .iter()
            .any(|grant| grant.covers(&case.client, &case.node, case.operation, group))
    });
    if !granted {
        let group = group.map_or("unknown", KeyGroup::as_str);
        let operation = name(case.operation);
        let value = format!(
            "client {} asks node {} for {operation} with key {key} ({group})",
            case.client, case.node
        );
        found.push(Violation::new(
            TAG,
            value,
            "what a [[grants]] entry names; there is none for this",
        ));
    }
}

fn name(operation: Operation) -> &'static str {
    match operation {
        Operation::SignPsbt => "sign-psbt",
        Operation::DeriveSharedKey => "derive-shared-key",
        Operation::SignMessage => "sign-message",
        Operation::Musig2 => "musig2",
    }
}
