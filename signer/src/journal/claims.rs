//! Tells of incoming HTLCs that lnd should have claimed: their outgoing ones are gone, and our balance has not grown.

use std::collections::HashSet;

use bitcoin::hex::DisplayHex as _;
use strongroom_policy::NodeName;

use super::thread::Keeper;

/// Claims told of: node and forward.
pub(super) type Told = HashSet<(NodeName, u64)>;

impl Keeper {
    /// Sets the metric, and logs each claim when it becomes overdue.
    pub(super) fn tell_claims(&mut self) {
        let (now, window) = (self.now(), self.policy.window().seconds());
        let seconds = self.policy.claim_seconds();
        let mut told = Told::new();
        for (node, books) in &self.books {
            let claims = books.channels.overdue_claims(now, window, seconds);
            let count = i64::try_from(claims.len()).unwrap_or(i64::MAX);
            self.metrics.claims_overdue.with_label_values(&[node.as_str()]).set(count);
            for claim in claims {
                let name = (node.clone(), claim.id);
                if !self.told_claims.contains(&name) {
                    tracing::error!(
                        %node,
                        channel = %claim.channel,
                        hash160 = claim.payment_hash160.to_lower_hex_string(),
                        sat = claim.amount.to_sat(),
                        expiry = claim.cltv_expiry,
                        "an HTLC was paid on and is not claimed: is lnd at work, and the peer there?"
                    );
                }
                told.insert(name);
            }
        }
        self.told_claims = told;
    }
}
