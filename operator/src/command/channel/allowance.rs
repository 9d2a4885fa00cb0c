//! What an operator said that a close must pay.

use serde::Serialize;
use strongroom_proto::strongroom::v1;

use crate::wording::{plain, sat, time};

/// It, while it holds.
#[derive(Serialize)]
pub struct AllowanceState {
    node: String,
    channel: String,
    at_least_sat: u64,
    expires: u64,
    created: u64,
}

impl From<v1::CloseAllowance> for AllowanceState {
    fn from(said: v1::CloseAllowance) -> Self {
        let v1::CloseAllowance { node, channel, at_least_sat, expires, created } = said;
        Self { node, channel, at_least_sat, expires, created }
    }
}

impl AllowanceState {
    /// One line for people.
    pub fn words(&self) -> String {
        format!(
            "close of {} of node {} allowed until {}, if it pays us at least {}",
            plain(&self.channel),
            plain(&self.node),
            time(self.expires),
            sat(self.at_least_sat),
        )
    }
}
