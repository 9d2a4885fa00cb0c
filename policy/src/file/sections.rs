//! The tables of the policy file, in its order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{AllowlistEntry, FeeRateLimit, Grant, PerMille, Sats, VlsLimits};
use crate::case::MessageKind;
use crate::key_group::KeyGroup;
use crate::network::Network;
use crate::node_id::NodeId;
use crate::tier::Tier;
use crate::velocity::Window;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Of the file's form.
    pub version: Version,
    /// What the policy calls itself.
    pub profile: Spanned<ProfileName>,
    /// The network served.
    pub network: Spanned<Network>,
    /// The rolling window of all `in_window` limits.
    pub window: Window,
    /// Payments to strangers.
    pub outflow: Outflow,
    /// Fees.
    pub fees: Fees,
    /// Channel sizes and numbers.
    pub channels: Channels,
    /// Who may be a peer.
    pub peers: Peers,
    /// The chain as our own bitcoind has it.
    pub chain: Chain,
    /// Lightning payments of our own.
    pub payments: Payments,
    /// Lightning payments of others.
    pub forwards: Forwards,
    /// Mutual closes.
    pub closing: Closing,
    /// Taproot beyond BIP86.
    pub taproot: Taproot,
    /// What may be signed as a message.
    pub messages: Messages,
    /// Which keys answer ECDH.
    pub ecdh: Ecdh,
    /// MuSig2.
    pub musig2: Musig2,
    /// The Validating Lightning Signer's rules.
    pub vls: VlsLimits,
    /// Each rule's mode, by tag.
    pub rules: Spanned<BTreeMap<Spanned<String>, Spanned<Mode>>>,
    /// Who may ask for what.
    pub grants: Vec<Grant>,
    /// Destinations paid without limit. The only key that may be absent: without it nobody is paid so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowlist: Vec<AllowlistEntry>,
}

/// Version of the file's form: 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Version;

impl TryFrom<u64> for Version {
    type Error = String;
    fn try_from(given: u64) -> Result<Self, String> {
        if given == 1 { Ok(Self) } else { Err(format!("given {given}; allowed: 1")) }
    }
}

impl From<Version> for u64 {
    fn from(Version: Version) -> u64 {
        1
    }
}

/// Name of a profile: 1 to 32 of `a-z`, `0-9`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

impl ProfileName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProfileName {
    type Error = String;
    fn try_from(given: String) -> Result<Self, String> {
        let permitted = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if given.is_empty() || given.len() > 32 || !given.chars().all(permitted) {
            let shown: String = given.chars().take(64).collect();
            return Err(format!("given {shown:?}; allowed: 1 to 32 characters of a-z, 0-9 and '-'"));
        }
        Ok(Self(given))
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> String {
        name.0
    }
}

/// Whether a rule refuses or only reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A violation refuses the request.
    Enforce,
    /// A violation is written down, and the request goes on.
    Observe,
}

/// `[outflow]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outflow {
    /// Most that one transaction may pay to strangers.
    pub max_per_transaction_sat: Sats,
    /// Most that a node may pay to strangers in the window.
    pub max_in_window_sat: Sats,
}

/// `[fees.…]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fees {
    /// Spends of the on-chain wallet.
    pub wallet: WalletFees,
    /// Closes, sweeps, fee bumps, second-level transactions and justice.
    pub closing: ClosingFees,
    /// Commitments.
    pub commitment: CommitmentFees,
}

/// `[fees.wallet]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletFees {
    /// Most for one transaction.
    pub max_per_transaction_sat: Sats,
    /// Highest feerate.
    pub max_rate_sat_per_vb: FeeRateLimit,
    /// A wallet spend is refused when the fees of such in the window, together with its own, would exceed this.
    pub max_in_window_sat: Sats,
}

/// `[fees.closing]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosingFees {
    /// Most for one transaction, of what it claims. Beyond it `[fees.wallet]` holds, as for any spend.
    pub max_share_per_mille: PerMille,
    /// Highest feerate.
    pub max_rate_sat_per_vb: FeeRateLimit,
    /// The same for closing transactions, in a window of their own.
    pub max_in_window_sat: Sats,
}

/// `[fees.commitment]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitmentFees {
    /// Most for one commitment, trimmed HTLCs included.
    pub max_per_transaction_sat: Sats,
}

/// `[channels]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// Least tier of channels that are opened or pay.
    pub require_tier: Tier,
    /// Largest channel.
    pub max_capacity_sat: Sats,
    /// All channels of a node together.
    pub max_total_sat: Sats,
    /// Announced channels of one peer together.
    pub max_per_peer_sat: Sats,
    /// Channels whose peer no announcement named, together.
    pub max_unnamed_sat: Sats,
    /// Funding outputs without a commitment yet: sum.
    pub max_unmatched_funding_sat: Sats,
    /// The same: number.
    pub max_unmatched_funding_count: u32,
    /// A funding is signed after its channel's first commitment only.
    pub require_psbt_funding: bool,
    /// More channels than this whose own commitment above number 0 is signed in the window are told of.
    pub max_force_closes_in_window: u32,
    /// So is more than this of our balance in them, together.
    pub max_force_close_value_in_window_sat: Sats,
    /// What a peer must keep of a channel's capacity.
    pub min_peer_reserve_per_mille: PerMille,
}

/// `[peers]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Whether the list decides.
    pub mode: PeerMode,
    /// Nodes that may be peers.
    pub listed: Vec<NodeId>,
}

/// Who may be a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerMode {
    /// Anybody.
    Any,
    /// Who is listed.
    Listed,
}

/// `[chain]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Without a bitcoind nothing is opened, forwarded or force-closed.
    pub required: bool,
    /// Since our bitcoind last agreed on the tip.
    pub max_silence_seconds: u64,
    /// Since the time in the tip's header.
    pub max_tip_age_seconds: u64,
    /// An HTLC that runs out within so many blocks is told of.
    pub deadline_blocks: u32,
}

/// `[payments]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payments {
    /// Every HTLC that forwards nothing needs an authorisation.
    pub require_authorization: bool,
    /// Largest HTLC without authorisation.
    pub max_unauthorized_htlc_sat: Sats,
    /// HTLCs without authorisation in the window.
    pub max_unauthorized_in_window_sat: Sats,
    /// Balance that leaves channels without an HTLC, in the window.
    pub max_unexplained_in_window_sat: Sats,
}

/// `[forwards]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forwards {
    /// Blocks between the timeouts of the outgoing and the incoming HTLC.
    pub min_cltv_delta_blocks: u32,
    /// Forwards not proven settled for HTLCs that came by one channel.
    pub max_provisional_per_channel_sat: Sats,
    /// The same for all channels.
    pub max_provisional_total_sat: Sats,
    /// From the end of the outgoing HTLC to the incoming one's amount on our balance.
    pub max_claim_seconds: u64,
}

/// `[closing]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// How much less than our balance a mutual close may pay us, beside its own fee.
    pub max_mutual_close_loss_sat: Sats,
}

/// `[taproot]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taproot {
    /// Channel keys may spend taproot outputs.
    pub channels: bool,
    /// Wallet keys may spend taproot outputs other than BIP86.
    pub wallet_scripts: bool,
}

/// `[messages]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// Kinds that may be signed.
    pub kinds: Vec<MessageKindName>,
    /// BIP340 tags that may be signed, if `kinds` has `tagged`.
    pub tags: Vec<String>,
    /// Schnorr signatures on messages.
    pub schnorr: bool,
    /// Taproot tweaks of the key that signs messages.
    pub tap_tweak: bool,
}

/// Kinds of message that can be allowed. An unknown message has no name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKindName {
    /// BOLT 7 node_announcement.
    NodeAnnouncement,
    /// BOLT 7 channel_update.
    ChannelUpdate,
    /// BOLT 7 channel_announcement.
    ChannelAnnouncement,
    /// BOLT 11 invoice.
    Invoice,
    /// `lncli signmessage`.
    LightningSignedMessage,
    /// A BIP340 tagged hash with a tag on the list.
    Tagged,
}

impl MessageKindName {
    /// The name of a kind; `None` for what cannot be allowed.
    pub fn of(kind: &MessageKind) -> Option<Self> {
        Some(match kind {
            MessageKind::NodeAnnouncement => Self::NodeAnnouncement,
            MessageKind::ChannelUpdate => Self::ChannelUpdate,
            MessageKind::ChannelAnnouncement { .. } => Self::ChannelAnnouncement,
            MessageKind::Invoice { .. } => Self::Invoice,
            MessageKind::LightningSignedMessage => Self::LightningSignedMessage,
            MessageKind::Tagged { .. } => Self::Tagged,
            MessageKind::Unknown { .. } => return None,
        })
    }

    /// The name in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NodeAnnouncement => "node-announcement",
            Self::ChannelUpdate => "channel-update",
            Self::ChannelAnnouncement => "channel-announcement",
            Self::Invoice => "invoice",
            Self::LightningSignedMessage => "lightning-signed-message",
            Self::Tagged => "tagged",
        }
    }
}

/// `[ecdh]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ecdh {
    /// Keys that answer any point: of `node`, `static-backup`, `tower-session` and `tower-id`.
    pub keys: Spanned<Vec<KeyGroup>>,
}

/// `[musig2]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Musig2 {
    /// MuSig2 sessions with nonces that the signer makes.
    pub enabled: bool,
    /// Most sessions open at a time.
    pub max_sessions: u32,
}
