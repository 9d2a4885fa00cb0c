//! A recognised request in VLS's terms: which of its rules are asked, with which facts.

use bitcoin::Amount;
use strongroom_policy::{Destination, Spend, SpendAsk, SweepOf, Violation};

use super::Vls;
use super::facts::{ChannelFacts, CommitmentFacts, HtlcFacts};
use super::places::Places;
use super::record::Taught;
use super::sweep::Sweep;
use crate::channels::{Channels, PendingHtlc};
use crate::classify::htlc_of;
use crate::psbt::SignRequest;
use crate::script::{Anchor, Funding, Htlc, ToRemote, anchor_script};

/// What VLS says of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Every rule broken, by VLS's own tags.
    pub violations: Vec<Violation>,
    /// What the request teaches if it is approved.
    pub taught: Taught,
}

impl Vls {
    /// Asks VLS about a request that [`Channels::classify`] understood as `ask`, before it is learned.
    /// `funded_by_us` is what our wallet is known to have paid into the channel concerned.
    pub fn judge(
        &self,
        request: &SignRequest,
        ask: &SpendAsk,
        channels: &Channels,
        funded_by_us: Amount,
        places: Places<'_>,
    ) -> Judged {
        let of = |violations| Judged { violations, taught: Taught::default() };
        let transaction = request.transaction();
        match &ask.spend {
            Spend::CounterpartyCommitment { number, to_remote, .. } => {
                let Some(channel) = channel(request, ask, channels, funded_by_us) else {
                    return Judged::default();
                };
                let facts = commitment(ask, channels, channel, *number, *to_remote);
                Judged { violations: self.counterparty_commitment(&facts), taught: self.learns(&facts) }
            }
            Spend::CounterpartyHtlc { .. } => {
                match (channel(request, ask, channels, funded_by_us), ask.fee()) {
                    (Some(channel), Some(fee)) => {
                        let htlc = htlc_of(request);
                        of(htlc.map(|htlc| self.counterparty_htlc(&channel, &htlc, fee)).unwrap_or_default())
                    }
                    _ => Judged::default(),
                }
            }
            // An operator said what it must pay us: there is no commitment that VLS could hold it to.
            Spend::MutualClose { by_word: true, .. } => Judged::default(),
            Spend::MutualClose { .. } => match channel(request, ask, channels, funded_by_us) {
                Some(channel) => of(self.mutual_close(&channel, transaction, places)),
                None => Judged::default(),
            },
            Spend::Onchain | Spend::Sweep(SweepOf::ToRemote | SweepOf::Anchor) => {
                of(self.onchain(transaction, ask, places))
            }
            Spend::Sweep(SweepOf::Delayed | SweepOf::CounterpartyHtlc) | Spend::Justice => {
                let signed = &request.to_sign()[0];
                of(self.sweep(
                    Sweep {
                        justice: ask.spend == Spend::Justice,
                        transaction,
                        index: signed.index,
                        amount: request.spent()[signed.index].output.value,
                        script: &signed.script,
                    },
                    places,
                ))
            }
            // Our own commitments and second-level transactions: VLS reads them by keys that no request shows. Unknown
            // spends are refused as such.
            Spend::HolderCommitment { .. } | Spend::HolderHtlc { .. } | Spend::Unknown { .. } => {
                Judged::default()
            }
        }
    }
}

/// The channel that a commitment, an HTLC transaction or a close concerns.
fn channel(
    request: &SignRequest,
    ask: &SpendAsk,
    channels: &Channels,
    funded_by_us: Amount,
) -> Option<ChannelFacts> {
    let (Spend::CounterpartyCommitment { channel: funding, .. }
    | Spend::CounterpartyHtlc { channel: funding, .. }
    | Spend::MutualClose { channel: funding, .. }) = &ask.spend
    else {
        return None;
    };
    let we_funded = (funded_by_us > Amount::ZERO || channels.fundings.contains_key(funding)).then_some(true);
    if let Some(known) = channels.channels.get(funding) {
        let record = &known.record;
        // Until a commitment pays us, its anchors tell the form, or an HTLC's own script.
        let anchors = match record.to_remote {
            Some((_, form)) => form == ToRemote::Anchors,
            None => match Htlc::parse(request.to_sign()[0].script.as_bytes()) {
                Some(htlc) => htlc.anchors,
                None => has_anchor(ask, &known.anchors),
            },
        };
        return Some(ChannelFacts {
            funding: *funding,
            capacity: record.capacity,
            anchors,
            we_funded,
            from_zero: record.reserved,
        });
    }
    // Its first commitment: what it settles is not learned yet.
    let signed = &request.to_sign()[0];
    let keys = Funding::parse(signed.script.as_bytes())?.keys;
    let strongroom_policy::KeyPath::Lightning(multisig) = signed.key else { return None };
    Some(ChannelFacts {
        funding: *funding,
        capacity: request.spent()[signed.index].output.value,
        anchors: has_anchor(ask, &keys.map(|key| anchor_script(&key).to_p2wsh())),
        we_funded,
        from_zero: channels.reservations.values().any(|reserved| *reserved == multisig.index),
    })
}

fn has_anchor(ask: &SpendAsk, anchors: &[bitcoin::ScriptBuf; 2]) -> bool {
    ask.outputs
        .iter()
        .any(|output| output.amount == Anchor::AMOUNT && anchors.contains(&output.script_pubkey))
}

/// The peer's commitment: outputs that are neither ours nor anchors are HTLCs as far as their scripts were shown; of
/// what is left, the largest is taken for the peer's own.
fn commitment(
    ask: &SpendAsk,
    channels: &Channels,
    channel: ChannelFacts,
    number: u64,
    to_remote: Amount,
) -> CommitmentFacts {
    let answers = channels.htlc_answers.get(&ask.txid);
    let mut htlcs = Vec::new();
    let mut left = Vec::new();
    for (vout, output) in (0u32..).zip(&ask.outputs) {
        if output.to == Destination::OwnChannel {
            continue;
        }
        match answers.and_then(|answers| answers.get(vout)) {
            Some(answer) => htlcs.push(facts(&answer.pending(vout))),
            None => left.push(output.amount),
        }
    }
    left.sort_unstable();
    let to_local = left.pop().unwrap_or(Amount::ZERO);
    CommitmentFacts { channel, number, to_remote, to_local, htlcs, unread: left }
}

fn facts(htlc: &PendingHtlc) -> HtlcFacts {
    let PendingHtlc { offered_by_us, payment_hash160, amount, cltv_expiry, .. } = *htlc;
    HtlcFacts { offered_by_us, amount, payment_hash160, cltv_expiry }
}
