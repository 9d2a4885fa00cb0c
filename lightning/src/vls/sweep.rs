//! Collecting our own outputs of a closed channel, and punishing.

use bitcoin::absolute::LockTime;
use bitcoin::bip32::DerivationPath;
use bitcoin::{Amount, OutPoint, Script, Transaction};
use lightning_signer::policy::validator::ChainState;
use strongroom_policy::Violation;

use super::commitment::{UNKNOWN_CHAIN, cut_off, setup};
use super::facts::ChannelFacts;
use super::places::{Decided, Places};
use super::rules::refused;
use super::{Vls, tags};
use crate::script::ChannelScript;

/// Less than any sweep weighs.
const LEAST_WEIGHT: u64 = 200;

/// A sweep, and the input of it that we are asked to sign.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// Punishes a revoked commitment, rather than collecting what is ours.
    pub justice: bool,
    /// The transaction.
    pub transaction: &'a Transaction,
    /// Index of the input signed.
    pub index: usize,
    /// Amount of the output that it spends.
    pub amount: Amount,
    /// Witness script of that output.
    pub script: &'a Script,
}

impl Vls {
    /// What VLS has against a sweep of a delayed output, of an HTLC on the peer's commitment, or against justice.
    ///
    /// lnd collects many outputs in one transaction and asks for one signature at a time; VLS looks at the sequence of
    /// the first input alone, so that the one signed is put first. Every output is looked at each time; that is the same
    /// answer, and nothing is counted by VLS that could count twice.
    pub fn sweep(&self, sweep: Sweep<'_>, places: Places<'_>) -> Vec<Violation> {
        let mut transaction = sweep.transaction.clone();
        if sweep.index >= transaction.input.len() {
            return vec![refused(tags::SWEEP_FORM, format!("no input {}", sweep.index))];
        }
        transaction.input.swap(0, sweep.index);
        let paid =
            transaction.output.iter().try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value));
        let Some(paid) = paid else {
            return vec![refused(tags::SWEEP_FEE, "outputs of more than all bitcoin".to_owned())];
        };
        let fee = sweep.amount.checked_sub(paid).unwrap_or(Amount::ZERO);
        if cut_off(fee, LEAST_WEIGHT) {
            return vec![refused(tags::SWEEP_FEE, format!("a fee of {} sat", fee.to_sat()))];
        }
        let script = ChannelScript::parse(sweep.script);
        let anchors = matches!(&script, Some(ChannelScript::Htlc(htlc)) if htlc.anchors);
        // Of the channel, these rules read no more than its form and the delay, and the script shows both.
        let channel = ChannelFacts {
            funding: OutPoint::null(),
            capacity: sweep.amount,
            anchors,
            we_funded: None,
            from_zero: false,
        };
        let mut setup = setup(&channel, Amount::ZERO, self.node);
        let wallet = Decided { places, scripts: Vec::new() };
        let chain = own_bound(transaction.lock_time);
        let (amount, nowhere) = (sweep.amount.to_sat(), DerivationPath::master());
        let rules = &self.rules.sweep;
        if sweep.justice {
            return rules.ask(false, |vls| {
                vls.validate_justice_sweep(&wallet, &setup, &chain, &transaction, 0, amount, &nowhere)
            });
        }
        match script {
            Some(ChannelScript::Delayed(delayed)) => {
                let Ok(delay) = u16::try_from(delayed.csv) else {
                    let value = format!("a delay of {}", delayed.csv);
                    return vec![refused(tags::SWEEP_FORM, value)];
                };
                setup.counterparty_selected_contest_delay = delay;
                rules.ask(false, |vls| {
                    vls.validate_delayed_sweep(&wallet, &setup, &chain, &transaction, 0, amount, &nowhere)
                })
            }
            _ => {
                let script = sweep.script.to_owned();
                rules.ask(false, |vls| {
                    vls.validate_counterparty_htlc_sweep(
                        &wallet,
                        &setup,
                        &chain,
                        &transaction,
                        &script,
                        0,
                        amount,
                        &nowhere,
                    )
                })
            }
        }
    }
}

/// The chain as sweeps read it: no more than its height, which bounds the locktime. LND's is the height that it sees, and ours
/// may be some blocks behind, or not known at all; so a locktime is its own bound. One that is far ahead keeps a sweep from being
/// mined, as LND can by not publishing it; bringing home what is ours does not wait for our view of the chain.
fn own_bound(locktime: LockTime) -> ChainState {
    let current_height = match locktime {
        LockTime::Blocks(height) => height.to_consensus_u32().min(super::commitment::MAX_HEIGHT),
        LockTime::Seconds(_) => 0,
    };
    ChainState { current_height, ..UNKNOWN_CHAIN }
}
