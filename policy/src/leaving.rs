//! What leaves us with a transaction, by our own derivation.

use bitcoin::Amount;

use crate::case::{Destination, OutputFact, Spend, SpendAsk};
use crate::facts::{Facts, KnownFunding};
use crate::policy::Policy;
use crate::words::sum;

/// Whether an output is neither ours, nor on the allowlist, nor a channel funding to be judged as such.
fn to_stranger(policy: &Policy, output: &OutputFact) -> bool {
    match output.to {
        Destination::OwnWallet(_) | Destination::OwnFunding(_) | Destination::MaybeFunding => false,
        // Coins on a channel's script are ours only as far as a channel makes them so: no place to send coins to.
        Destination::OwnChannel | Destination::Stranger => {
            policy.allowed.label(&output.script_pubkey).is_none()
        }
        Destination::Unspendable => output.amount > Amount::ZERO,
    }
}

/// The known channel that an output funds.
fn known_funding<'a>(facts: &'a Facts, index: u32, output: &OutputFact) -> Option<&'a KnownFunding> {
    facts.known_fundings.iter().find(|known| known.output == index && known.capacity == output.amount)
}

/// Outputs of a wallet spend that may fund a channel we have not seen a commitment of. A second payment to the
/// 2-of-2 of a known channel is among them: it is hostage to the peer just the same.
pub(crate) fn unmatched_fundings<'a>(
    policy: &'a Policy,
    ask: &'a SpendAsk,
    facts: &'a Facts,
) -> impl Iterator<Item = (u32, &'a OutputFact)> {
    let outputs: &[OutputFact] = if ask.spend == Spend::Onchain { &ask.outputs } else { &[] };
    (0u32..).zip(outputs).filter(move |(index, output)| match output.to {
        Destination::MaybeFunding => policy.allowed.label(&output.script_pubkey).is_none(),
        Destination::OwnFunding(_) => known_funding(facts, *index, output).is_none(),
        _ => false,
    })
}

/// What the transaction pays to strangers: on-chain, or by a push at a channel's opening.
pub(crate) fn outflow(policy: &Policy, ask: &SpendAsk, facts: &Facts) -> Amount {
    match ask.spend {
        Spend::Onchain => {
            let pushed = (0u32..).zip(&ask.outputs).filter_map(|(index, output)| match output.to {
                Destination::OwnFunding(_) => known_funding(facts, index, output).map(|known| known.pushed),
                _ => None,
            });
            let paid =
                ask.outputs.iter().filter(|output| to_stranger(policy, output)).map(|output| output.amount);
            sum(pushed.chain(paid))
        }
        // The first commitment of a channel that we funded. What it pays to others than us was pushed.
        Spend::CounterpartyCommitment { .. } | Spend::HolderCommitment { .. } if !facts.channel_known => {
            let ours = |output: &&OutputFact| {
                matches!(output.to, Destination::OwnChannel | Destination::OwnWallet(_))
            };
            let others = ask.outputs.iter().filter(|output| !ours(output));
            sum(others.map(|output| output.amount)).min(facts.funded_by_us)
        }
        _ => Amount::ZERO,
    }
}

/// Outputs of a closing transaction that are neither our wallet's nor on the allowlist; for second-level
/// transactions a channel's own output is fine too.
pub(crate) fn elsewhere<'a>(policy: &'a Policy, ask: &'a SpendAsk) -> impl Iterator<Item = &'a OutputFact> {
    let second_level = matches!(ask.spend, Spend::HolderHtlc { .. });
    ask.outputs.iter().filter(move |output| match output.to {
        Destination::OwnWallet(_) => false,
        Destination::OwnChannel if second_level => false,
        Destination::Unspendable => output.amount > Amount::ZERO,
        _ => policy.allowed.label(&output.script_pubkey).is_none(),
    })
}
