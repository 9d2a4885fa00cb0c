//! One authorisation as the daemon's books have it.

use serde::Serialize;
use strongroom_proto::strongroom::v1::Authorized;

use crate::answer::Answer;
use crate::wording::{number, plain, sat, time};

/// An authorised payment.
#[derive(Serialize)]
pub struct PaymentState {
    node: String,
    payment_hash: String,
    amount_sat: u64,
    max_attempts: u32,
    expires: u64,
    created: u64,
    label: String,
    offered_sat: u64,
    in_flight_sat: u64,
}

impl From<Authorized> for PaymentState {
    fn from(payment: Authorized) -> Self {
        Self {
            node: payment.node,
            payment_hash: payment.payment_hash,
            amount_sat: payment.amount_sat,
            max_attempts: payment.max_attempts,
            expires: payment.expires,
            created: payment.created,
            label: payment.label,
            offered_sat: payment.offered_sat,
            in_flight_sat: payment.in_flight_sat,
        }
    }
}

impl Answer for PaymentState {
    fn words(&self) -> String {
        let label = if self.label.is_empty() { String::new() } else { format!("  {}", plain(&self.label)) };
        format!(
            "{}  node {}{label}\n  at most {} at a time, fees included, {} attempts, until {}\n  \
             offered {} so far, {} in flight",
            plain(&self.payment_hash),
            plain(&self.node),
            sat(self.amount_sat),
            self.max_attempts,
            time(self.expires),
            number(self.offered_sat),
            sat(self.in_flight_sat),
        )
    }
}
