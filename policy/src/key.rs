//! Who asks, and with which key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Name of an LND node on this appliance: 1 to 32 of `a-z`, `0-9`, `-`, not starting with `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// Name of a client: what a macaroon or client certificate authenticates. Same alphabet as [`NodeName`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientName(String);

/// A name outside the permitted alphabet or length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    given: String,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "name {:?} is not 1 to 32 characters of a-z, 0-9 and '-', beginning with a letter or digit",
            self.given
        )
    }
}

impl std::error::Error for NameError {}

fn checked_name(given: &str) -> Result<String, NameError> {
    let permitted = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if given.is_empty() || given.len() > 32 || given.starts_with('-') || !given.chars().all(permitted) {
        return Err(NameError { given: given.chars().take(64).collect() });
    }
    Ok(given.to_owned())
}

macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                checked_name(s).map(Self)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(s: String) -> Result<Self, NameError> {
                checked_name(&s).map(Self)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(NodeName);
name!(ClientName);

/// LND's key locator: the key m/1017'/coin'/family'/0/index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyLocator {
    /// Key family, 0 to 255 (`keychain/derivation.go`).
    pub family: u32,
    /// Index in the family, below 2^31.
    pub index: u32,
}

impl KeyLocator {
    /// 2-of-2 funding keys.
    pub const MULTISIG: u32 = 0;
    /// Revocation basepoints.
    pub const REVOCATION_BASE: u32 = 1;
    /// HTLC basepoints.
    pub const HTLC_BASE: u32 = 2;
    /// Payment basepoints, which `to_remote` pays.
    pub const PAYMENT_BASE: u32 = 3;
    /// Delayed payment basepoints, for `to_local`.
    pub const DELAY_BASE: u32 = 4;
    /// Revocation roots: seed of the shachain, by ECDH with the channel's multisig key.
    pub const REVOCATION_ROOT: u32 = 5;
    /// The node identity key.
    pub const NODE: u32 = 6;
    /// Encryption of static channel backups.
    pub const STATIC_BACKUP: u32 = 7;
    /// Watchtower session keys.
    pub const TOWER_SESSION: u32 = 8;
    /// Watchtower identity key.
    pub const TOWER_ID: u32 = 9;
}

impl fmt::Display for KeyLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.family, self.index)
    }
}

/// A key of LND's on-chain wallet: m/purpose'/0'/account'/branch/index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WalletPath {
    /// 49 (nested P2WKH), 84 (P2WKH) or 86 (P2TR).
    pub purpose: u32,
    /// 0 external, 1 internal (change).
    pub branch: u32,
    /// Index in the branch.
    pub index: u32,
}

/// Any key an LND node's seed yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyPath {
    /// On-chain wallet.
    Wallet(WalletPath),
    /// Channels, node identity and the rest under 1017'.
    Lightning(KeyLocator),
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyPath::Wallet(p) => write!(f, "m/{}'/0'/0'/{}/{}", p.purpose, p.branch, p.index),
            KeyPath::Lightning(l) => write!(f, "{{{l}}}"),
        }
    }
}
