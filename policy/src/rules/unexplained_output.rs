//! `unexplained-output`: a commitment of the peer's is signed only when every output is known.
//!
//! Without it a compromised LND asks for a commitment with an output of its choice in the place of an HTLC. Each HTLC's
//! transaction is asked for on its own, so the commitment's signature is withheld until all of them were: what is left
//! then is at most one output, the peer's own balance, which pays the script that the HTLC transactions pay.

use super::Rule;
use crate::case::{Case, Spend};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("unexplained-output");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "every output of a peer's commitment is ours, an anchor, an HTLC asked for, or the peer's one balance",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let (Some(update), Some(Spend::CounterpartyCommitment { channel, number, .. })) =
        (&facts.update, case.spend())
    else {
        return;
    };
    if update.unexplained_outputs > 0 {
        let value = format!(
            "{} outputs of commitment {number} of {channel} whose HTLC transactions were not asked for",
            update.unexplained_outputs
        );
        found.push(Violation::new(TAG, value, "none beside the peer's own balance"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::update::ChannelUpdate;

    #[test]
    fn what_nobody_explains_is_not_signed() {
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        let with =
            |unexplained_outputs| updating(ChannelUpdate { unexplained_outputs, ..ChannelUpdate::default() });
        assert!(violated(TAG, &cautious(), &asked, &with(1)));
        assert!(!violated(TAG, &cautious(), &asked, &with(0)));
    }
}
