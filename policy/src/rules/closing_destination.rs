//! `closing-destination`: sweeps, second-level transactions, fee bumps and justice pay only us or the allowlist.
//!
//! Without it a compromised LND closes its channels and collects every output straight to a stranger, past all limits
//! on payments: these transactions carry whole channel balances. A channel's 2-of-2 is not ours; nor are scripts of
//! channel keys, except what a second-level transaction must pay opposite its HTLC.

use super::Rule;
use crate::case::{Ask, Case, Spend};
use crate::describe;
use crate::facts::Facts;
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
    if !matches!(ask.spend, Spend::HolderHtlc { .. } | Spend::Sweep(_) | Spend::Justice) {
        return;
    }
    for output in leaving::elsewhere(policy, ask) {
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

    const COLLECTING: [Spend; 5] = [
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
        for kind in COLLECTING {
            for output in &elsewhere {
                let asked = spend_case(kind.clone(), vec![to_us(5), output.clone()]);
                assert_eq!(violations(TAG, &cautious(), &asked, &known()), 1, "{kind:?} {:?}", output.to);
            }
        }
    }

    #[test]
    fn second_level_transactions_pay_the_channel_beside_us_and_nobody_else() {
        let delayed = || output(5, wsh(5), Destination::OwnChannel);
        for elsewhere in [to_stranger(1), to_funding(1), output(1, wsh(6), Destination::Stranger)] {
            let asked = spend_case(our_htlc(), vec![delayed(), to_us(6), elsewhere]);
            assert_eq!(violations(TAG, &cautious(), &asked, &known()), 1);
        }
        let batch = spend_case(our_htlc(), vec![delayed(), delayed(), to_us(6)]);
        assert!(!violated(TAG, &cautious(), &batch, &known()));
    }

    #[test]
    fn we_and_the_allowlist_collect() {
        let policy = allowing(&wpkh(9));
        let nothing = output(0, bitcoin::ScriptBuf::new_op_return([0; 4]), Destination::Unspendable);
        for kind in COLLECTING {
            assert!(!violated(
                TAG,
                &policy,
                &spend_case(kind, vec![to_us(5), to_stranger(6), nothing.clone()]),
                &known()
            ));
        }
    }
}
