//! `spend-key`: each kind of spend is signed by the keys it needs, with the tweak it needs, and by no other.
//!
//! Without it a request dressed up as one kind of spend takes a signature of another's key: a "wallet spend" or "sweep"
//! signed by a channel's multisig key takes the channel; a revocation key's signature (0xd0) outside justice gives away
//! what punishes a cheating peer.

use super::Rule;
use crate::case::{Ask, Case, SignedInput, Spend, SpendAsk, Tweak};
use crate::describe;
use crate::facts::Facts;
use crate::fee_class::ANCHOR;
use crate::key::KeyPath;
use crate::key_group::KeyGroup;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
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
        Spend::CounterpartyCommitment { .. } | Spend::HolderCommitment { .. } | Spend::MutualClose { .. } => {
            group == Multisig && input.tweak == Tweak::None
        }
        Spend::CounterpartyHtlc { .. } => group == HtlcBase && input.tweak == Tweak::Single,
        // A batch collects several kinds of output, second-level transactions among them, and brings wallet coins for
        // the fee.
        Spend::HolderHtlc { .. } | Spend::Sweep(_) => match group {
            Wallet => true,
            DelayBase | HtlcBase => input.tweak == Tweak::Single,
            // Tweaked only on channels older than static_remotekey.
            PaymentBase => input.tweak != Tweak::Double,
            Multisig => input.tweak == Tweak::None && spends_anchor(ask, input),
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

/// A multisig key also locks the channel itself: in a sweep it may spend an anchor and nothing else. A lie about
/// the amount voids the signature, which commits to it (BIP143).
fn spends_anchor(ask: &SpendAsk, input: &SignedInput) -> bool {
    ask.inputs.get(input.index).is_some_and(|spent| spent.amount == ANCHOR)
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
        Spend::CounterpartyCommitment { .. } | Spend::HolderCommitment { .. } | Spend::MutualClose { .. } => {
            "the channel's multisig key without tweak"
        }
        Spend::CounterpartyHtlc { .. } => "an htlc-base key with a single tweak",
        Spend::HolderHtlc { .. } | Spend::Sweep(_) => {
            "delay-base and htlc-base keys with a single tweak, payment-base, wallet keys, a multisig key for a 330 sat anchor"
        }
        Spend::Justice => "revocation-base keys with a revocation secret, payment-base, wallet keys",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::SweepOf;
    use crate::fixture::*;

    fn signed_by(kind: Spend, key: KeyPath, tweak: Tweak, amount: u64) -> Case {
        let mut ask = spend(kind, vec![to_us(100)]);
        ask.signed[0].key = key;
        ask.signed[0].tweak = tweak;
        ask.inputs[0].amount = sat(amount);
        case(Ask::Spend(ask))
    }

    #[test]
    fn keys_of_other_purposes_are_refused() {
        use SweepOf::{Anchor, Delayed};
        let close = || mutual_close(1, false);
        let table = [
            // A multisig key as wallet key or in a sweep takes the channel.
            (Spend::Onchain, key(0), Tweak::None, 10_000_000),
            (Spend::Sweep(Anchor), key(0), Tweak::None, 10_000_000),
            (Spend::Sweep(Delayed), key(0), Tweak::None, 331),
            (Spend::Sweep(Anchor), key(0), Tweak::Single, 330),
            (Spend::Sweep(Anchor), key(0), Tweak::None, 329),
            (Spend::Sweep(SweepOf::ToRemote), key(3), Tweak::Double, 330),
            (Spend::Justice, key(3), Tweak::Double, 330),
            (Spend::Justice, key(4), Tweak::Single, 330),
            (Spend::Justice, key(0), Tweak::None, 330),
            // The revocation key outside justice, or without the secret.
            (Spend::Sweep(Delayed), key(1), Tweak::Double, 330),
            (Spend::Onchain, key(1), Tweak::Double, 330),
            (Spend::Justice, key(1), Tweak::None, 330),
            (Spend::Justice, key(1), Tweak::Single, 330),
            // Commitments and closes by anything but the plain multisig key.
            (theirs(1), key(2), Tweak::None, 330),
            (ours(1), key(0), Tweak::Single, 330),
            (close(), wallet(), Tweak::None, 330),
            (peers_htlc(330), key(0), Tweak::None, 330),
            (peers_htlc(330), key(2), Tweak::None, 330),
            (our_htlc(), key(4), Tweak::None, 330),
            (our_htlc(), key(0), Tweak::None, 10_000_000),
            // Wallet keys are never tweaked, the node key spends nothing, unknown families neither.
            (Spend::Onchain, wallet(), Tweak::Single, 330),
            (Spend::Sweep(Delayed), wallet(), Tweak::Double, 330),
            (Spend::Sweep(Delayed), key(6), Tweak::None, 330),
            (Spend::Sweep(Delayed), key(4), Tweak::None, 330),
            (Spend::Onchain, key(99), Tweak::None, 330),
            (Spend::Unknown { why: String::new() }, wallet(), Tweak::None, 330),
        ];
        for (kind, key, tweak, amount) in table {
            let asked = format!("{kind:?} {key} {tweak:?} {amount}");
            assert!(violated(TAG, &cautious(), &signed_by(kind, key, tweak, amount), &known()), "{asked}");
        }
    }

    #[test]
    fn an_input_that_is_not_there_is_no_anchor() {
        let mut ask = spend(Spend::Sweep(SweepOf::Anchor), vec![to_us(1)]);
        ask.signed[0].index = 9;
        assert!(violated(TAG, &cautious(), &case(Ask::Spend(ask)), &known()));
    }

    #[test]
    fn each_kind_passes_with_its_own_keys() {
        use SweepOf::{Anchor, CounterpartyHtlc, Delayed, ToRemote};
        let sweeps = [Anchor, CounterpartyHtlc, Delayed, ToRemote].map(Spend::Sweep);
        let others = [
            Spend::Onchain,
            theirs(0),
            ours(0),
            peers_htlc(5),
            our_htlc(),
            mutual_close(1, false),
            Spend::Justice,
        ];
        for kind in sweeps.into_iter().chain(others) {
            let asked = format!("{kind:?}");
            assert!(!violated(TAG, &cautious(), &spend_case(kind, vec![to_us(1)]), &known()), "{asked}");
        }
        for kind in [Spend::Sweep(Delayed), our_htlc(), Spend::Justice] {
            assert!(!violated(TAG, &cautious(), &signed_by(kind, wallet(), Tweak::None, 50_000), &known()));
        }
    }
}
