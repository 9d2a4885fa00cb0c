//! VLS's rules by name, and what becomes of each while lnd's requests are all that is seen (tier T0).

/// What holds one of VLS's rules at T0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtT0 {
    /// VLS itself, wherever the rule applies.
    Enforced,
    /// VLS itself, as far as the words say.
    Partly(&'static str),
    /// Not VLS but a part of ours, which the words name.
    Elsewhere(&'static str),
    /// Nothing, for the reason given.
    No(&'static str),
}

/// A rule of VLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlsTag {
    /// As VLS names it.
    pub tag: &'static str,
    /// What holds it.
    pub at_t0: AtT0,
}

pub(super) const EXPIRY: &str = "policy-commitment-htlc-cltv-range";
pub(super) const COMMITMENT_FEE: &str = "policy-commitment-fee-range";
pub(super) const ACTIVE_FUNDING: &str = "policy-commitment-spends-active-utxo";
pub(super) const CLOSE_FEE: &str = "policy-mutual-fee-range";
pub(super) const CLOSE_FORM: &str = "policy-mutual-other";
pub(super) const CLOSE_VALUE: &str = "policy-mutual-value-matches-commitment";
pub(super) const SWEEP_FEE: &str = "policy-sweep-fee-range";
pub(super) const SWEEP_LOCKTIME: &str = "policy-sweep-locktime";
pub(super) const SWEEP_FORM: &str = "policy-sweep-other";
pub(super) const ONCHAIN_FEE: &str = "policy-onchain-fee-range";
pub(super) const HTLC_FEE: &str = "policy-htlc-fee-range";

const SCRIPTS_ARE_HASHES: AtT0 =
    AtT0::No("the peer's points and the output's script are not in the request, only a hash");
const OWN_COMMITMENT: AtT0 = AtT0::No("lnd never shows our own commitment before it closes with it");
const NO_PAYMENTS: AtT0 = AtT0::No("requests show neither invoices nor payments nor preimages");
pub(super) const BOLT_3_SHAPE: AtT0 = AtT0::Elsewhere("`unknown-spend`: another shape is no commitment");
const PEER_HTLC_SHAPE: AtT0 = AtT0::Elsewhere("`unknown-spend`, `second-level-shape`");

/// Every rule that VLS 1.0.0-rc.1 has a name for.
pub const TAGS: [VlsTag; 73] = [
    of(
        "policy-channel-safe-type",
        AtT0::Elsewhere("`unknown-spend`, `taproot`: no other type is recognised"),
    ),
    of("policy-channel-contest-delay-range-holder", SCRIPTS_ARE_HASHES),
    of("policy-channel-contest-delay-range-counterparty", SCRIPTS_ARE_HASHES),
    of(
        "policy-channel-original-channel-id-reuse",
        AtT0::Elsewhere("`unknown-spend`: a funding key belongs to one channel"),
    ),
    of("policy-funding-max", AtT0::Enforced),
    of(
        "policy-onchain-format-standard",
        AtT0::Partly("version 1, which lnd's wallet makes, passes as version 2"),
    ),
    of("policy-onchain-max-size", AtT0::Enforced),
    of(ONCHAIN_FEE, AtT0::Enforced),
    of(
        "policy-onchain-no-unknown-outputs",
        AtT0::Partly(
            "for sweeps of `to_remote` and anchors; in wallet spends `[outflow]` decides on strangers",
        ),
    ),
    of(
        "policy-onchain-funding-non-malleable",
        AtT0::No(
            "VLS asks it of a channel that holds its keys; our own inputs are segwit, foreign ones need not be",
        ),
    ),
    of(
        "policy-onchain-output-match-commitment",
        AtT0::Elsewhere("`unknown-spend`, once a commitment was seen"),
    ),
    of("policy-onchain-output-scriptpubkey", AtT0::Elsewhere("`unknown-spend`, once a commitment was seen")),
    of(
        "policy-onchain-initial-commitment-countersigned",
        AtT0::No(
            "lnd has the funding signed before any commitment; `unmatched-funding` bounds it, `psbt-funding` demands the other order",
        ),
    ),
    of("policy-onchain-no-fund-inbound", AtT0::No("lnd funds no channel together with the peer")),
    of(
        "policy-onchain-no-channel-push",
        AtT0::Elsewhere("`policy-commitment-initial-funding-value` with `vls.max_push_sat`, `[outflow]`"),
    ),
    of("policy-commitment-version", BOLT_3_SHAPE),
    of("policy-commitment-locktime", BOLT_3_SHAPE),
    of("policy-commitment-sequence", BOLT_3_SHAPE),
    of("policy-commitment-input-single", BOLT_3_SHAPE),
    of(
        "policy-commitment-input-match-funding",
        AtT0::Elsewhere("`unknown-spend`: the amount and script known"),
    ),
    of("policy-commitment-scripts", SCRIPTS_ARE_HASHES),
    of(
        "policy-commitment-no-unrecognized-outputs",
        AtT0::Elsewhere("`unexplained-output`: all but the peer's own are HTLCs whose script was shown"),
    ),
    of(
        "policy-commitment-singular-to-holder",
        AtT0::Elsewhere("a second one counts as the peer's or an HTLC"),
    ),
    of("policy-commitment-singular-to-counterparty", SCRIPTS_ARE_HASHES),
    of("policy-commitment-to-self-delay", SCRIPTS_ARE_HASHES),
    of("policy-commitment-to-self-delay-range", SCRIPTS_ARE_HASHES),
    of("policy-commitment-revocation-pubkey", SCRIPTS_ARE_HASHES),
    of("policy-commitment-broadcaster-pubkey", SCRIPTS_ARE_HASHES),
    of("policy-commitment-countersignatory-pubkey", AtT0::Elsewhere("only our own key makes it `to_remote`")),
    of("policy-commitment-htlc-revocation-pubkey", SCRIPTS_ARE_HASHES),
    of("policy-commitment-htlc-counterparty-htlc-pubkey", SCRIPTS_ARE_HASHES),
    of("policy-commitment-htlc-holder-htlc-pubkey", AtT0::Elsewhere("`spend-key`, for the HTLCs signed")),
    of("policy-commitment-anchor-amount", AtT0::Elsewhere("another amount counts as an HTLC")),
    of("policy-commitment-anchor-match-fundingkey", AtT0::Elsewhere("another key counts as an HTLC")),
    of("policy-commitment-outputs-trimmed", AtT0::Enforced),
    of("policy-commitment-htlc-count-limit", AtT0::Enforced),
    of("policy-commitment-htlc-inflight-limit", AtT0::Enforced),
    of(
        EXPIRY,
        AtT0::Partly("when the HTLC is introduced, with a view of the chain, once its script was shown"),
    ),
    of(COMMITMENT_FEE, AtT0::Enforced),
    of("policy-commitment-first-no-htlcs", AtT0::Enforced),
    of(
        "policy-commitment-initial-funding-value",
        AtT0::Partly("where we are known to have funded the channel"),
    ),
    of(
        "policy-commitment-previous-revoked",
        AtT0::No("no request shows a revocation, and none is made up; every commitment signed stays live"),
    ),
    of(
        "policy-commitment-retry-same",
        AtT0::Partly(
            "a number signed before with other contents is named; the profiles only report it, since lnd may do so \
             after a crash",
        ),
    ),
    of("policy-commitment-holder-not-revoked", OWN_COMMITMENT),
    of(
        ACTIVE_FUNDING,
        AtT0::Partly("with a view of the chain since the channel's opening, or since its close"),
    ),
    of("policy-commitment-payment-velocity", AtT0::Elsewhere("`payment-window`")),
    of(
        "policy-commitment-payment-invoiced",
        AtT0::Elsewhere("`payment-authorization`, by what the operator authorised; no invoice is seen"),
    ),
    of(
        "policy-commitment-htlc-routing-balance",
        AtT0::Elsewhere("`unexplained-outflow`, `forward-unpaid`, `forward-exposure`: bounded, not excluded"),
    ),
    of("policy-revoke-new-commitment-signed", OWN_COMMITMENT),
    of("policy-revoke-new-commitment-valid", OWN_COMMITMENT),
    of("policy-revoke-not-closed", OWN_COMMITMENT),
    of("policy-htlc-version", PEER_HTLC_SHAPE),
    of("policy-htlc-locktime", AtT0::Enforced),
    of("policy-htlc-sequence", PEER_HTLC_SHAPE),
    of("policy-htlc-to-self-delay", SCRIPTS_ARE_HASHES),
    of("policy-htlc-revocation-pubkey", SCRIPTS_ARE_HASHES),
    of("policy-htlc-delayed-pubkey", SCRIPTS_ARE_HASHES),
    of(HTLC_FEE, AtT0::Enforced),
    of("policy-mutual-destination-allowlisted", AtT0::Enforced),
    of(
        CLOSE_VALUE,
        AtT0::Partly("against the peer's latest commitment alone, which stands for ours as well"),
    ),
    of("policy-mutual-no-pending-htlcs", AtT0::Enforced),
    of(CLOSE_FEE, AtT0::Enforced),
    of("policy-sweep-version", AtT0::Enforced),
    of(SWEEP_LOCKTIME, AtT0::Partly("for HTLCs that we offered; our view of the chain holds no sweep up")),
    of("policy-sweep-sequence", AtT0::Enforced),
    of("policy-sweep-destination-allowlisted", AtT0::Enforced),
    of(SWEEP_FEE, AtT0::Partly("of one input; VLS skips others, `fee-cap` and `fee-rate` do not")),
    of(
        "policy-routing-balanced",
        AtT0::Elsewhere("`unexplained-outflow`, `forward-unpaid`, `forward-exposure`: bounded, not excluded"),
    ),
    of("policy-routing-cltv-delta", AtT0::Elsewhere("`forward-cltv`, which knows the two HTLCs")),
    of("policy-invoice-not-expired", NO_PAYMENTS),
    of("policy-bolt12-signing-pubkey", NO_PAYMENTS),
    of("policy-bolt12-invoice-validity", NO_PAYMENTS),
    of(
        "policy-chain-validated",
        AtT0::Partly("blocks come from our own bitcoind: VLS checks work and linkage"),
    ),
];

const fn of(tag: &'static str, at_t0: AtT0) -> VlsTag {
    VlsTag { tag, at_t0 }
}

/// What a rule allows, for refusals whose words name no limit.
pub(super) fn limit(tag: &str) -> &'static str {
    match tag {
        "policy-commitment-htlc-count-limit" => "at most vls.max_htlcs",
        "policy-commitment-htlc-inflight-limit" => "at most vls.max_htlc_value_sat",
        "policy-commitment-first-no-htlcs" => "no HTLCs on a channel's first commitment",
        "policy-commitment-initial-funding-value" => "at most vls.max_push_sat to the peer at the opening",
        "policy-commitment-retry-same" => "one commitment for one number",
        "policy-funding-max" => "at most vls.max_channel_sat",
        "policy-htlc-locktime" => "the HTLC's expiry as the locktime",
        "policy-mutual-no-pending-htlcs" => "no HTLCs on the latest commitment",
        "policy-mutual-destination-allowlisted" | "policy-sweep-destination-allowlisted" => {
            "our wallet or the allowlist"
        }
        "policy-onchain-no-unknown-outputs" => {
            "our wallet, the allowlist, a channel, or what [outflow] permits"
        }
        "policy-onchain-format-standard" => {
            "a transaction of version 1 or 2 whose outputs do not exceed its inputs"
        }
        "policy-sweep-version" => "version 2",
        CLOSE_FORM => "at most two outputs",
        ACTIVE_FUNDING => "a funding output that is confirmed and unspent",
        EXPIRY => "an expiry between vls.min_htlc_expiry_blocks and vls.max_htlc_expiry_blocks from now",
        CLOSE_VALUE => "at most vls.max_close_difference_sat",
        COMMITMENT_FEE | CLOSE_FEE | SWEEP_FEE | ONCHAIN_FEE | HTLC_FEE => "a fee within [vls]'s feerates",
        _ => "what VLS's rule of this name permits",
    }
}

/// VLS gives all malformed transactions one tag, whatever rule found them; this is the rule's.
pub(super) fn documented(tag: &str, said: &str) -> String {
    const FORMS: [(&str, &str); 6] = [
        ("bad version", "policy-sweep-version"),
        ("bad locktime", SWEEP_LOCKTIME),
        ("bad sequence", "policy-sweep-sequence"),
        ("bad redeemscript", SWEEP_FORM),
        ("bad cltv_expiry", SWEEP_FORM),
        ("invalid number of outputs", CLOSE_FORM),
    ];
    let form =
        FORMS.iter().find(|(begins, _)| tag == "policy-commitment-scripts" && said.starts_with(begins));
    form.map_or(tag, |(_, rule)| rule).to_owned()
}
