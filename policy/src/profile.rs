//! Policies shipped as templates.

use std::fmt;
use std::str::FromStr;

use crate::network::Network;

/// A shipped policy: commented TOML, complete but for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Everything enforced; enough for an ordinary LND day.
    Cautious,
    /// The same limits, nothing enforced. Regtest and simnet only.
    Lab,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Profile; 2] = [Self::Cautious, Self::Lab];

    /// The client name that the shipped profiles grant LND's calls to.
    pub const CLIENT: &str = "lnd";

    /// The profile's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cautious => "cautious",
            Self::Lab => "lab",
        }
    }

    /// The policy file for a network. Reading `lab` for any but regtest and simnet is refused.
    pub fn render(self, network: Network) -> String {
        let template = match self {
            Self::Cautious => include_str!("../profiles/cautious.toml"),
            Self::Lab => include_str!("../profiles/lab.toml"),
        };
        template.replace("{{network}}", network.as_str()).replace("{{client}}", Self::CLIENT)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no profile's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("profile {given:?} is neither cautious nor lab")]
pub struct UnknownProfile {
    given: String,
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(s: &str) -> Result<Self, UnknownProfile> {
        Self::ALL
            .into_iter()
            .find(|p| p.as_str() == s)
            .ok_or_else(|| UnknownProfile { given: s.chars().take(32).collect() })
    }
}
