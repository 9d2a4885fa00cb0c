//! `channel-frozen`: after our own commitment or a mutual close was signed, the channel's updates end. They never begin where
//! the peer gave our own payment key for its own, so that both sides' commitments look alike, nor where the signer does not
//! know the channel's history, or knows an older one. Only the peer's commitments are refused: the channel can be closed as
//! ever.
//!
//! Without it a compromised LND takes our signature on a transaction that ends the channel at the balance of now, goes on
//! being paid through the channel, and publishes the old ending: for the peer, or for itself. Where the history is not known,
//! nothing tells what a commitment gives away, nor which HTLC signatures were given before.

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
        Some(Frozen::Behind { signed, asked }) => {
            format!(
                "of which number {signed} was signed here last, and lnd has come to {asked} without this signer"
            )
        }
        Some(Frozen::Unseen) => "whose opening was not seen here".to_owned(),
    };
    let value = format!("commitment {number} of {channel} {because}");
    let limit = match update.frozen.is_some_and(Frozen::is_behind) {
        true => format!(
            "such a channel only closes: by force, or by agreement once its share is said \
             (strongroom channel allow-close NODE {channel} --at-least SAT)"
        ),
        false => "no commitment after what ends the channel".to_owned(),
    };
    found.push(Violation::new(TAG, value, limit));
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

    #[test]
    fn a_channel_that_is_behind_names_the_way_on() {
        let asked = spend_case(theirs(9), vec![to_stranger(5)]);
        for frozen in [Frozen::Behind { signed: 4, asked: 9 }, Frozen::Unseen] {
            let facts = updating(ChannelUpdate { frozen: Some(frozen), ..ChannelUpdate::default() });
            let mut found = Vec::new();
            check(&cautious(), &asked, &facts, &mut found);
            let told = found[0].to_string();
            assert!(told.contains("by force") && told.contains("channel allow-close NODE"), "{told}");
        }
    }
}
