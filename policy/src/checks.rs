//! Which rules a decision stands on, by the kind of what was asked. A rule that is not asked of a kind, or that the
//! policy in force leaves nothing to refuse, is no check that passed.

use crate::file::{MessageKindName, Mode, PeerMode};
use crate::key_group::KeyGroup;
use crate::kind::Kind;
use crate::policy::Policy;
use crate::tier::Tier;
use crate::violation::Tag;

/// The rules of one kind, in the order of [`crate::rules::ALL`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// A violation refuses.
    pub enforced: Vec<Tag>,
    /// A violation is written down.
    pub observed: Vec<Tag>,
    /// Asked, but the policy in force, or a bitcoind that is not there, leaves nothing to refuse.
    pub idle: Vec<Tag>,
}

const SPENDS: &[Kind] = &[
    Kind::Onchain,
    Kind::CounterpartyCommitment,
    Kind::HolderCommitment,
    Kind::CounterpartyHtlc,
    Kind::HolderHtlc,
    Kind::MutualClose,
    Kind::SweepDelayed,
    Kind::SweepToRemote,
    Kind::SweepCounterpartyHtlc,
    Kind::SweepAnchor,
    Kind::Justice,
    Kind::UnknownSpend,
];
/// Spends that the ledger of outpoints is asked about.
const IN_LEDGER: &[Kind] = &[
    Kind::Onchain,
    Kind::HolderCommitment,
    Kind::HolderHtlc,
    Kind::MutualClose,
    Kind::SweepDelayed,
    Kind::SweepToRemote,
    Kind::SweepCounterpartyHtlc,
    Kind::SweepAnchor,
    Kind::Justice,
    Kind::UnknownSpend,
];
/// Spends whose fee is ours.
const FEES: &[Kind] = &[
    Kind::Onchain,
    Kind::HolderHtlc,
    Kind::MutualClose,
    Kind::SweepDelayed,
    Kind::SweepToRemote,
    Kind::SweepCounterpartyHtlc,
    Kind::SweepAnchor,
    Kind::Justice,
    Kind::UnknownSpend,
];
const OPENS: &[Kind] = &[Kind::Onchain, Kind::CounterpartyCommitment];
/// Spends that may pay a stranger, by a push too.
const PAYS: &[Kind] = &[Kind::Onchain, Kind::CounterpartyCommitment, Kind::HolderCommitment];
const COLLECTING: &[Kind] = &[
    Kind::HolderHtlc,
    Kind::SweepDelayed,
    Kind::SweepToRemote,
    Kind::SweepCounterpartyHtlc,
    Kind::SweepAnchor,
    Kind::Justice,
];
const MESSAGES: &[Kind] = &[
    Kind::NodeAnnouncement,
    Kind::ChannelUpdate,
    Kind::ChannelAnnouncement,
    Kind::Invoice,
    Kind::LightningSignedMessage,
    Kind::Tagged,
    Kind::UnknownMessage,
];

/// The kinds that a rule is asked of, with what the journal knows of them. A test holds that it can be broken in each
/// of them, and in no other.
fn kinds(tag: Tag) -> &'static [Kind] {
    match tag.0 {
        "grant" => &Kind::ALL,
        "unknown-spend" => &[Kind::UnknownSpend],
        "spend-key" | "sighash" | "taproot" | "input-evidence" | "fee-cap" => SPENDS,
        "amount-conflict" => IN_LEDGER,
        "fee-rate" | "fee-window" => FEES,
        "outflow-per-transaction" | "outflow-window" => PAYS,
        "chain-current" | "channel-capacity" | "channels-total" | "unnamed-total" | "tier" => OPENS,
        "funding-reservation" | "unmatched-funding" | "psbt-funding" => &[Kind::Onchain],
        "channel-known" => &[Kind::CounterpartyHtlc, Kind::MutualClose],
        "commitment-fee"
        | "unexplained-output"
        | "unexplained-outflow"
        | "channel-frozen"
        | "payment-authorization"
        | "payment-amount"
        | "payment-window"
        | "forward-cltv"
        | "forward-exposure"
        | "forward-unpaid"
        | "claim-overdue"
        | "peer-reserve" => &[Kind::CounterpartyCommitment],
        "announced-peer" | "peer-total" => &[Kind::ChannelAnnouncement],
        "peer-listed" => &[Kind::CounterpartyCommitment, Kind::ChannelAnnouncement],
        "second-level-shape" => &[Kind::CounterpartyHtlc],
        "force-close-window" | "force-close-value" => &[Kind::HolderCommitment],
        "mutual-close-balance" | "mutual-close-htlcs" => &[Kind::MutualClose],
        "closing-destination" => COLLECTING,
        "message-kind" | "message-key" | "message-form" => MESSAGES,
        "ecdh-key" => &[Kind::OnionOrHandshake, Kind::Watchtower, Kind::OtherSecret],
        "reservation-root" => &[Kind::Reservation],
        "musig2" | "musig2-nonce" | "musig2-sessions" => &[Kind::Musig2],
        _ => &[],
    }
}

impl Policy {
    /// What a decision on `kind` stands on; `followed` says whether a bitcoind of ours is.
    pub fn checks(&self, kind: Kind, followed: bool) -> Checks {
        let mut checks = Checks::default();
        for (rule, mode) in self.rules().filter(|(rule, _)| kinds(rule.tag).contains(&kind)) {
            let list = match mode {
                _ if self.is_idle(rule.tag, kind, followed) => &mut checks.idle,
                Mode::Enforce => &mut checks.enforced,
                Mode::Observe => &mut checks.observed,
            };
            list.push(rule.tag);
        }
        checks
    }

    /// Whether the policy, or a chain that nobody tells of, leaves a rule nothing to refuse.
    fn is_idle(&self, tag: Tag, kind: Kind, followed: bool) -> bool {
        let file = &self.file;
        let keys = file.ecdh.keys.get_ref();
        match (tag.0, kind) {
            ("chain-current", _) => !followed && !file.chain.required,
            ("tier", _) => file.channels.require_tier <= Tier::T0,
            ("peer-listed", _) => file.peers.mode == PeerMode::Any,
            ("psbt-funding", _) => !file.channels.require_psbt_funding,
            ("taproot", _) => file.taproot.channels && file.taproot.wallet_scripts,
            // Of tagged messages the tag is looked at too.
            ("message-kind", _) if kind != Kind::Tagged => {
                file.messages.kinds.iter().any(|name| Some(*name) == message_name(kind))
            }
            ("message-form", _) => file.messages.schnorr && file.messages.tap_tweak,
            ("ecdh-key", Kind::OnionOrHandshake) => keys.contains(&KeyGroup::Node),
            ("ecdh-key", Kind::Watchtower) => {
                keys.contains(&KeyGroup::TowerSession) && keys.contains(&KeyGroup::TowerId)
            }
            ("musig2", _) => file.musig2.enabled,
            _ => false,
        }
    }
}

fn message_name(kind: Kind) -> Option<MessageKindName> {
    Some(match kind {
        Kind::NodeAnnouncement => MessageKindName::NodeAnnouncement,
        Kind::ChannelUpdate => MessageKindName::ChannelUpdate,
        Kind::ChannelAnnouncement => MessageKindName::ChannelAnnouncement,
        Kind::Invoice => MessageKindName::Invoice,
        Kind::LightningSignedMessage => MessageKindName::LightningSignedMessage,
        _ => return None,
    })
}
