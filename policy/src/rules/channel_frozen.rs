//! `channel-frozen`: after our own commitment or a mutual close was signed, the channel's updates end. They never begin where
//! the peer gave our own payment key for its own, so that both sides' commitments look alike. Only the peer's commitments are
//! refused: the channel can be closed as ever.
//!
//! Without it a compromised LND takes our signature on a transaction that ends the channel at the balance of now, goes on
//! being paid through the channel, and publishes the old ending: for the peer, or for itself.

use super::Rule;
use crate::case::{Case, Spend};
use crate::facts::Facts;
use crate::policy::Policy;
use crate::update::Frozen;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("channel-frozen");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "no commitment follows an own commitment above number 0 or a mutual close",
    protects_money: true,
    check,
};

fn check(_: &Policy, case: &Case, facts: &Facts, found: &mut Vec<Violation>) {
    let (Some(update), Some(Spend::CounterpartyCommitment { channel, number, .. })) =
        (&facts.update, case.spend())
    else {
        return;
    };
    let because = match update.frozen {
        None => return,
        Some(Frozen::OwnCommitment { number }) => format!("after own commitment {number} was signed"),
        Some(Frozen::MutualClose) => "after a mutual close was signed".to_owned(),
        Some(Frozen::SharedKey) => "whose peer gave our own payment key for its own".to_owned(),
    };
    let value = format!("commitment {number} of {channel} {because}");
    found.push(Violation::new(TAG, value, "no commitment after what ends the channel"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::update::ChannelUpdate;

    #[test]
    fn nothing_follows_an_ending() {
        let asked = spend_case(theirs(4), vec![to_stranger(5)]);
        for frozen in [Frozen::MutualClose, Frozen::OwnCommitment { number: 3 }, Frozen::SharedKey] {
            let facts = updating(ChannelUpdate { frozen: Some(frozen), ..ChannelUpdate::default() });
            assert!(violated(TAG, &cautious(), &asked, &facts));
        }
        assert!(!violated(TAG, &cautious(), &asked, &updating(ChannelUpdate::default())));
    }
}
