//! What can happen, as the journal records it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ask::Ask;
use crate::digest::Digest;

/// One event. Names and fields are a file format: add, never rename.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every event is a decision; a box would cost each an allocation"
)]
pub enum Event {
    /// A request was decided.
    Decision(Decision),
    /// Requests too many and too harmless to record one by one.
    Gossip(Gossip),
    /// The daemon started.
    Started {
        /// Version of the daemon.
        version: String,
        /// `bitcoin`, `testnet`, `signet`, `simnet` or `regtest`.
        network: String,
        /// Policy in force.
        policy: Digest,
    },
    /// The daemon stopped in good order. A start without a stop before it followed a crash.
    Stopped {
        /// Why, as `SIGTERM`.
        reason: String,
    },
    /// Keys were made on the token.
    Initialised {
        /// The token, as a PKCS#11 URI without PIN.
        token: String,
        /// The key that signs heads, as `p256:02…`.
        audit_key: String,
    },
    /// Seeds were opened into memory.
    Unsealed {
        /// The nodes whose seeds are open.
        nodes: Vec<String>,
    },
    /// Secrets were wiped from memory.
    Sealed {
        /// Why, as `operator: lunch`, `token gone: CKR_DEVICE_REMOVED`.
        reason: String,
    },
    /// A node was added.
    NodeAdded {
        /// Its name.
        node: String,
        /// Its identity key, compressed, hex.
        identity: String,
        /// `generated` or `imported-hot`.
        seed_origin: String,
    },
    /// A policy came into force.
    PolicyLoaded {
        /// SHA256 of the policy file.
        policy: Digest,
        /// Profile it was made from.
        profile: String,
        /// Rules that only observe.
        observed_rules: Vec<String>,
    },
    /// What decisions under the policy just loaded stand on. They name this leaf by its index.
    ChecksInForce {
        /// SHA256 of the policy file.
        policy: Digest,
        /// What is known of channels, as `T0`: LND's requests alone.
        tier: String,
        /// One entry for each kind of request.
        checks: Vec<Checks>,
    },
    /// A macaroon was made.
    MacaroonMinted {
        /// Its id (not a secret).
        id: String,
        /// Node it is for.
        node: String,
        /// Client it authenticates.
        client: String,
        /// Unix seconds; absent for never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<u64>,
        /// Network address it is bound to; absent for any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// A macaroon was revoked.
    MacaroonRevoked {
        /// Its id.
        id: String,
    },
    /// An operator moved the lookahead: addresses of the wallet up to here are recognised as a node's own.
    LookaheadMoved {
        /// The node.
        node: String,
        /// The branch of its wallet, as `m/84'/0'/0'/1`.
        branch: String,
        /// The highest index that counts as used.
        index: u32,
    },
    /// A Lightning payment was authorised.
    PaymentAuthorized {
        /// Node whose channels may pay it.
        node: String,
        /// SHA256 of the preimage, hex.
        payment_hash: String,
        /// Most in flight at a time, fees included, satoshi.
        sat: u64,
        /// How often that may be offered in all.
        max_attempts: u32,
        /// Unix seconds.
        expires: u64,
        /// What it is for.
        label: String,
    },
    /// An operator said what a close by agreement must pay us at least, whatever the books have of the channel.
    CloseAllowed {
        /// The node.
        node: String,
        /// The channel's funding outpoint.
        channel: String,
        /// What the node's own addresses and the allowlist's get at least, satoshi.
        at_least_sat: u64,
        /// Unix seconds.
        expires: u64,
    },
    /// The chain is followed from here: at first, or from the block that an operator accepted.
    ChainAnchored {
        /// Height of the tip.
        height: u32,
        /// Hash of the tip.
        block: String,
    },
    /// Blocks were undone for a branch with more work.
    ChainReorganised {
        /// Blocks undone.
        depth: u32,
        /// Height of the last block in common.
        fork: u32,
        /// Tip before.
        from: String,
        /// Tip after.
        to: String,
        /// Watched outpoints that were confirmed and are not any more.
        unconfirmed: Vec<String>,
    },
    /// bitcoind was silent for too long: nothing is known of the chain since.
    ChainStale {
        /// Height of the last block known; absent if none is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        height: Option<u32>,
        /// Why, as far as known.
        because: String,
    },
    /// bitcoind's answer failed a check, and was not taken in.
    ChainRefused {
        /// The check, as `wrong-network`, `proof-of-work`.
        name: String,
        /// What was found and what is allowed.
        because: String,
    },
    /// bitcoind agrees with the chain followed again, after silence or refusal.
    ChainFollowed {
        /// Height of the tip.
        height: u32,
        /// Hash of the tip.
        block: String,
    },
    /// bitcoind left the chain followed further back than is followed: nothing is taken in until an operator decides.
    ChainContradicted {
        /// The check, as `deep-reorganisation`.
        name: String,
        /// What was found and what is allowed.
        because: String,
    },
    /// An operator accepted another chain.
    ChainAccepted {
        /// The block to follow it from.
        block: String,
        /// What stood against it.
        against: String,
    },
    /// A channel's funding output is in a block.
    FundingConfirmed {
        /// Its outpoint.
        channel: String,
        /// Height of the block.
        height: u32,
        /// What it pays, satoshi.
        sat: u64,
        /// It has the amount and the script that were signed for.
        as_signed: bool,
    },
    /// A channel's funding output is spent in a block.
    ChannelClosed {
        /// The funding outpoint.
        channel: String,
        /// What spends it.
        txid: String,
        /// Height of the block.
        height: u32,
        /// What that is, as `mutual-close`, `holder-commitment`, `counterparty-commitment`.
        with: String,
    },
    /// An HTLC runs out soon, and nothing was signed for it.
    DeadlineNear {
        /// The funding outpoint of its channel.
        channel: String,
        /// Height from which the other side can take it.
        expiry: u32,
        /// Height of the tip.
        height: u32,
    },
    /// Requests were turned away at the door, before anything was decided: without a good macaroon, or by a client that
    /// had its share under way already.
    TurnedAway {
        /// First request, unix ms.
        from: u64,
        /// Last request, unix ms.
        until: u64,
        /// Counts by reason, name and address, in this order.
        tallies: Vec<TurnedAwayTally>,
    },
}

impl Event {
    /// The event's name as in the leaf, as `policy-loaded`.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Decision(_) => "decision",
            Event::Gossip(_) => "gossip",
            Event::Started { .. } => "started",
            Event::Stopped { .. } => "stopped",
            Event::Initialised { .. } => "initialised",
            Event::Unsealed { .. } => "unsealed",
            Event::Sealed { .. } => "sealed",
            Event::NodeAdded { .. } => "node-added",
            Event::PolicyLoaded { .. } => "policy-loaded",
            Event::ChecksInForce { .. } => "checks-in-force",
            Event::MacaroonMinted { .. } => "macaroon-minted",
            Event::MacaroonRevoked { .. } => "macaroon-revoked",
            Event::LookaheadMoved { .. } => "lookahead-moved",
            Event::PaymentAuthorized { .. } => "payment-authorized",
            Event::CloseAllowed { .. } => "close-allowed",
            Event::ChainAnchored { .. } => "chain-anchored",
            Event::ChainReorganised { .. } => "chain-reorganised",
            Event::ChainStale { .. } => "chain-stale",
            Event::ChainRefused { .. } => "chain-refused",
            Event::ChainFollowed { .. } => "chain-followed",
            Event::ChainContradicted { .. } => "chain-contradicted",
            Event::ChainAccepted { .. } => "chain-accepted",
            Event::FundingConfirmed { .. } => "funding-confirmed",
            Event::ChannelClosed { .. } => "channel-closed",
            Event::DeadlineNear { .. } => "deadline-near",
            Event::TurnedAway { .. } => "turned-away",
        }
    }
}

/// One decided request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Node whose keys were asked for.
    pub node: String,
    /// Authenticated client.
    pub client: String,
    /// The call, as `sign-psbt`.
    pub operation: String,
    /// SHA256 over the request as the idempotency key sees it.
    pub request: Digest,
    /// What was asked.
    pub what: Ask,
    /// What was answered.
    pub verdict: Verdict,
    /// Violations of rules that only observe.
    pub observed: Vec<Violation>,
    /// Policy it was decided under.
    pub policy: Digest,
    /// When the record was safe on disk, seen from the answer.
    pub durability: Durability,
    /// What was known of the channel, as `T0`; absent in leaves from before there were tiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Index of the [`Event::ChecksInForce`] that lists, for this kind of request, what was enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<u64>,
}

impl Decision {
    /// The kind of what was asked, as [`Checks::class`] has it; `None` for what was not understood.
    pub fn class(&self) -> Option<String> {
        let kind = match &self.what {
            Ask::Spend(spend) => &spend.kind,
            Ask::Message { kind, .. } => kind,
            Ask::Ecdh { purpose, .. } => purpose,
            Ask::Musig2 { .. } => return Some("musig2 musig2".to_owned()),
            Ask::Malformed { .. } => return None,
        };
        Some(format!("{} {kind}", self.operation))
    }
}

/// What a decision on one kind of request stands on, by the names of rules: ours, and VLS's, which begin with `policy-`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// Operation and kind, as `sign-psbt counterparty-commitment`.
    pub class: String,
    /// A violation refuses.
    pub enforced: Vec<String>,
    /// The same, as far as POLICY.md says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partly: Vec<String>,
    /// A violation is written down, and refuses nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<String>,
    /// Asked, but the policy, or a bitcoind that is not there, leaves nothing to refuse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// VLS's rules in whose place rules of ours stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_ours: Vec<String>,
    /// VLS's rules that nothing holds at this tier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_enforceable: Vec<String>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verdict {
    /// Signed.
    Approved {
        /// What it cost the node's allowances.
        charges: Vec<Charge>,
    },
    /// Signed again: the same request was approved before and is not charged twice.
    Repeated {
        /// Leaf of the first approval, if it is still known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<u64>,
    },
    /// Not signed.
    Refused {
        /// Every reason.
        enforced: Vec<Violation>,
    },
}

/// One rule broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Violation {
    /// The rule.
    pub tag: String,
    /// The offending value with its unit.
    pub value: String,
    /// What is allowed, with its unit.
    pub limit: String,
}

/// An amount counted against an allowance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// The allowance, as `outflow`, `fees`.
    pub allowance: String,
    /// Satoshi.
    pub sat: u64,
}

/// Whether the answer waited for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// The record was flushed before anything was signed.
    Flushed,
    /// The record was written, and flushed soon after.
    Deferred,
}

/// Requests of one client in one interval, counted by class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gossip {
    /// Node whose keys were asked for.
    pub node: String,
    /// Authenticated client.
    pub client: String,
    /// First request, unix ms.
    pub from: u64,
    /// Last request, unix ms.
    pub until: u64,
    /// Policy they were decided under.
    pub policy: Digest,
    /// Index of the [`Event::ChecksInForce`] that lists what was enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<u64>,
    /// Counts, one entry per class, in order of name.
    pub classes: Vec<ClassTally>,
    /// Refusals beyond those that have leaves of their own, one entry per class, in order of name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedTally>,
}

/// Approved requests of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassTally {
    /// The class, as `ecdh {6/0}`.
    pub class: String,
    /// How many.
    pub approved: u64,
    /// Commits to every request digest in order: who kept the requests can prove that they are the ones counted.
    pub requests: Digest,
}

/// Refused requests of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedTally {
    /// The class, as `sign-psbt unknown`.
    pub class: String,
    /// How many.
    pub refused: u64,
    /// Commits to every request digest in order, as in [`ClassTally`].
    pub requests: Digest,
}

/// Requests turned away for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnedAwayTally {
    /// What the client was told.
    pub why: String,
    /// Node, client and id that the macaroon names, proven or not; absent if its id is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Network address it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How many.
    pub requests: u64,
}

impl RefusedTally {
    /// Nothing counted yet.
    pub fn new(class: impl Into<String>) -> Self {
        Self { class: class.into(), refused: 0, requests: Digest([0; 32]) }
    }

    /// Counts one.
    pub fn count(&mut self, request: &Digest) {
        self.refused = self.refused.saturating_add(1);
        self.requests = chained(&self.requests, request);
    }
}

/// `SHA256(0x04 ‖ requests ‖ request)`.
fn chained(requests: &Digest, request: &Digest) -> Digest {
    let hash = Sha256::new().chain_update([0x04]).chain_update(requests.0).chain_update(request.0);
    Digest(hash.finalize().into())
}

impl ClassTally {
    /// Nothing counted yet.
    pub fn new(class: impl Into<String>) -> Self {
        Self { class: class.into(), approved: 0, requests: Digest([0; 32]) }
    }

    /// Counts one: `requests = SHA256(0x04 ‖ requests ‖ request)`.
    pub fn count(&mut self, request: &Digest) {
        self.approved = self.approved.saturating_add(1);
        self.requests = chained(&self.requests, request);
    }
}
