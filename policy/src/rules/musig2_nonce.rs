//! `musig2-nonce`: a secret nonce from the client is never used.
//!
//! Without it the private key leaves: a partial signature is the nonce plus a known multiple of the key, so whoever
//! knows the nonce computes the key from one signature. LND makes the nonces of its taproot channels itself and sends
//! them along.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("musig2-nonce");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "MuSig2 nonces are made by the signer, never brought by the client",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Musig2(ask) = &case.ask else { return };
    if ask.pregenerated_nonce {
        let value = format!("a secret nonce from the client for key {{{}}}", ask.key);
        found.push(Violation::new(TAG, value, "nonces made by the signer"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Musig2Step;
    use crate::fixture::*;

    #[test]
    fn a_nonce_from_the_client_is_refused_even_when_musig2_is_on() {
        let on = edited("musig2", "enabled", true);
        for policy in [&cautious(), &on] {
            assert!(violated(TAG, policy, &musig2(true, Musig2Step::Create), &known()));
            assert!(!violated(TAG, policy, &musig2(false, Musig2Step::Create), &known()));
        }
    }
}
