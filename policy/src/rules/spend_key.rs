//! `spend-key`: each kind of spend is signed by the keys it needs, with the tweak it needs, and by no other.
//!
//! Without it a request dressed up as one kind of spend takes a signature of another's key: a "wallet spend" or "sweep"
//! signed by a channel's multisig key takes the channel; a revocation key's signature (0xd0) outside justice gives away
//! what punishes a cheating peer.

use super::Rule;
use crate::case::{Ask, Case, Lock, SignedInput, Spend, SpendAsk, Tweak};
use crate::describe;
use crate::facts::Facts;
use crate::key::KeyPath;
use crate::key_group::KeyGroup;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use bitcoin::Amount;

/// The rule's name.
pub const TAG: Tag = Tag("spend-key");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "keys and tweaks must be those that the kind of spend needs",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    for input in &ask.signed {
        if !fits(ask, input) {
            let value = format!(
                "input {}: key {} with {} signs {}",
                input.index,
                input.key,
                tweak(input.tweak),
                describe::kind(&ask.spend)
            );
            found.push(Violation::new(TAG, value, keys(&ask.spend)));
        }
    }
}

/// Value of an anchor output (BOLT 3).
const ANCHOR: Amount = Amount::from_sat(330);

fn fits(ask: &SpendAsk, input: &SignedInput) -> bool {
    use KeyGroup::{DelayBase, HtlcBase, Multisig, PaymentBase, RevocationBase, Wallet};
    let Some(group) = KeyGroup::of(input.key) else {
        return false;
    };
    if matches!(input.key, KeyPath::Wallet(_)) && input.tweak != Tweak::None {
        return false;
    }
    match &ask.spend {
        // Refused by `unknown-spend`; no key fits it.
        Spend::Unknown { .. } => false,
        Spend::Onchain => group == Wallet,
        Spend::CounterpartyCommitment { .. }
        | Spend::HolderCommitment { .. }
        | Spend::MutualClose { .. } => group == Multisig && input.tweak == Tweak::None,
        Spend::CounterpartyHtlc { .. } => group == HtlcBase && input.tweak == Tweak::Single,
        Spend::HolderHtlc { .. } => {
            group == Wallet || (group == HtlcBase && input.tweak == Tweak::Single)
        }
        // A batch collects several kinds of output, and brings wallet coins for the fee.
        Spend::Sweep(_) => match group {
            Wallet => true,
            DelayBase | HtlcBase => input.tweak == Tweak::Single,
            // Tweaked only on channels older than static_remotekey.
            PaymentBase => input.tweak != Tweak::Double,
            Multisig => {
                input.tweak == Tweak::None
                    && input.lock != Lock::TaprootScript
                    && spends_anchor(ask, input)
            }
            _ => false,
        },
        Spend::Justice => match group {
            RevocationBase => input.tweak == Tweak::Double,
            PaymentBase => input.tweak != Tweak::Double,
            Wallet => true,
            _ => false,
        },
    }
}

/// A multisig key also locks the channel itself: in a sweep it may spend nothing larger than an anchor, and the
/// amount must be one that the signature commits to or that is proven.
fn spends_anchor(ask: &SpendAsk, input: &SignedInput) -> bool {
    ask.inputs
        .get(input.index)
        .is_some_and(|spent| spent.amount == ANCHOR)
}

fn tweak(tweak: Tweak) -> &'static str {
    match tweak {
        Tweak::None => "no tweak",
        Tweak::Single => "a single tweak",
        Tweak::Double => "a revocation secret",
    }
}

fn keys(spend: &Spend) -> &'static str {
    match spend {
        Spend::Unknown { .. } => "no key",
        Spend::Onchain => "wallet keys without tweak",
        Spend::CounterpartyCommitment { .. }
        | Spend::HolderCommitment { .. }
        | Spend::MutualClose { .. } => "the channel's multisig key without tweak",
        Spend::CounterpartyHtlc { .. } => "an htlc-base key with a single tweak",
        Spend::HolderHtlc { .. } => "an htlc-base key with a single tweak, or wallet keys",
        Spend::Sweep(_) => {
            "delay-base and htlc-base keys with a single tweak, payment-base, wallet keys, a multisig key for a 330 sat anchor"
        }
        Spend::Justice => {
            "revocation-base keys with a revocation secret, payment-base, wallet keys"
        }
    }
}
