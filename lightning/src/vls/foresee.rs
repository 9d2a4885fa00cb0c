//! What VLS would have against what lnd's user wants, as far as that is known before lnd begins.

use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute::LockTime};
use strongroom_policy::{Spend, SpendAsk, Violation};

use super::Vls;
use super::commitment::setup;
use super::facts::ChannelFacts;
use super::places::Places;
use crate::preflight::{Foreseen, Intent};

impl Vls {
    /// The size of each channel to be opened, and the feerate of each transaction of the wallet, where the user set it. The
    /// rules on commitments and closes need amounts that are not known yet.
    pub fn foresee(&self, intent: &Intent, certain: &[Foreseen], places: Places<'_>) -> Vec<Violation> {
        let (channels, fee_rate) = match intent {
            Intent::Open(opening) => (&opening.channels[..], opening.fee_rate),
            Intent::Wallet(payment) => (&[][..], payment.fee_rate),
            Intent::Payment(_) | Intent::Close(_) | Intent::Forward(_) => return Vec::new(),
        };
        let sizes = channels.iter().filter_map(|channel| channel.capacity);
        let mut found: Vec<Violation> = sizes.flat_map(|capacity| self.channel_value(capacity)).collect();
        // With a fee that is not known there is no rate.
        let spends =
            certain.iter().filter(|foreseen| fee_rate.is_some() && foreseen.ask.spend == Spend::Onchain);
        found.extend(
            spends.flat_map(|foreseen| self.onchain(&transaction(&foreseen.ask), &foreseen.ask, places)),
        );
        found
    }

    /// What VLS has against a channel of that size.
    fn channel_value(&self, capacity: Amount) -> Vec<Violation> {
        let channel = ChannelFacts {
            funding: OutPoint::null(),
            capacity,
            anchors: true,
            we_funded: Some(true),
            from_zero: true,
        };
        let setup = setup(&channel, self.limits.max_push_sat.amount(), self.node);
        self.rules.channel.ask(false, |vls| vls.validate_channel_value(&setup))
    }
}

/// The transaction of a case that is foreseen.
fn transaction(ask: &SpendAsk) -> Transaction {
    let input = ask.inputs.iter().map(|input| TxIn {
        previous_output: input.outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence(input.sequence),
        witness: Witness::new(),
    });
    let output = ask
        .outputs
        .iter()
        .map(|output| TxOut { value: output.amount, script_pubkey: output.script_pubkey.clone() });
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: input.collect(),
        output: output.collect(),
    }
}
