//! The close of a channel.

use bitcoin::{Amount, Weight};
use strongroom_policy::Frozen;
use strongroom_policy::case::{Destination, Spend};

use super::{Closing, FEE_UNKNOWN, Foreseen, Foresight, fee, minus, output, own_wallet, owner, peers};
use crate::accounts::Accounts;
use crate::books::Terms;
use crate::channels::{Channels, CounterpartyState};
use crate::classify::close;
use crate::weight;

impl Channels {
    pub(super) fn foresee_close(&self, closing: &Closing, accounts: &Accounts, terms: Terms) -> Foresight {
        let mut foresight = Foresight::default();
        let known = self.channels.get(&closing.channel);
        let capacity = known.map_or(Amount::ZERO, |channel| channel.record.capacity);
        let latest = known.and_then(|channel| channel.record.counterparty.as_ref());
        if closing.force {
            // Our own commitments are not seen; both sides' numbers go up together.
            let number = latest.map_or(1, |latest| latest.number);
            let spend = Spend::HolderCommitment { channel: closing.channel, number };
            let script = known.map(|channel| channel.funding_script_pubkey.clone()).unwrap_or_default();
            let outputs = vec![output(capacity, script, Destination::OwnChannel)];
            foresight.certain.push(Foreseen::new(spend, closing.channel, capacity, outputs, Weight::ZERO));
            foresight.unchecked.push("the commitment's fee, and what sweeps its outputs".to_owned());
            return foresight;
        }
        // Where an operator said what is ours, that counts.
        let word = self.close_allowance_at(&closing.channel, terms.now);
        let by_word = word.is_some();
        let our_balance = match word {
            Some(word) => word.at_least,
            None => latest.map_or(Amount::ZERO, |latest| latest.to_remote),
        };
        let capacity = capacity.max(our_balance);
        let is_behind = known.is_some_and(|c| c.record.frozen.is_some_and(Frozen::is_behind));
        // lnd closes when the last HTLC is gone.
        let peers_balance = latest.filter(|_| !by_word).map_or(Amount::ZERO, CounterpartyState::peers);
        let channel = closing.channel;
        let spend = if is_behind && !by_word {
            Spend::Unknown { why: close::way_on(&channel, "lnd went on with it without this signer") }
        } else {
            Spend::MutualClose { channel, our_balance, peers_balance, htlcs_pending: false, by_word }
        };
        if by_word {
            foresight.unchecked.push("whether it pays us what an operator said".to_owned());
        } else if latest.is_some_and(|latest| !latest.htlcs.is_empty()) {
            foresight.unchecked.push("the balance once its HTLCs are gone".to_owned());
        }
        if closing.to.is_none() {
            foresight.unchecked.push("a destination agreed at the opening".to_owned());
        }
        if closing.fee_rate.is_none() {
            foresight.unchecked.push(FEE_UNKNOWN.to_owned());
        }
        let (script, to) = match &closing.to {
            Some(script) => (script.clone(), owner(accounts, script)),
            None => own_wallet(),
        };
        let (ours, theirs) = (output(our_balance, script, to), peers(minus(capacity, our_balance)));
        let mut outputs = vec![ours, theirs];
        let weight = weight::foreseen(outputs.iter().map(|o| &*o.script_pubkey), weight::FUNDING_WITNESS);
        // Whoever opened the channel pays. What an operator said has the fee in it.
        let fee = fee(closing.fee_rate, weight);
        let payer = usize::from(!terms.funded_by_us || by_word);
        outputs[payer].amount = minus(outputs[payer].amount, fee);
        outputs.retain(|output| output.amount > Amount::ZERO);
        foresight.certain.push(Foreseen::new(spend, closing.channel, capacity, outputs, weight));
        foresight
    }
}
