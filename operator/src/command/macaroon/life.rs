//! How long a macaroon is good.

use std::time::Duration;

use crate::failure::{Exit, Failure};

/// Seconds for the daemon, 0 for ever. A life of less than a second is a mistake, not for ever.
pub fn expires_in(life: Option<Duration>) -> Result<u64, Failure> {
    match life.map(|life| life.as_secs()) {
        Some(0) => {
            Err(Failure::new(Exit::Usage, "a macaroon that expires at once")
                .hint("give a time as 90d or 12h"))
        }
        Some(seconds) => Ok(seconds),
        None => Ok(0),
    }
}
