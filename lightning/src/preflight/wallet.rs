//! What the wallet pays: destinations, and the fundings of new channels.

use bitcoin::{Amount, OutPoint, Weight};
use strongroom_policy::case::{Destination, OutputFact, Spend};

use super::{
    FEE_UNKNOWN, Foreseen, Foresight, NewChannel, Opening, WalletPayment, fee, minus, output, owner, peers,
    plus, some_funding_script,
};
use crate::accounts::Accounts;
use crate::channels::Channels;
use crate::weight;

impl Channels {
    pub(super) fn foresee_wallet(&self, payment: &WalletPayment, accounts: &Accounts) -> Foresight {
        let mut foresight = Foresight::default();
        let mut outputs: Vec<OutputFact> = payment
            .outputs
            .iter()
            .map(|(script, amount)| output(*amount, script.clone(), owner(accounts, script)))
            .collect();
        // As recognition does: no more of them than there are reservations may be a 2-of-2.
        let maybe = |o: &OutputFact| {
            o.to == Destination::Stranger && (o.script_pubkey.is_p2wsh() || o.script_pubkey.is_p2tr())
        };
        if outputs.iter().filter(|o| maybe(o)).count() <= self.reservations.len() {
            outputs.iter_mut().filter(|o| maybe(o)).for_each(|o| o.to = Destination::MaybeFunding);
        }
        if payment.all {
            foresight.unchecked.push("the amount, which is the whole wallet's".to_owned());
        }
        if payment.fee_rate.is_none() {
            foresight.unchecked.push(FEE_UNKNOWN.to_owned());
        }
        foresight.unchecked.push("the coins that lnd spends".to_owned());
        foresight.certain.push(wallet_spend(outputs, payment.fee_rate));
        foresight
    }
}

/// A wallet spend of the least weight that these outputs can have: one coin, no change.
fn wallet_spend(outputs: Vec<OutputFact>, fee_rate: Option<u64>) -> Foreseen {
    let scripts = outputs.iter().map(|output| &*output.script_pubkey);
    let weight = weight::foreseen(scripts, weight::WALLET_WITNESS);
    let paid = outputs.iter().fold(Amount::ZERO, |sum, output| plus(sum, output.amount));
    Foreseen::new(Spend::Onchain, OutPoint::null(), plus(paid, fee(fee_rate, weight)), outputs, weight)
}

/// Channels to be opened: the funding transaction, if our wallet makes it, and each channel's first commitment.
pub(super) fn foresee_opening(opening: &Opening, accounts: &Accounts) -> Foresight {
    let mut foresight = Foresight::default();
    let known: Vec<(&NewChannel, Amount)> =
        opening.channels.iter().filter_map(|channel| Some((channel, channel.capacity?))).collect();
    if known.len() < opening.channels.len() {
        foresight.unchecked.push("the capacity, which is the whole wallet's".to_owned());
    }
    if opening.funded_elsewhere {
        foresight.unchecked.push("the funding transaction, which lnd does not make itself".to_owned());
    } else if !known.is_empty() {
        let fundings = known
            .iter()
            .map(|(_, capacity)| output(*capacity, some_funding_script(), Destination::MaybeFunding));
        let mut funding = wallet_spend(fundings.collect(), opening.fee_rate);
        // lnd makes one for each channel before it asks for the funding's signature.
        funding.reservations = u32::try_from(known.len()).unwrap_or(u32::MAX);
        foresight.certain.push(funding);
        if opening.fee_rate.is_none() {
            foresight.unchecked.push(FEE_UNKNOWN.to_owned());
        }
    }
    // What is agreed at the opening holds whoever closes, and whenever: at the worst all of the channel is ours by then.
    for channel in &opening.channels {
        let Some(script) = &channel.close_to else { continue };
        let all = channel.capacity.unwrap_or(Amount::MAX_MONEY);
        let spend = Spend::MutualClose {
            channel: OutPoint::null(),
            our_balance: all,
            peers_balance: Amount::ZERO,
            htlcs_pending: false,
            by_word: false,
        };
        let outputs = vec![output(all, script.clone(), owner(accounts, script))];
        foresight.at_its_end.push(Foreseen::new(spend, OutPoint::null(), all, outputs, Weight::ZERO));
    }
    for (channel, capacity) in known {
        let kept = minus(capacity, channel.push);
        let spend = Spend::CounterpartyCommitment { channel: OutPoint::null(), number: 0, to_remote: kept };
        let ours = output(kept, some_funding_script(), Destination::OwnChannel);
        let outputs = [Some(ours), (channel.push > Amount::ZERO).then(|| peers(channel.push))];
        let outputs: Vec<OutputFact> = outputs.into_iter().flatten().collect();
        let paid = outputs.iter().fold(Amount::ZERO, |sum, output| plus(sum, output.amount));
        let weight = weight::foreseen(outputs.iter().map(|o| &*o.script_pubkey), weight::FUNDING_WITNESS);
        let first = Foreseen::new(spend, OutPoint::null(), capacity.max(paid), outputs, weight);
        foresight.certain.push(Foreseen {
            funded_by_us: if opening.funded_elsewhere { Amount::ZERO } else { capacity },
            ..first
        });
    }
    foresight
}
