//! The peer's HTLC transactions, one signature each.

use bitcoin::Amount;
use lightning_signer::lightning::ln::chan_utils::{
    HTLCOutputInCommitment, htlc_success_tx_weight, htlc_timeout_tx_weight,
};
use lightning_signer::lightning::types::payment::PaymentHash;
use strongroom_policy::Violation;

use super::commitment::{UNKNOWN_CHAIN, cut_off, setup};
use super::facts::{ChannelFacts, HtlcFacts};
use super::rules::refused;
use super::{Vls, tags};

impl Vls {
    /// What VLS has against the peer's HTLC transaction, which takes `fee` from the HTLC.
    ///
    /// `decode_and_validate_htlc_tx` is not asked: it builds the transaction anew from the peer's revocation and delayed
    /// keys, which no request shows, to compare it.
    pub fn counterparty_htlc(&self, channel: &ChannelFacts, htlc: &HtlcFacts, fee: Amount) -> Vec<Violation> {
        let setup = setup(channel, Amount::ZERO, self.node);
        let features = setup.features();
        // Seen from the peer: what we offered it received, and claims with a preimage.
        let weight = if htlc.offered_by_us {
            htlc_success_tx_weight(&features)
        } else {
            htlc_timeout_tx_weight(&features)
        };
        let rate = (!cut_off(fee, weight)).then(|| fee.to_sat().saturating_mul(1_000).div_ceil(weight));
        let amount_msat = htlc.amount.to_sat().checked_mul(1_000);
        let (Some(Ok(rate)), Some(amount_msat)) = (rate.map(u32::try_from), amount_msat) else {
            let value = format!("{} sat of an HTLC of {} sat", fee.to_sat(), htlc.amount.to_sat());
            return vec![refused(tags::HTLC_FEE, value)];
        };
        let mut payment_hash = PaymentHash([0; 32]);
        payment_hash.0[..20].copy_from_slice(&htlc.payment_hash160);
        let output = HTLCOutputInCommitment {
            offered: !htlc.offered_by_us,
            amount_msat,
            cltv_expiry: htlc.cltv_expiry,
            payment_hash,
            transaction_output_index: None,
        };
        let mut found = self
            .rules
            .htlc
            .ask(false, |vls| vls.validate_htlc_tx(&setup, &UNKNOWN_CHAIN, true, &output, rate));
        found.extend(self.expiries(channel, self.introduced(&channel.funding, &[*htlc]), &setup));
        found
    }
}
