//! `fee-rate`: no transaction pays a feerate above this.
//!
//! Without it small transactions burn fees up to the absolute cap, again and again until the window is full. It protects
//! no money that `fee-cap` and `fee-window` do not bound, so it may be observed on any network.

use super::Rule;
use crate::case::{Ask, Case};
use crate::facts::Facts;
use crate::fee_class;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Grouped, Sat};

/// The rule's name.
pub const TAG: Tag = Tag("fee-rate");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "feerates are limited",
    protects_money: false,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let (Some(fee), Some((class, limits))) = (ask.fee(), fee_class::limits(policy, &ask.spend))
    else {
        return;
    };
    let limit = limits.max_rate_sat_per_vb.sat_per_vb();
    let vbytes = ask.weight.to_vbytes_ceil();
    if fee.to_sat() > limit.saturating_mul(vbytes) {
        let value = format!("{} for {} vB", Sat(fee), Grouped(vbytes));
        found.push(Violation::new(
            TAG,
            value,
            format!("at most {} sat/vB ({class})", Grouped(limit)),
        ));
    }
}
