//! Keys by purpose, as the policy file grants them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::key::{KeyLocator, KeyPath};

/// What a key is for: the unit in which a client is granted keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyGroup {
    /// The on-chain wallet, 49'/84'/86'.
    Wallet,
    /// Family 0: 2-of-2 funding keys.
    Multisig,
    /// Family 1: revocation basepoints.
    RevocationBase,
    /// Family 2: HTLC basepoints.
    HtlcBase,
    /// Family 3: payment basepoints.
    PaymentBase,
    /// Family 4: delayed payment basepoints.
    DelayBase,
    /// Family 5: revocation roots.
    RevocationRoot,
    /// Family 6: node identity.
    Node,
    /// Family 7: encryption of static channel backups.
    StaticBackup,
    /// Family 8: watchtower sessions.
    TowerSession,
    /// Family 9: watchtower identity.
    TowerId,
}

impl KeyGroup {
    /// The group of a key family (`keychain/derivation.go`); `None` for families LND uses for nothing we know.
    pub fn of_family(family: u32) -> Option<Self> {
        Some(match family {
            KeyLocator::MULTISIG => Self::Multisig,
            KeyLocator::REVOCATION_BASE => Self::RevocationBase,
            KeyLocator::HTLC_BASE => Self::HtlcBase,
            KeyLocator::PAYMENT_BASE => Self::PaymentBase,
            KeyLocator::DELAY_BASE => Self::DelayBase,
            KeyLocator::REVOCATION_ROOT => Self::RevocationRoot,
            KeyLocator::NODE => Self::Node,
            KeyLocator::STATIC_BACKUP => Self::StaticBackup,
            KeyLocator::TOWER_SESSION => Self::TowerSession,
            KeyLocator::TOWER_ID => Self::TowerId,
            _ => return None,
        })
    }

    /// The group of any key.
    pub fn of(key: KeyPath) -> Option<Self> {
        match key {
            KeyPath::Wallet(_) => Some(Self::Wallet),
            KeyPath::Lightning(locator) => Self::of_family(locator.family),
        }
    }

    /// The name in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Multisig => "multisig",
            Self::RevocationBase => "revocation-base",
            Self::HtlcBase => "htlc-base",
            Self::PaymentBase => "payment-base",
            Self::DelayBase => "delay-base",
            Self::RevocationRoot => "revocation-root",
            Self::Node => "node",
            Self::StaticBackup => "static-backup",
            Self::TowerSession => "tower-session",
            Self::TowerId => "tower-id",
        }
    }
}

impl fmt::Display for KeyGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_above_nine_belong_to_no_group() {
        assert_eq!(KeyGroup::of_family(10), None);
        assert_eq!(KeyGroup::of_family(u32::MAX), None);
        assert_eq!(KeyGroup::of_family(9), Some(KeyGroup::TowerId));
    }
}
