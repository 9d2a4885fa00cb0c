//! Kinds of request, by the words that leaves, metrics and the list of checks share.

use crate::case::{Ask, EcdhAsk, MessageKind, Operation, Spend, SweepOf};
use crate::key::KeyLocator;

/// What is asked, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Spend::Onchain`].
    Onchain,
    /// [`Spend::CounterpartyCommitment`].
    CounterpartyCommitment,
    /// [`Spend::HolderCommitment`].
    HolderCommitment,
    /// [`Spend::CounterpartyHtlc`].
    CounterpartyHtlc,
    /// [`Spend::HolderHtlc`].
    HolderHtlc,
    /// [`Spend::MutualClose`].
    MutualClose,
    /// [`SweepOf::Delayed`].
    SweepDelayed,
    /// [`SweepOf::ToRemote`].
    SweepToRemote,
    /// [`SweepOf::CounterpartyHtlc`].
    SweepCounterpartyHtlc,
    /// [`SweepOf::Anchor`].
    SweepAnchor,
    /// [`Spend::Justice`].
    Justice,
    /// [`Spend::Unknown`].
    UnknownSpend,
    /// [`MessageKind::NodeAnnouncement`].
    NodeAnnouncement,
    /// [`MessageKind::ChannelUpdate`].
    ChannelUpdate,
    /// [`MessageKind::ChannelAnnouncement`].
    ChannelAnnouncement,
    /// [`MessageKind::Invoice`].
    Invoice,
    /// [`MessageKind::LightningSignedMessage`].
    LightningSignedMessage,
    /// [`MessageKind::Tagged`].
    Tagged,
    /// [`MessageKind::Unknown`].
    UnknownMessage,
    /// ECDH with the node key.
    OnionOrHandshake,
    /// ECDH with a revocation root.
    Reservation,
    /// ECDH with a watchtower's key.
    Watchtower,
    /// ECDH with any other.
    OtherSecret,
    /// A MuSig2 call.
    Musig2,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 24] = [
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
        Kind::NodeAnnouncement,
        Kind::ChannelUpdate,
        Kind::ChannelAnnouncement,
        Kind::Invoice,
        Kind::LightningSignedMessage,
        Kind::Tagged,
        Kind::UnknownMessage,
        Kind::OnionOrHandshake,
        Kind::Reservation,
        Kind::Watchtower,
        Kind::OtherSecret,
        Kind::Musig2,
    ];

    /// The kind of anything asked.
    pub fn of(ask: &Ask) -> Self {
        match ask {
            Ask::Spend(spend) => Self::of_spend(&spend.spend),
            Ask::Message(message) => Self::of_message(&message.kind),
            Ask::Ecdh(ecdh) => Self::of_ecdh(ecdh),
            Ask::Musig2(_) => Self::Musig2,
        }
    }

    /// The kind of a transaction.
    pub fn of_spend(spend: &Spend) -> Self {
        match spend {
            Spend::Onchain => Self::Onchain,
            Spend::CounterpartyCommitment { .. } => Self::CounterpartyCommitment,
            Spend::HolderCommitment { .. } => Self::HolderCommitment,
            Spend::CounterpartyHtlc { .. } => Self::CounterpartyHtlc,
            Spend::HolderHtlc { .. } => Self::HolderHtlc,
            Spend::MutualClose { .. } => Self::MutualClose,
            Spend::Sweep(SweepOf::Delayed) => Self::SweepDelayed,
            Spend::Sweep(SweepOf::ToRemote) => Self::SweepToRemote,
            Spend::Sweep(SweepOf::CounterpartyHtlc) => Self::SweepCounterpartyHtlc,
            Spend::Sweep(SweepOf::Anchor) => Self::SweepAnchor,
            Spend::Justice => Self::Justice,
            Spend::Unknown { .. } => Self::UnknownSpend,
        }
    }

    /// The kind of a message.
    pub fn of_message(kind: &MessageKind) -> Self {
        match kind {
            MessageKind::NodeAnnouncement => Self::NodeAnnouncement,
            MessageKind::ChannelUpdate => Self::ChannelUpdate,
            MessageKind::ChannelAnnouncement { .. } => Self::ChannelAnnouncement,
            MessageKind::Invoice { .. } => Self::Invoice,
            MessageKind::LightningSignedMessage => Self::LightningSignedMessage,
            MessageKind::Tagged { .. } => Self::Tagged,
            MessageKind::Unknown { .. } => Self::UnknownMessage,
        }
    }

    /// The kind of a shared secret.
    pub fn of_ecdh(ask: &EcdhAsk) -> Self {
        match ask.key.family {
            KeyLocator::NODE => Self::OnionOrHandshake,
            KeyLocator::REVOCATION_ROOT => Self::Reservation,
            KeyLocator::TOWER_SESSION | KeyLocator::TOWER_ID => Self::Watchtower,
            _ => Self::OtherSecret,
        }
    }

    /// The call that asks for it.
    pub fn operation(self) -> Operation {
        match self {
            Self::NodeAnnouncement
            | Self::ChannelUpdate
            | Self::ChannelAnnouncement
            | Self::Invoice
            | Self::LightningSignedMessage
            | Self::Tagged
            | Self::UnknownMessage => Operation::SignMessage,
            Self::OnionOrHandshake | Self::Reservation | Self::Watchtower | Self::OtherSecret => {
                Operation::DeriveSharedKey
            }
            Self::Musig2 => Operation::Musig2,
            _ => Operation::SignPsbt,
        }
    }

    /// A word for it, alone of its operation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Onchain => "onchain",
            Self::CounterpartyCommitment => "counterparty-commitment",
            Self::HolderCommitment => "holder-commitment",
            Self::CounterpartyHtlc => "counterparty-htlc",
            Self::HolderHtlc => "holder-htlc",
            Self::MutualClose => "mutual-close",
            Self::SweepDelayed => "sweep-delayed",
            Self::SweepToRemote => "sweep-to-remote",
            Self::SweepCounterpartyHtlc => "sweep-counterparty-htlc",
            Self::SweepAnchor => "sweep-anchor",
            Self::Justice => "justice",
            Self::UnknownSpend | Self::UnknownMessage => "unknown",
            Self::NodeAnnouncement => "node-announcement",
            Self::ChannelUpdate => "channel-update",
            Self::ChannelAnnouncement => "channel-announcement",
            Self::Invoice => "invoice",
            Self::LightningSignedMessage => "lightning-signed-message",
            Self::Tagged => "tagged",
            Self::OnionOrHandshake => "onion or handshake",
            Self::Reservation => "reservation",
            Self::Watchtower => "watchtower",
            Self::OtherSecret => "other",
            Self::Musig2 => "musig2",
        }
    }

    /// Operation and word: its name among all kinds, as `sign-psbt justice`.
    pub fn class(self) -> String {
        format!("{} {}", self.operation().as_str(), self.as_str())
    }
}
