//! `musig2-sessions`: so many MuSig2 sessions are open at a time.
//!
//! Without it sessions, which LND never cleans up, fill the memory that holds secret nonces. No money moves by it, so it
//! may be observed on any network.

use super::Rule;
use crate::case::{Ask, Case, Musig2Step};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("musig2-sessions");

pub(super) const RULE: Rule =
    Rule { tag: TAG, summary: "open MuSig2 sessions are limited", protects_money: false, check };

fn check(policy: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let Ask::Musig2(ask) = &case.ask else { return };
    let limit = policy.file.musig2.max_sessions;
    if ask.step == Musig2Step::Create && facts.musig2_sessions >= limit {
        let value = format!("one more MuSig2 session after {} open", facts.musig2_sessions);
        found.push(Violation::new(TAG, value, format!("at most {limit} open")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn one_session_too_many_is_refused() {
        let policy = edited("musig2", "max_sessions", 2);
        let open = |musig2_sessions| Facts { musig2_sessions, ..known() };
        assert!(violated(TAG, &policy, &musig2(false, Musig2Step::Create), &open(2)));
        assert!(!violated(TAG, &policy, &musig2(false, Musig2Step::Create), &open(1)));
        assert!(!violated(TAG, &policy, &musig2(false, Musig2Step::Sign), &open(2)), "an open one goes on");
    }
}
