//! Cooperative closes.

use bitcoin::bip32::DerivationPath;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use lightning_signer::policy::validator::EnforcementState;
use lightning_signer::tx::tx::CommitmentInfo2;
use strongroom_policy::Violation;

use super::commitment::{cut_off, setup};
use super::facts::ChannelFacts;
use super::places::{Decided, Places};
use super::rules::refused;
use super::{Vls, tags};

/// Less than any close weighs.
const LEAST_WEIGHT: u64 = 200;

impl Vls {
    /// What VLS has against a mutual close.
    ///
    /// VLS compares it with the latest commitments of both sides. Ours is never shown; in its place stands the peer's,
    /// mirrored, for this one question: the comparison is made, but once. Who pays the fee decides which side's balance
    /// must be exact: who funded the channel, or whoever closes it (`option_simple_close`). The commitment's fee goes back to who
    /// paid it: to us where we funded the channel, so that the peer gets no more than it has. Where no request told who funded
    /// the channel, either may have, and it may go back to either.
    pub fn mutual_close(
        &self,
        channel: &ChannelFacts,
        transaction: &Transaction,
        places: Places<'_>,
    ) -> Vec<Violation> {
        let outputs = &transaction.output[..];
        if outputs.len() > 2 {
            return vec![refused(tags::CLOSE_FORM, format!("{} outputs", outputs.len()))];
        }
        let latest = self.channels.get(&channel.funding);
        let Some(latest) = latest.and_then(|latest| Some((&latest.state, balances(&latest.state)?))) else {
            let value = format!("a close of {}, of which no commitment is known", channel.funding);
            return vec![refused(tags::CLOSE_VALUE, value)];
        };
        let paid = outputs.iter().try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value));
        if let Some(fee) = paid.and_then(|paid| channel.capacity.checked_sub(paid))
            && cut_off(fee, LEAST_WEIGHT)
        {
            return vec![refused(tags::CLOSE_FEE, format!("a fee of {} sat", fee.to_sat()))];
        }
        let wallet = Decided { places, scripts: Vec::new() };
        let (state, balances) = latest;
        let (mine, peers) = balances;
        let returned = channel.capacity.to_sat().saturating_sub(mine).saturating_sub(peers);
        let mut first = None;
        for (ours, theirs) in assignments(outputs, places) {
            let payers: &[bool] = match channel.we_funded {
                Some(true) if sats(theirs) > peers => &[true],
                Some(true) => &[true, false],
                Some(false) => &[false],
                None => &[false, true],
            };
            // What the commitment held in no output and in anchors goes back to who funded the channel.
            let with = |balance: u64, paid: u64, funder: bool| {
                let back = funder && paid > balance && paid <= balance.saturating_add(returned);
                if back { paid } else { balance }
            };
            let balances = (
                with(mine, sats(ours), channel.we_funded != Some(false)),
                with(peers, sats(theirs), channel.we_funded != Some(true)),
            );
            let Some(state) = mirrored(state, balances) else { continue };
            for we_pay in payers {
                let channel = ChannelFacts { we_funded: Some(*we_pay), ..channel.clone() };
                let setup = setup(&channel, Amount::ZERO, self.node);
                let found = self.rules.close.ask(false, |vls| {
                    vls.validate_mutual_close_tx(
                        &wallet,
                        &setup,
                        &state,
                        sats(ours),
                        sats(theirs),
                        &script(ours),
                        &script(theirs),
                        &DerivationPath::master(),
                    )
                });
                if found.is_empty() {
                    return found;
                }
                first.get_or_insert(found);
            }
        }
        first.unwrap_or_default()
    }
}

/// Our balance and the peer's, by its latest commitment.
fn balances(state: &EnforcementState) -> Option<(u64, u64)> {
    let theirs = state.current_counterparty_commit_info.as_ref()?;
    Some((theirs.to_countersigner_value_sat, theirs.to_broadcaster_value_sat))
}

/// The state with these balances, ours and the peer's, and with the peer's commitment seen from our side in place of ours.
fn mirrored(state: &EnforcementState, (ours, peers): (u64, u64)) -> Option<EnforcementState> {
    let mut state = state.clone();
    let theirs = state.current_counterparty_commit_info.as_mut()?;
    (theirs.to_countersigner_value_sat, theirs.to_broadcaster_value_sat) = (ours, peers);
    state.current_holder_commit_info = Some(CommitmentInfo2::new(
        false,
        peers,
        ours,
        theirs.received_htlcs.clone(),
        theirs.offered_htlcs.clone(),
        theirs.feerate_per_kw,
    ));
    Some(state)
}

/// Which output is ours and which the peer's: every way there is, that with an output to a place of ours first.
fn assignments<'a>(outputs: &'a [TxOut], places: Places<'_>) -> Vec<(Option<&'a TxOut>, Option<&'a TxOut>)> {
    let (a, b) = (outputs.first(), outputs.get(1));
    let is_ours = |output: Option<&TxOut>| output.is_some_and(|output| places.has(&output.script_pubkey));
    if is_ours(b) && !is_ours(a) || b.is_none() && !is_ours(a) {
        vec![(b, a), (a, b)]
    } else {
        vec![(a, b), (b, a)]
    }
}

fn sats(output: Option<&TxOut>) -> u64 {
    output.map_or(0, |output| output.value.to_sat())
}

fn script(output: Option<&TxOut>) -> Option<ScriptBuf> {
    output.map(|output| output.script_pubkey.clone())
}
