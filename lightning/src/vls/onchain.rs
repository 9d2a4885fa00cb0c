//! Spends of the wallet, and sweeps of outputs that VLS treats as the wallet's: `to_remote` and anchors.

use bitcoin::Transaction;
use bitcoin::bip32::DerivationPath;
use bitcoin::transaction::Version;
use strongroom_policy::{Destination, Spend, SpendAsk, Violation};

use super::commitment::cut_off;
use super::places::{Decided, Places, path};
use super::rules::refused;
use super::{Vls, tags};

impl Vls {
    /// What VLS has against a spend of wallet outputs.
    ///
    /// VLS asks somebody to approve payments to strangers, and matches channel fundings with channels whose keys it
    /// holds. Here `[outflow]` decides on strangers and burnt coins, and the channels' own rules on fundings, so those
    /// outputs count as permitted; all else that does not come back to us counts as fee.
    pub fn onchain(&self, transaction: &Transaction, ask: &SpendAsk, places: Places<'_>) -> Vec<Violation> {
        let weight = ask.weight.to_wu();
        let refuse = |value: String| vec![refused(tags::ONCHAIN_FEE, value)];
        let Some(least) = usize::try_from(weight).ok().filter(|weight| *weight > 0) else {
            return refuse(format!("a transaction of weight {weight}"));
        };
        if transaction.output.len() != ask.outputs.len() {
            return refuse("a transaction with other outputs than were recognised".to_owned());
        }
        if let Some(fee) = ask.fee().filter(|fee| cut_off(*fee, weight)) {
            return refuse(format!("a fee of {} sat", fee.to_sat()));
        }
        // lnd's wallet makes version 1 as well, which VLS does not expect; the versions differ in relative locktimes only.
        let mut standard = transaction.clone();
        if standard.version == Version::ONE {
            standard.version = Version::TWO;
        }
        let elsewhere = ask.spend == Spend::Onchain;
        let decided = ask.outputs.iter().filter(|output| {
            elsewhere
                && matches!(
                    output.to,
                    Destination::OwnFunding(_)
                        | Destination::MaybeFunding
                        | Destination::Stranger
                        | Destination::Unspendable
                )
        });
        let scripts = decided.map(|output| output.script_pubkey.clone()).collect();
        let wallet = Decided { places, scripts };
        let amounts: Vec<u64> = ask.inputs.iter().map(|input| input.amount.to_sat()).collect();
        let paths: Vec<DerivationPath> = ask
            .outputs
            .iter()
            .map(|output| match &output.to {
                Destination::OwnWallet(wallet) => path(wallet),
                _ => DerivationPath::master(),
            })
            .collect();
        // Read only for outputs that fund a channel of VLS's own: all inputs that we sign are segwit by parsing.
        let segwit = vec![true; amounts.len()];
        self.rules.onchain.ask(false, |vls| {
            let channels = vec![None; paths.len()];
            vls.validate_onchain_tx(&wallet, channels, &standard, &segwit, &amounts, &paths, least)
        })
    }
}
