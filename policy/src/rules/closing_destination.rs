//! `closing-destination`: sweeps, second-level transactions, fee bumps and justice pay only us or the allowlist.
//!
//! Without it a compromised LND closes its channels and collects every output straight to a stranger, past all limits
//! on payments: these transactions carry whole channel balances. A channel's 2-of-2 is not ours; nor are scripts of
//! channel keys, except what a second-level transaction must pay.

use super::Rule;
use crate::case::{Ask, Case, Spend};
use crate::describe;
use crate::facts::Facts;
use crate::file::UnprovenSecondLevel;
use crate::leaving;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::Sat;

/// The rule's name.
pub const TAG: Tag = Tag("closing-destination");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "what is collected from closed channels goes to our wallet or the allowlist only",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let judged = match ask.spend {
        Spend::Sweep(_) | Spend::Justice => true,
        Spend::HolderHtlc { .. } => {
            policy.file.closing.unproven_second_level == UnprovenSecondLevel::Refuse
        }
        _ => false,
    };
    if !judged {
        return;
    }
    for output in leaving::unproven(policy, ask) {
        let value = format!(
            "{} of {} to {}",
            Sat(output.amount),
            describe::kind(&ask.spend),
            describe::payee(policy, output)
        );
        found.push(Violation::new(
            TAG,
            value,
            "our wallet within the lookahead, or the allowlist",
        ));
    }
}
