//! Derivation paths as LND writes them.

use std::fmt;

use strongroom_policy::{KeyLocator, KeyPath, WalletPath};

const HARDENED: u32 = 1 << 31;

/// Path of an account: m/purpose'/coin'/account'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountPath {
    /// 49, 84, 86 or 1017, unhardened notation.
    pub purpose: u32,
    /// Coin type: always 0 for 49, 84 and 86 in LND; the network's for 1017.
    pub coin: u32,
    /// Account: 0 for the wallet, the key family for 1017.
    pub account: u32,
}

impl AccountPath {
    /// LND's purpose for channel and node keys.
    pub const LIGHTNING: u32 = 1017;

    /// Whether LND's watch-only wallet uses this account.
    pub(crate) fn is_lnd(&self) -> bool {
        match self.purpose {
            49 | 84 | 86 => self.coin == 0 && self.account == 0,
            Self::LIGHTNING => self.account <= 255 && self.coin < HARDENED,
            _ => false,
        }
    }
}

impl fmt::Display for AccountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m/{}'/{}'/{}'", self.purpose, self.coin, self.account)
    }
}

/// Our key at `path`: three hardened elements, then branch and index. Channel keys have branch 0 only.
pub(crate) fn parse(path: &[u32], coin: u32) -> Option<KeyPath> {
    let &[purpose, coin_type, account, branch, index] = path else {
        return None;
    };
    let unhardened = |n: u32| n.checked_sub(HARDENED);
    let (purpose, coin_type, account) = (unhardened(purpose)?, unhardened(coin_type)?, unhardened(account)?);
    if index >= HARDENED {
        return None;
    }
    match purpose {
        49 | 84 | 86 if coin_type == 0 && account == 0 && branch <= 1 => {
            Some(KeyPath::Wallet(WalletPath { purpose, branch, index }))
        }
        AccountPath::LIGHTNING if coin_type == coin && account <= 255 && branch == 0 => {
            Some(KeyPath::Lightning(KeyLocator { family: account, index }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: u32 = HARDENED;

    #[test]
    fn foreign_paths_are_not_ours() {
        for path in [
            &[84 + H, H, H, 0][..],
            &[84 + H, H, H, 0, 1, 2],
            &[84 + H, H, H, 2, 1],
            &[84 + H, 1 + H, H, 0, 1],
            &[84 + H, H, 1 + H, 0, 1],
            &[84, H, H, 0, 1],
            &[84 + H, H, H, 0, H],
            &[44 + H, H, H, 0, 1],
            &[1017 + H, H, H, 0, 1],
            &[1017 + H, 1 + H, 256 + H, 0, 1],
            &[1017 + H, 1 + H, H, 1, 1],
        ] {
            assert_eq!(parse(path, 1), None, "{path:?}");
        }
    }

    #[test]
    fn lnd_paths_are_ours() {
        assert_eq!(
            parse(&[49 + H, H, H, 1, 7], 1),
            Some(KeyPath::Wallet(WalletPath { purpose: 49, branch: 1, index: 7 }))
        );
        assert_eq!(
            parse(&[1017 + H, 1 + H, 5 + H, 0, 9], 1),
            Some(KeyPath::Lightning(KeyLocator { family: 5, index: 9 }))
        );
    }
}
