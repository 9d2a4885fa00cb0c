//! `grant`: a client asks only for what it was granted.
//!
//! Without it every service that can reach the signer can ask for every key: a stolen macaroon of a service that
//! only needs invoices would spend the wallet, close channels and open the revocation paths.

use super::Rule;
use crate::case::{Ask, Case, Operation};
use crate::facts::Facts;
use crate::key::{ClientName, KeyPath, NodeName};
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
        let value = format!("{} that asks for {}", case.operation.as_str(), asked.as_str());
        found.push(Violation::new(TAG, value, "the operation that was granted"));
    }
    match &case.ask {
        Ask::Spend(ask) => ask.signed.iter().for_each(|input| granted(policy, case, input.key, found)),
        Ask::Message(ask) => granted(policy, case, KeyPath::Lightning(ask.key), found),
        Ask::Ecdh(ask) => granted(policy, case, KeyPath::Lightning(ask.key), found),
        Ask::Musig2(ask) => granted(policy, case, KeyPath::Lightning(ask.key), found),
    }
}

fn granted(policy: &Policy, case: &Case, key: KeyPath, found: &mut Vec<Violation>) {
    let group = KeyGroup::of(key);
    let covered = group.is_some_and(|group| {
        policy.file.grants.iter().any(|grant| grant.covers(&case.client, &case.node, case.operation, group))
    });
    if !covered {
        let group = group.map_or("unknown", KeyGroup::as_str);
        let operation = case.operation.as_str();
        let value = format!(
            "client {} asks node {} for {operation} with key {key} ({group})",
            case.client, case.node
        );
        found.push(Violation::new(TAG, value, "what a [[grants]] entry names; there is none for this"));
    }
}

impl Policy {
    /// Why a client may not ask beforehand what a node would be refused; `None` where a grant lets it. Asking uses no
    /// key, so such a grant names none.
    pub fn may_not_ask(&self, client: &ClientName, node: &NodeName) -> Option<Violation> {
        let granted = self.file.grants.iter().any(|grant| grant.lets_ask(client, node));
        let value = || format!("client {client} asks node {node} for {}", Operation::Preflight.as_str());
        (!granted)
            .then(|| Violation::new(TAG, value(), "what a [[grants]] entry names; there is none for this"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Spend;
    use crate::fixture::*;

    #[test]
    fn what_nobody_granted_is_refused() {
        let policy = cautious();
        let other =
            |client: &str| Case { client: client.parse().expect("a name"), ..onchain(vec![to_us(1)]) };
        assert!(violated(TAG, &policy, &other("invoices"), &known()));
        // No musig2, no ECDH of channel keys, no messages by the wallet's or an unknown family's keys.
        assert!(violated(TAG, &policy, &musig2(false, crate::Musig2Step::Create), &known()));
        assert!(violated(TAG, &policy, &ecdh(locator(0, 1), None), &known()));
        assert!(violated(TAG, &policy, &ecdh(locator(255, 0), None), &known()));
        assert!(violated(
            TAG,
            &policy,
            &message(locator(2, 1), crate::MessageKind::Invoice { amount_msat: None }),
            &known()
        ));
        // One call dressed up as another that is granted for the same key.
        let dressed = Case { operation: Operation::SignMessage, ..spend_case(theirs(1), vec![]) };
        assert!(violated(TAG, &policy, &dressed, &known()));
    }

    #[test]
    fn every_signed_input_needs_its_grant() {
        let mut ask = spend(Spend::Onchain, vec![to_us(1)]);
        let mut foreign = ask.signed[0].clone();
        foreign.key = key(77);
        ask.signed.push(foreign);
        assert_eq!(violations(TAG, &cautious(), &case(Ask::Spend(ask)), &known()), 1);
    }

    #[test]
    fn a_grant_for_one_node_is_none_for_another() {
        let text = crate::Profile::Cautious
            .render(crate::Network::Regtest)
            .replace("node = \"*\"", "node = \"bob\"");
        let policy = Policy::from_toml(&text).expect("a grant may name one node");
        assert!(violated(TAG, &policy, &onchain(vec![to_us(1)]), &known()));
        let bob = Case { node: "bob".parse().expect("a name"), ..onchain(vec![to_us(1)]) };
        assert!(!violated(TAG, &policy, &bob, &known()));
    }

    #[test]
    fn only_who_was_granted_it_asks_beforehand() {
        let (alice, name) = ("alice".parse().expect("a name"), |n: &str| n.parse().expect("a name"));
        for stranger in ["lnd", "invoices"] {
            let found = cautious().may_not_ask(&name(stranger), &alice);
            assert_eq!(found.expect("nobody granted it").tag, TAG.0);
        }
        assert_eq!(cautious().may_not_ask(&name("companion"), &alice), None);
        // The right to ask is no right to any key.
        let signing = Case { client: name("companion"), ..onchain(vec![to_us(1)]) };
        assert!(violated(TAG, &cautious(), &signing, &known()));
    }

    #[test]
    fn what_was_granted_passes() {
        for granted in [onchain(vec![to_us(1)]), ecdh(locator(6, 0), None), spend_case(theirs(1), vec![])] {
            assert!(!violated(TAG, &cautious(), &granted, &known()));
        }
    }
}
