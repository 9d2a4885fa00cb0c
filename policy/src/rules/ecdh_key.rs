//! `ecdh-key`: only keys made for ECDH answer it.
//!
//! Without it a client multiplies points of its choice with keys that lock coins, and decrypts what is not meant for it:
//! the static channel backup's key opens every channel's secrets on file. Node, tower and revocation-root keys have
//! their uses; the latter has `reservation-root` beside.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::key_group::KeyGroup;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("ecdh-key");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "only node, tower and revocation-root keys answer ECDH, as the policy lists them",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Ecdh(ask) = &case.ask else { return };
    let group = KeyGroup::of_family(ask.key.family);
    let keys = policy.file.ecdh.keys.get_ref();
    let listed = group.is_some_and(|group| group == KeyGroup::RevocationRoot || keys.contains(&group));
    if !listed {
        let group = group.map_or("unknown", KeyGroup::as_str);
        let mut allowed: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
        allowed.push(KeyGroup::RevocationRoot.as_str());
        found.push(Violation::new(
            TAG,
            format!("ECDH with key {{{}}} ({group})", ask.key),
            allowed.join(", "),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn keys_that_lock_coins_or_backups_answer_nothing() {
        for family in [0, 1, 2, 3, 4, 7, 10, 255, u32::MAX] {
            assert!(violated(TAG, &cautious(), &ecdh(locator(family, 0), None), &known()), "{family}");
        }
        for family in [5, 6, 8, 9] {
            assert!(!violated(TAG, &cautious(), &ecdh(locator(family, 0), None), &known()), "{family}");
        }
        let backup = edited("ecdh", "keys", "[\"static-backup\"]");
        assert!(!violated(TAG, &backup, &ecdh(locator(7, 0), None), &known()));
        assert!(violated(TAG, &backup, &ecdh(locator(6, 0), None), &known()));
    }
}
