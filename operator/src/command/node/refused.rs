//! Money in channels that lnd was refused to bring home.

use serde::Serialize;
use strongroom_proto::strongroom::v1;

use crate::wording::{plain, sat, time};

/// A claim that was refused and not signed since.
#[derive(Serialize)]
pub struct RefusedState {
    output: String,
    kind: String,
    what: String,
    sat: u64,
    at: u64,
    because: String,
    way_out: String,
    known: bool,
}

impl From<v1::RefusedClaim> for RefusedState {
    fn from(claim: v1::RefusedClaim) -> Self {
        Self {
            output: claim.output,
            kind: claim.kind,
            what: claim.what,
            sat: claim.sat,
            at: claim.at,
            because: claim.because,
            way_out: claim.way_out,
            known: claim.known,
        }
    }
}

impl RefusedState {
    /// For people.
    pub fn words(&self) -> String {
        format!(
            "REFUSED   {}: {}{} of {}, at {}\n            {}\n            {}",
            plain(&self.what),
            sat(self.sat),
            if self.known { "" } else { ", as lnd says," },
            plain(&self.output),
            time(self.at),
            plain(&self.because),
            plain(&self.way_out),
        )
    }
}

/// The first of them for people, and how many more there are.
pub fn refused(claims: &[RefusedState], shown: usize) -> String {
    let mut text: String = claims.iter().take(shown).map(|claim| format!("\n  {}", claim.words())).collect();
    if let Some(more) = claims.len().checked_sub(shown).filter(|more| *more > 0) {
        text += &format!("\n            and {more} more, which strongroom channels lists");
    }
    text
}
