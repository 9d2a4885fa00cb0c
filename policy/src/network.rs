//! Bitcoin networks, as LND names them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The network that the appliance serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Bitcoin.
    Mainnet,
    /// The third test network.
    Testnet,
    /// The fourth test network.
    Testnet4,
    /// Signet.
    Signet,
    /// Local regression test.
    Regtest,
    /// btcd's simulation network.
    Simnet,
}

impl Network {
    /// Every network, in the order of what is at stake.
    pub const ALL: [Network; 6] =
        [Self::Mainnet, Self::Testnet, Self::Testnet4, Self::Signet, Self::Regtest, Self::Simnet];

    /// The name in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
            Self::Simnet => "simnet",
        }
    }

    /// Whether anybody can make coins here at will, so that rules which protect money may merely observe.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Regtest | Self::Simnet)
    }

    /// The network by whose rules addresses are read; `None` for simnet, whose addresses `bitcoin` does not know.
    pub fn address_network(self) -> Option<bitcoin::Network> {
        match self {
            Self::Mainnet => Some(bitcoin::Network::Bitcoin),
            Self::Testnet => Some(bitcoin::Network::Testnet),
            Self::Testnet4 => Some(bitcoin::Network::Testnet4),
            Self::Signet => Some(bitcoin::Network::Signet),
            Self::Regtest => Some(bitcoin::Network::Regtest),
            Self::Simnet => None,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no network's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("network {given:?} is none of mainnet, testnet, testnet4, signet, regtest, simnet")]
pub struct UnknownNetwork {
    given: String,
}

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(s: &str) -> Result<Self, UnknownNetwork> {
        Self::ALL
            .into_iter()
            .find(|n| n.as_str() == s)
            .ok_or_else(|| UnknownNetwork { given: s.chars().take(32).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for given in ["", "bitcoin", "Mainnet", "testnet3"] {
            assert!(given.parse::<Network>().is_err(), "{given}");
        }
        for network in Network::ALL {
            assert_eq!(network.as_str().parse(), Ok(network));
        }
    }
}
