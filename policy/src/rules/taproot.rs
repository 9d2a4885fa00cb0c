//! `taproot`: taproot spends other than BIP86 only where the policy turns them on.
//!
//! Without it a channel key signs taproot spends whose channels LND can only run by handing the signer its own nonces,
//! which gives it the key; and a wallet key signs script trees that nobody has looked at.

use super::Rule;
use crate::case::{Ask, Case, Lock};
use crate::facts::Facts;
use crate::key::KeyPath;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("taproot");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "taproot beyond BIP86 is off unless turned on, for channel and for wallet keys apart",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    for input in &ask.signed {
        let (key, lock) = match (input.key, input.lock) {
            (_, Lock::P2wpkh | Lock::P2shP2wpkh | Lock::P2wsh) => continue,
            (KeyPath::Wallet(_), Lock::TaprootKeyBip86) => continue,
            (key, lock) => (key, lock),
        };
        let (allowed, switch) = match key {
            KeyPath::Wallet(_) => (policy.file.taproot.wallet_scripts, "taproot.wallet_scripts"),
            KeyPath::Lightning(_) => (policy.file.taproot.channels, "taproot.channels"),
        };
        if !allowed {
            let form = match lock {
                Lock::TaprootScript => "a taproot script spend",
                Lock::TaprootKeyTweaked => "a taproot key spend with a script tree",
                _ => "a taproot key spend",
            };
            let value = format!("input {}: {form} with key {key}", input.index);
            found.push(Violation::new(
                TAG,
                value,
                format!("none while {switch} is false"),
            ));
        }
    }
}
