//! How much the signer knows of a channel when it decides.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the checks on a channel rest on, least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// LND's requests alone.
    #[default]
    T0,
    /// These, and the peer's revocation secrets, which LND's watchtower client shows.
    W,
    /// These, and what LND's static channel backup holds: basepoints, delays, our own latest commitment.
    T1,
    /// An LND that hands its secrets over to the signer.
    T2,
}

impl Tier {
    /// The name in the policy file, in leaves and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::T0 => "T0",
            Self::W => "W",
            Self::T1 => "T1",
            Self::T2 => "T2",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
