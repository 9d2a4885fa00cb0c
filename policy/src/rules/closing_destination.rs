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

/// What is allowed, and how it comes to be.
const ALLOWED: &str = "our wallet as far as its addresses are looked for (strongroom node lookahead moves that), or an \
                       address under [[allowlist]] of the policy";

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
        Spend::HolderHtlc { .. } => policy.file.closing.unproven_second_level == UnprovenSecondLevel::Refuse,
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
        found.push(Violation::new(TAG, value, ALLOWED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Destination, SweepOf};
    use crate::fixture::*;

    const CLOSING: [Spend; 5] = [
        Spend::Sweep(SweepOf::Delayed),
        Spend::Sweep(SweepOf::ToRemote),
        Spend::Sweep(SweepOf::CounterpartyHtlc),
        Spend::Sweep(SweepOf::Anchor),
        Spend::Justice,
    ];

    #[test]
    fn strangers_collect_nothing() {
        let elsewhere = [
            to_stranger(1),
            to_funding(1),
            output(1, wsh(5), Destination::OwnFunding(locator(0, 1))),
            output(1, wsh(5), Destination::OwnChannel),
            output(1, bitcoin::ScriptBuf::new_op_return([0; 4]), Destination::Unspendable),
        ];
        for kind in CLOSING {
            for output in &elsewhere {
                let asked = spend_case(kind.clone(), vec![to_us(5), output.clone()]);
                assert_eq!(violations(TAG, &cautious(), &asked, &known()), 1, "{kind:?} {:?}", output.to);
            }
        }
    }

    #[test]
    fn second_level_outputs_are_refused_or_counted_as_the_policy_says() {
        let strict = edited("closing", "unproven_second_level", "\"refuse\"");
        let unproven = spend_case(our_htlc(), vec![to_stranger(5)]);
        assert!(violated(TAG, &strict, &unproven, &known()));
        assert!(!violated(TAG, &cautious(), &unproven, &known()));
        let proven = spend_case(our_htlc(), vec![output(5, wsh(5), Destination::OwnChannel), to_us(6)]);
        assert!(!violated(TAG, &strict, &proven, &known()));
    }

    #[test]
    fn we_and_the_allowlist_collect() {
        let policy = allowing(&wpkh(9));
        let nothing = output(0, bitcoin::ScriptBuf::new_op_return([0; 4]), Destination::Unspendable);
        for kind in CLOSING {
            assert!(!violated(
                TAG,
                &policy,
                &spend_case(kind, vec![to_us(5), to_stranger(6), nothing.clone()]),
                &known()
            ));
        }
    }
}
