//! The rules: one file, one tag each. A rule reads the case and the facts, and says every way it is violated.

pub mod amount_conflict;
pub mod announced_peer;
pub mod chain_current;
pub mod channel_capacity;
pub mod channel_frozen;
pub mod channel_known;
pub mod channels_total;
pub mod claim_overdue;
pub mod closing_destination;
pub mod commitment_fee;
pub mod ecdh_key;
pub mod fee_cap;
pub mod fee_rate;
pub mod fee_window;
pub mod force_close_value;
pub mod force_close_window;
pub mod forward_cltv;
pub mod forward_exposure;
pub mod forward_unpaid;
pub mod funding_reservation;
pub mod grant;
pub mod input_evidence;
pub mod message_form;
pub mod message_key;
pub mod message_kind;
pub mod musig2;
pub mod musig2_nonce;
pub mod musig2_sessions;
pub mod mutual_close_balance;
pub mod mutual_close_htlcs;
pub mod outflow_per_transaction;
pub mod outflow_window;
pub mod payment_amount;
pub mod payment_authorization;
pub mod payment_window;
pub mod peer_listed;
pub mod peer_reserve;
pub mod peer_total;
pub mod psbt_funding;
pub mod reservation_root;
pub mod second_level_shape;
pub mod sighash;
pub mod spend_key;
pub mod taproot;
pub mod tier;
pub mod unexplained_outflow;
pub mod unexplained_output;
pub mod unknown_spend;
pub mod unmatched_funding;
pub mod unnamed_total;

use crate::case::Case;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// How a rule is asked: it adds what it finds.
pub type Check = fn(&Policy, &Case, &Facts, &mut Vec<Violation>);

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name in the policy file, in POLICY.md and in every refusal.
    pub tag: Tag,
    /// What it holds, in a line.
    pub summary: &'static str,
    /// Whether money can be lost without it that no other rule bounds; then it must be enforced, except on regtest
    /// and simnet.
    pub protects_money: bool,
    /// The rule itself.
    pub check: Check,
}

impl Rule {
    /// It tells and never refuses: what it is about is the way out, and waits for nobody's leave.
    pub fn is_alarm(&self) -> bool {
        [force_close_window::TAG, force_close_value::TAG].contains(&self.tag)
    }
}

/// Every rule, in the order of POLICY.md.
pub static ALL: [Rule; 50] = [
    grant::RULE,
    unknown_spend::RULE,
    spend_key::RULE,
    sighash::RULE,
    taproot::RULE,
    input_evidence::RULE,
    amount_conflict::RULE,
    outflow_per_transaction::RULE,
    outflow_window::RULE,
    fee_cap::RULE,
    fee_rate::RULE,
    fee_window::RULE,
    tier::RULE,
    chain_current::RULE,
    channel_capacity::RULE,
    channels_total::RULE,
    peer_total::RULE,
    unnamed_total::RULE,
    announced_peer::RULE,
    peer_listed::RULE,
    funding_reservation::RULE,
    unmatched_funding::RULE,
    psbt_funding::RULE,
    channel_known::RULE,
    commitment_fee::RULE,
    unexplained_output::RULE,
    unexplained_outflow::RULE,
    channel_frozen::RULE,
    peer_reserve::RULE,
    payment_authorization::RULE,
    payment_amount::RULE,
    payment_window::RULE,
    forward_cltv::RULE,
    forward_exposure::RULE,
    forward_unpaid::RULE,
    claim_overdue::RULE,
    second_level_shape::RULE,
    force_close_window::RULE,
    force_close_value::RULE,
    mutual_close_balance::RULE,
    mutual_close_htlcs::RULE,
    closing_destination::RULE,
    message_kind::RULE,
    message_key::RULE,
    message_form::RULE,
    ecdh_key::RULE,
    reservation_root::RULE,
    musig2::RULE,
    musig2_nonce::RULE,
    musig2_sessions::RULE,
];

/// The rule of a tag.
pub fn by_tag(tag: &str) -> Option<&'static Rule> {
    ALL.iter().find(|rule| rule.tag.0 == tag)
}
