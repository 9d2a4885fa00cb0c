//! VLS's validators under our limits, and what they answer in our words.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use lightning_signer::channel::ChannelId;
use lightning_signer::policy::error::{ValidationError, ValidationErrorKind};
use lightning_signer::policy::filter::{FilterResult, FilterRule, PolicyFilter};
use lightning_signer::policy::onchain_validator::OnchainValidatorFactory;
use lightning_signer::policy::simple_validator::{SimplePolicy, SimpleValidatorFactory};
use lightning_signer::policy::validator::{Validator, ValidatorFactory};
use lightning_signer::util::velocity::{VelocityControlIntervalType, VelocityControlSpec};
use secp256k1::PublicKey;
use strongroom_policy::Violation;
use strongroom_policy::file::VlsLimits;

use super::tags;

/// Tag of a panic inside VLS: what was asked is refused, and nothing else.
pub const PANIC: &str = "vls-panic";

/// Rules for one kind of transaction: a policy of VLS's own form, complete.
pub(super) struct Rules {
    network: bitcoin::Network,
    node: PublicKey,
    policy: SimplePolicy,
}

/// One [`Rules`] for each kind, since VLS has one field for what are different limits: its feerates are those of
/// commitments, closes and sweeps alike, its delays bound expiries and `to_self_delay` alike.
pub(super) struct RuleSet {
    pub(super) channel: Rules,
    pub(super) commitment: Rules,
    pub(super) introduced: Rules,
    pub(super) htlc: Rules,
    pub(super) close: Rules,
    pub(super) sweep: Rules,
    pub(super) onchain: Rules,
}

impl RuleSet {
    pub(super) fn new(limits: &VlsLimits, network: bitcoin::Network, node: PublicKey) -> Self {
        let rules = |policy| Rules { network, node, policy };
        Self {
            channel: rules(SimplePolicy {
                max_channel_size_sat: limits.max_channel_sat.amount().to_sat(),
                ..strictest()
            }),
            commitment: rules(SimplePolicy {
                max_htlcs: limits.max_htlcs.into(),
                max_htlc_value_sat: limits.max_htlc_value_sat.amount().to_sat(),
                // An HTLC grows old on a commitment; what is bounded is how it came there.
                use_chain_state: false,
                min_feerate_per_kw: *limits.min_commitment_sat_per_kw.get_ref(),
                max_feerate_per_kw: limits.max_commitment_sat_per_kw,
                // Nothing tells us that a state was revoked, and nothing is made up that would.
                filter: filter(&[("policy-commitment-previous-revoked", FilterResult::Warn)]),
                ..strictest()
            }),
            introduced: rules(SimplePolicy {
                min_delay: *limits.min_htlc_expiry_blocks.get_ref(),
                max_delay: limits.max_htlc_expiry_blocks,
                max_htlcs: usize::MAX,
                max_htlc_value_sat: u64::MAX,
                min_feerate_per_kw: 0,
                max_feerate_per_kw: u32::MAX,
                filter: filter(&[(tags::EXPIRY, FilterResult::Error), ("", FilterResult::Warn)]),
                ..strictest()
            }),
            htlc: rules(SimplePolicy {
                min_feerate_per_kw: *limits.min_htlc_sat_per_kw.get_ref(),
                max_feerate_per_kw: limits.max_htlc_sat_per_kw,
                ..strictest()
            }),
            close: rules(SimplePolicy {
                epsilon_sat: limits.max_close_difference_sat.amount().to_sat(),
                min_feerate_per_kw: *limits.min_close_sat_per_kw.get_ref(),
                max_feerate_per_kw: limits.max_close_sat_per_kw,
                ..strictest()
            }),
            sweep: rules(SimplePolicy {
                min_feerate_per_kw: *limits.min_sweep_sat_per_kw.get_ref(),
                max_feerate_per_kw: limits.max_sweep_sat_per_kw,
                ..strictest()
            }),
            onchain: rules(SimplePolicy { max_feerate_per_kw: limits.max_onchain_sat_per_kw, ..strictest() }),
        }
    }
}

/// Every field at the value that refuses most. A rule that a kind of transaction has no limit for, or that a later
/// version of VLS begins to ask, refuses; none is lax by default.
pub(super) fn strictest() -> SimplePolicy {
    const NOTHING: VelocityControlSpec =
        VelocityControlSpec { limit_msat: 0, interval_type: VelocityControlIntervalType::Daily };
    SimplePolicy {
        min_delay: u16::MAX,
        max_delay: 0,
        max_channel_size_sat: 0,
        epsilon_sat: 0,
        max_htlcs: 0,
        max_htlc_value_sat: 0,
        use_chain_state: true,
        min_feerate_per_kw: u32::MAX,
        max_feerate_per_kw: 0,
        enforce_balance: true,
        max_routing_fee_msat: 0,
        max_feerate_percentage: 0,
        cltv_delta: u32::MAX,
        dev_flags: None,
        filter: PolicyFilter { rules: Vec::new() },
        global_velocity_control: NOTHING,
        max_channels: 0,
        max_invoices: 0,
        fee_velocity_control: NOTHING,
    }
}

/// Rules of a filter; the empty tag stands for all others and comes last.
fn filter(rules: &[(&str, FilterResult)]) -> PolicyFilter {
    let rule = |(tag, action): &(&str, FilterResult)| FilterRule {
        tag: (*tag).to_owned(),
        is_prefix: tag.is_empty(),
        action: *action,
    };
    PolicyFilter { rules: rules.iter().map(rule).collect() }
}

impl Rules {
    /// Asks VLS, and answers every violation: VLS stops at the first, so what it names is set aside and it is asked
    /// again, until it is content or names what cannot be set aside.
    pub(super) fn ask<T>(
        &self,
        with_chain: bool,
        call: impl Fn(&dyn Validator) -> Result<T, ValidationError>,
    ) -> Vec<Violation> {
        let mut found: Vec<Violation> = Vec::new();
        let mut policy = None;
        loop {
            let validator = self.validator(policy.as_ref().unwrap_or(&self.policy), with_chain);
            let error = match catch_unwind(AssertUnwindSafe(|| call(validator.as_ref()))) {
                Ok(Ok(_)) => return found,
                Ok(Err(error)) => error,
                Err(_) => {
                    found.push(panicked("a rule of VLS"));
                    return found;
                }
            };
            let aside = matches!(
                error.kind,
                ValidationErrorKind::Policy(_) | ValidationErrorKind::TemporaryPolicy(_)
            );
            let violation = in_words(&error);
            let again = found.iter().any(|before| before.tag == violation.tag);
            if !again {
                found.push(violation);
            }
            if again || !aside {
                return found;
            }
            let policy = policy.get_or_insert_with(|| self.policy.clone());
            policy.filter.rules.insert(0, FilterRule::new_warn(error.tag));
        }
    }

    /// A validator, which VLS makes only through its factories. It holds no state.
    fn validator(&self, policy: &SimplePolicy, with_chain: bool) -> Arc<dyn Validator> {
        let simple = SimpleValidatorFactory::new_with_policy(policy.clone());
        let channel: Option<ChannelId> = None;
        if with_chain {
            OnchainValidatorFactory::new_with_simple_factory(simple).make_validator(
                self.network,
                self.node,
                channel,
            )
        } else {
            simple.make_validator(self.network, self.node, channel)
        }
    }
}

/// The violation that a panic is.
pub(super) fn panicked(what: &str) -> Violation {
    Violation {
        tag: PANIC.to_owned(),
        value: format!("{what} panicked; the daemon's log has its words"),
        limit: "what VLS can judge".to_owned(),
    }
}

/// A refusal that VLS would give, had it not a panic or an overflow in the way.
pub(super) fn refused(tag: &'static str, value: String) -> Violation {
    Violation { tag: tag.to_owned(), value, limit: tags::limit(tag).to_owned() }
}

/// How VLS's messages set a value against its limit.
const COMPARED: [(&str, &str); 7] = [
    (" < ", "at least "),
    (" > ", "at most "),
    (" less than dust limit ", "none, or at least "),
    (" is smaller than the minimum of ", "at least "),
    (" is larger than the maximum of ", "at most "),
    (" not in ", "one of "),
    (" != ", ""),
];

/// VLS's message, parted where it compares a value with its limit.
fn in_words(error: &ValidationError) -> Violation {
    use ValidationErrorKind as Kind;
    let message = match &error.kind {
        Kind::TransactionFormat(m) | Kind::ScriptFormat(m) | Kind::Mismatch(m) => m.clone(),
        Kind::Policy(m) | Kind::TemporaryPolicy(m) => m.clone(),
        Kind::UnknownDestinations(_, outputs) => format!("outputs {outputs:?} are nobody's that we know"),
    };
    // It begins with the functions it went through.
    let mut said = message.as_str();
    while let Some((head, rest)) = said.split_once(": ")
        && head.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && head.contains('_')
    {
        said = rest;
    }
    // What follows names the key that stands for a commitment point here.
    let said = said.split_once(" with no prev point").map_or(said, |(number, _)| number);
    let tag = tags::documented(&error.tag, said);
    let compared = COMPARED.into_iter().find_map(|(sign, word)| Some((said.rsplit_once(sign)?, word)));
    match compared {
        Some(((value, limit), word)) => {
            Violation { tag, value: value.to_owned(), limit: format!("{word}{limit}") }
        }
        None => Violation { limit: tags::limit(&tag).to_owned(), tag, value: said.to_owned() },
    }
}
