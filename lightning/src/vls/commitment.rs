//! The peer's commitments.
//!
//! `validate_counterparty_commitment_tx` takes the peer's commitment point and a `ChannelSetup` with its basepoints,
//! none of which is known. It reads the point only to compare it with that of a commitment of the same number, of which
//! none is ever stored here, and the basepoints not at all; both are given the node's own id, and a test holds that no
//! other key changes any answer.

use bitcoin::{Amount, OutPoint};
use lightning_signer::channel::{ChannelSetup, CommitmentType};
use lightning_signer::lightning::ln::chan_utils::ChannelPublicKeys;
use lightning_signer::lightning::ln::channel_keys::{
    DelayedPaymentBasepoint, HtlcBasepoint, RevocationBasepoint,
};
use lightning_signer::lightning::types::payment::PaymentHash;
use lightning_signer::policy::validator::{ChainState, EnforcementState};
use lightning_signer::tx::tx::{CommitmentInfo2, HTLCInfo2};
use secp256k1::PublicKey;
use strongroom_policy::Violation;
use strongroom_policy::file::ChainView;

use super::facts::{ChannelFacts, CommitmentFacts, HtlcFacts};
use super::rules::refused;
use super::{Vls, tags};

/// BOLT 3's weight of a commitment without HTLCs: the least that any fee is divided by.
const LEAST_WEIGHT: u64 = 724;

/// Height that VLS may be given: it adds to it, and above this a locktime is a time.
pub(super) const MAX_HEIGHT: u32 = 499_000_000;

impl Vls {
    /// What VLS has against a commitment of the peer's that we are asked to sign.
    pub fn counterparty_commitment(&self, facts: &CommitmentFacts) -> Vec<Violation> {
        let channel = &facts.channel;
        let before = self.channels.get(&channel.funding);
        let setup = setup(channel, self.limits.max_push_sat.amount(), self.node);
        let mut found = Vec::new();
        if before.is_none() {
            found.extend(self.rules.channel.ask(false, |vls| vls.validate_channel_value(&setup)));
        }
        if let Some(enormous) = enormous_fee(facts) {
            found.push(enormous);
            return found;
        }
        let number = facts.vls_number();
        let chain = self.funding_state(channel, number, &mut found);
        let (with_chain, chain) = chain.map_or((false, UNKNOWN_CHAIN), |state| (true, state));
        let info = info(facts, *self.limits.min_commitment_sat_per_kw.get_ref());
        let nothing = EnforcementState::new(0);
        let state = before.map_or(&nothing, |before| &before.state);
        found.extend(self.rules.commitment.ask(with_chain, |vls| {
            vls.validate_counterparty_commitment_tx(state, number, &self.node, &setup, &chain, &info)
        }));
        found.extend(self.expiries(channel, self.introduced(&channel.funding, &facts.htlcs), &setup));
        found
    }

    /// Those that the latest commitment known does not carry.
    pub(super) fn introduced(&self, funding: &OutPoint, htlcs: &[HtlcFacts]) -> Vec<HtlcFacts> {
        let before = self.channels.get(funding);
        let new = |htlc: &&HtlcFacts| before.is_none_or(|before| before.htlcs.binary_search(htlc).is_err());
        htlcs.iter().filter(new).copied().collect()
    }

    /// The expiries of new HTLCs, by our own height.
    pub(super) fn expiries(
        &self,
        channel: &ChannelFacts,
        htlcs: Vec<HtlcFacts>,
        setup: &ChannelSetup,
    ) -> Option<Violation> {
        // The number plays no part here; with 1 and a state of nothing, no rule about numbers is in the way.
        const NUMBER: u64 = 1;
        if htlcs.is_empty() {
            return None;
        }
        let Some(current_height) = self.height() else {
            return (self.limits.chain == ChainView::Required)
                .then(|| refused(tags::EXPIRY, "an HTLC, at a height that is not known".to_owned()));
        };
        let bare = CommitmentFacts {
            channel: channel.clone(),
            number: NUMBER,
            to_remote: Amount::ZERO,
            to_local: Amount::ZERO,
            htlcs,
            unread: Vec::new(),
        };
        let info = info(&bare, 0);
        let chain = ChainState { current_height, ..UNKNOWN_CHAIN };
        let nothing = EnforcementState::new(0);
        let found = self.rules.introduced.ask(false, |vls| {
            vls.validate_counterparty_commitment_tx(&nothing, NUMBER, &self.node, setup, &chain, &info)
        });
        found.into_iter().find(|violation| violation.tag == tags::EXPIRY || violation.tag == super::PANIC)
    }

    /// The chain as the commitment's rules read it; `None` where nothing is known of the funding output, or where the
    /// commitment is the first, signed before there is one.
    fn funding_state(
        &self,
        channel: &ChannelFacts,
        number: u64,
        found: &mut Vec<Violation>,
    ) -> Option<ChainState> {
        let known = self.chain.as_ref().and_then(|chain| chain.funding_state(&channel.funding));
        if known.is_none() && number > 0 && self.limits.chain == ChainView::Required {
            let value = format!("commitment {number}, while nothing is known of {}", channel.funding);
            found.push(refused(tags::ACTIVE_FUNDING, value));
        }
        known.filter(|_| number > 0)
    }
}

/// A fee whose rate has more than 32 bits. VLS cuts them off, and an enormous fee would look like a low one.
fn enormous_fee(facts: &CommitmentFacts) -> Option<Violation> {
    let amounts = facts.htlcs.iter().map(|htlc| htlc.amount).chain(facts.unread.iter().copied());
    let mut paid = [facts.to_remote, facts.to_local].into_iter().chain(amounts);
    let paid = paid.try_fold(Amount::ZERO, Amount::checked_add)?;
    let fee = facts.channel.capacity.checked_sub(paid)?;
    cut_off(fee, LEAST_WEIGHT)
        .then(|| refused(tags::COMMITMENT_FEE, format!("a fee of {} sat", fee.to_sat())))
}

/// Whether a fee over a weight is a feerate that VLS would cut off: it keeps 32 bits of sat per 1,000 weight units.
pub(super) fn cut_off(fee: Amount, weight: u64) -> bool {
    fee.to_sat() / weight.max(1) >= u64::from(u32::MAX) / 1_000 - 1
}

/// Where the chain is not known, no rule that reads it is asked.
pub(super) const UNKNOWN_CHAIN: ChainState =
    ChainState { current_height: 0, funding_depth: 0, funding_double_spent_depth: 0, closing_depth: 0 };

/// The setup of a channel. What no request shows is empty, or the node's own id where VLS demands a key; delays are
/// given where a rule reads them.
pub(super) fn setup(channel: &ChannelFacts, most_pushed: Amount, unread_key: PublicKey) -> ChannelSetup {
    ChannelSetup {
        is_outbound: channel.we_funded == Some(true),
        channel_value_sat: channel.capacity.to_sat(),
        push_value_msat: most_pushed.to_sat().saturating_mul(1_000),
        funding_outpoint: channel.funding,
        holder_selected_contest_delay: 0,
        holder_shutdown_script: None,
        counterparty_points: ChannelPublicKeys {
            funding_pubkey: unread_key,
            revocation_basepoint: RevocationBasepoint(unread_key),
            payment_point: unread_key,
            delayed_payment_basepoint: DelayedPaymentBasepoint(unread_key),
            htlc_basepoint: HtlcBasepoint(unread_key),
        },
        counterparty_selected_contest_delay: 0,
        counterparty_shutdown_script: None,
        commitment_type: if channel.anchors {
            CommitmentType::AnchorsZeroFeeHtlc
        } else {
            CommitmentType::StaticRemoteKey
        },
    }
}

/// VLS's form of a commitment of the peer's. Only channels without anchors have an HTLC's least amount depend on the
/// feerate; there the lowest permitted one is taken, which refuses no honest HTLC.
pub(super) fn info(facts: &CommitmentFacts, feerate_per_kw: u32) -> CommitmentInfo2 {
    let (by_us, by_peer): (Vec<_>, Vec<_>) = facts.htlcs.iter().partition(|htlc| htlc.offered_by_us);
    let mut by_peer: Vec<HTLCInfo2> = by_peer.into_iter().map(htlc_info).collect();
    // Of those not read yet, only the number and the amounts are looked at.
    by_peer.extend(facts.unread.iter().map(|amount| HTLCInfo2 {
        value_sat: amount.to_sat(),
        payment_hash: PaymentHash([0; 32]),
        cltv_expiry: 0,
    }));
    CommitmentInfo2::new(
        true,
        facts.to_remote.to_sat(),
        facts.to_local.to_sat(),
        by_peer,
        by_us.into_iter().map(htlc_info).collect(),
        feerate_per_kw,
    )
}

/// The hash of the payment hash stands in its place; VLS only compares it.
fn htlc_info(htlc: &HtlcFacts) -> HTLCInfo2 {
    let mut payment_hash = PaymentHash([0; 32]);
    payment_hash.0[..20].copy_from_slice(&htlc.payment_hash160);
    HTLCInfo2 { value_sat: htlc.amount.to_sat(), payment_hash, cltv_expiry: htlc.cltv_expiry }
}
