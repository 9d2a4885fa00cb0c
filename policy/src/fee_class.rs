//! Which limits a spend's fee is held to, and whether it counts.

use crate::case::Spend;
use crate::file::FeeLimits;
use crate::policy::Policy;

/// The fee limits that a spend is held to, with their table's name; `None` where the fee is not ours or has its
/// own rule.
pub(crate) fn limits<'a>(policy: &'a Policy, spend: &Spend) -> Option<(&'static str, &'a FeeLimits)> {
    match spend {
        Spend::Onchain | Spend::Unknown { .. } => Some(("fees.wallet", &policy.file.fees.wallet)),
        Spend::HolderHtlc { .. } | Spend::MutualClose { .. } | Spend::Sweep(_) | Spend::Justice => {
            Some(("fees.closing", &policy.file.fees.closing))
        }
        Spend::CounterpartyCommitment { .. }
        | Spend::HolderCommitment { .. }
        | Spend::CounterpartyHtlc { .. } => None,
    }
}

/// Whose fees count to the window. Commitments are signed over and over and at most one confirms; the peer's HTLC
/// transactions spend the peer's money; justice is prepared for every revoked state when a tower is used.
pub(crate) fn counts(spend: &Spend) -> bool {
    match spend {
        Spend::Onchain
        | Spend::HolderHtlc { .. }
        | Spend::MutualClose { .. }
        | Spend::Sweep(_)
        | Spend::Unknown { .. } => true,
        Spend::CounterpartyCommitment { .. }
        | Spend::HolderCommitment { .. }
        | Spend::CounterpartyHtlc { .. }
        | Spend::Justice => false,
    }
}
