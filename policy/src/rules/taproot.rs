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
            found.push(Violation::new(TAG, value, format!("none while {switch} is false")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Spend;
    use crate::fixture::*;

    fn locked(kind: Spend, lock: Lock) -> Case {
        let mut ask = spend(kind, vec![to_us(1)]);
        ask.signed[0].lock = lock;
        case(Ask::Spend(ask))
    }

    const BEYOND: [Lock; 2] = [Lock::TaprootKeyTweaked, Lock::TaprootScript];

    #[test]
    fn taproot_beyond_bip86_is_refused_unless_turned_on() {
        let channels = edited("taproot", "channels", true);
        let scripts = edited("taproot", "wallet_scripts", true);
        for lock in BEYOND {
            for (kind, on, off) in [(our_htlc(), &channels, &scripts), (Spend::Onchain, &scripts, &channels)]
            {
                let asked = locked(kind, lock);
                assert!(violated(TAG, &cautious(), &asked, &known()));
                assert!(violated(TAG, off, &asked, &known()), "the other switch");
                assert!(!violated(TAG, on, &asked, &known()));
            }
        }
        // A channel key has no BIP86 output.
        assert!(violated(TAG, &cautious(), &locked(our_htlc(), Lock::TaprootKeyBip86), &known()));
    }

    #[test]
    fn the_wallets_own_taproot_passes() {
        assert!(!violated(TAG, &cautious(), &locked(Spend::Onchain, Lock::TaprootKeyBip86), &known()));
        assert!(!violated(TAG, &cautious(), &locked(our_htlc(), Lock::P2wsh), &known()));
    }
}
