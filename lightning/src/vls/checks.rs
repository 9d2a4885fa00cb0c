//! Which of VLS's rules a decision stands on, by the kind of what was asked, while requests are all that is seen (T0).

use strongroom_policy::file::{ChainView, VlsLimits};
use strongroom_policy::{Kind, Violation};

use super::tags::{self, AtT0, TAGS, VlsTag};

/// VLS's rules that bear on one kind of request, in the order of [`TAGS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VlsChecks {
    /// VLS is asked, and a violation refuses.
    pub enforced: Vec<&'static str>,
    /// The same, as far as the table says.
    pub partly: Vec<&'static str>,
    /// A violation is written down.
    pub observed: Vec<&'static str>,
    /// A bitcoind that is not there leaves it nothing to refuse.
    pub idle: Vec<&'static str>,
    /// A rule of ours holds it, not VLS.
    pub by_ours: Vec<&'static str>,
    /// Nothing holds it.
    pub not_enforceable: Vec<&'static str>,
}

const COMMITMENTS: &[Kind] = &[Kind::CounterpartyCommitment, Kind::HolderCommitment];
const PAYING: &[Kind] = &[Kind::CounterpartyCommitment];
const EXPIRIES: &[Kind] = &[Kind::CounterpartyCommitment, Kind::CounterpartyHtlc];
const OWN: &[Kind] = &[Kind::HolderCommitment];
const HTLCS: &[Kind] = &[Kind::CounterpartyHtlc, Kind::HolderHtlc];
const CLOSES: &[Kind] = &[Kind::MutualClose];
const SWEEPS: &[Kind] = &[Kind::SweepDelayed, Kind::SweepCounterpartyHtlc, Kind::Justice];
const ONCHAIN: &[Kind] = &[Kind::Onchain, Kind::SweepToRemote, Kind::SweepAnchor];
const FUNDINGS: &[Kind] = &[Kind::Onchain];

impl VlsTag {
    /// The kinds that the rule bears on. Blocks are no requests.
    pub(super) fn kinds(&self) -> &'static [Kind] {
        let begins = |start: &str| self.tag.starts_with(start);
        match self.tag {
            tags::EXPIRY => EXPIRIES,
            "policy-commitment-holder-not-revoked" => OWN,
            "policy-commitment-payment-velocity"
            | "policy-commitment-payment-invoiced"
            | "policy-commitment-htlc-routing-balance" => PAYING,
            "policy-onchain-format-standard"
            | "policy-onchain-max-size"
            | "policy-onchain-no-unknown-outputs"
            | tags::ONCHAIN_FEE => ONCHAIN,
            "policy-chain-validated" => &[],
            _ if begins("policy-revoke-") => OWN,
            _ if begins("policy-onchain-") => FUNDINGS,
            _ if begins("policy-channel-") || begins("policy-funding-") || begins("policy-commitment-") => {
                COMMITMENTS
            }
            _ if begins("policy-htlc-") => HTLCS,
            _ if begins("policy-mutual-") => CLOSES,
            _ if begins("policy-sweep-") => SWEEPS,
            // Routing, invoices: of what we pay.
            _ => PAYING,
        }
    }
}

/// What of VLS's a decision on `kind` stands on; `followed` says whether a bitcoind of ours is.
pub fn checks(kind: Kind, limits: &VlsLimits, followed: bool) -> VlsChecks {
    let mut checks = VlsChecks::default();
    // Our own commitments and second-level transactions VLS reads by keys that no request shows: it is not asked.
    let asked = !matches!(kind, Kind::HolderCommitment | Kind::HolderHtlc);
    for rule in TAGS.iter().filter(|rule| rule.kinds().contains(&kind)) {
        let broken = Violation { tag: rule.tag.to_owned(), value: String::new(), limit: String::new() };
        let refuses = !limits.split(vec![broken]).0.is_empty();
        // On a commitment an expiry that is no height is refused without a chain too.
        let of_chain = match rule.tag {
            tags::ACTIVE_FUNDING => true,
            tags::EXPIRY => kind == Kind::CounterpartyHtlc,
            _ => false,
        };
        let unseen = of_chain && !followed && limits.chain == ChainView::WhenKnown;
        let list = match rule.at_t0 {
            at_t0 if !asked && at_t0 != tags::BOLT_3_SHAPE => &mut checks.not_enforceable,
            AtT0::Enforced | AtT0::Partly(_) if unseen => &mut checks.idle,
            AtT0::Enforced | AtT0::Partly(_) if !refuses => &mut checks.observed,
            AtT0::Enforced => &mut checks.enforced,
            AtT0::Partly(_) => &mut checks.partly,
            AtT0::Elsewhere(_) => &mut checks.by_ours,
            AtT0::No(_) => &mut checks.not_enforceable,
        };
        list.push(rule.tag);
    }
    checks
}

#[cfg(test)]
mod tests {
    use strongroom_policy::{Network, Policy, Profile};

    use super::*;

    fn limits(from: &str, to: &str) -> VlsLimits {
        let text = Profile::Cautious.render(Network::Regtest);
        assert!(text.contains(from), "{from}");
        Policy::from_toml(&text.replacen(from, to, 1)).unwrap().vls().clone()
    }

    fn shipped() -> VlsLimits {
        limits("[vls]", "[vls]")
    }

    #[test]
    fn every_rule_stands_once_in_each_kind_it_bears_on() {
        for limits in [shipped(), limits("mode = \"enforce\"", "mode = \"observe\"")] {
            for kind in Kind::ALL {
                let VlsChecks { enforced, partly, observed, idle, by_ours, not_enforceable } =
                    checks(kind, &limits, false);
                let mut listed = [enforced, partly, observed, idle, by_ours, not_enforceable].concat();
                let mut bear: Vec<&str> =
                    TAGS.iter().filter(|rule| rule.kinds().contains(&kind)).map(|rule| rule.tag).collect();
                listed.sort_unstable();
                bear.sort_unstable();
                assert_eq!(listed, bear, "{kind:?}");
            }
        }
        let nowhere: Vec<&str> =
            TAGS.iter().filter(|rule| rule.kinds().is_empty()).map(|rule| rule.tag).collect();
        assert_eq!(nowhere, ["policy-chain-validated"]);
    }

    #[test]
    fn what_only_reports_and_what_nobody_sees_is_not_enforced() {
        let commitments = checks(Kind::CounterpartyCommitment, &shipped(), true);
        assert_eq!(commitments.observed, ["policy-commitment-retry-same"]);
        assert!(commitments.partly.contains(&tags::ACTIVE_FUNDING) && commitments.idle.is_empty());
        assert_eq!(checks(Kind::CounterpartyCommitment, &shipped(), false).idle, [tags::ACTIVE_FUNDING]);
        let required = limits("chain = \"when-known\"", "chain = \"required\"");
        assert!(checks(Kind::CounterpartyCommitment, &required, false).idle.is_empty());
        let observing = limits("mode = \"enforce\"", "mode = \"observe\"");
        for kind in Kind::ALL {
            let checks = checks(kind, &observing, true);
            assert!(checks.enforced.is_empty() && checks.partly.is_empty(), "{kind:?}");
        }
        for kind in [Kind::HolderCommitment, Kind::HolderHtlc] {
            let checks = checks(kind, &shipped(), true);
            assert!(checks.enforced.is_empty() && checks.partly.is_empty(), "{kind:?}");
        }
    }
}
