//! Recognition of our own on-chain wallet's scripts.

use bitcoin::bip32::Xpub;
use bitcoin::hashes::Hash as _;
use bitcoin::key::{CompressedPublicKey, TapTweak as _};
use bitcoin::{Script, ScriptBuf};
use secp256k1::{PublicKey, SECP256K1};
use strongroom_policy::WalletPath;

use super::AccountsError;
use super::lookahead::{Lookahead, Print, STEP};

struct Branch {
    purpose: u32,
    branch: u32,
    kind: Kind,
    table: Lookahead,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    NestedP2wpkh,
    P2wpkh,
    P2tr,
}

/// The six branches of LND's wallet.
pub(super) struct WalletScripts(Vec<Branch>);

impl WalletScripts {
    pub(super) fn new(
        branch_of: impl Fn(u32, u32, u32) -> Result<Xpub, AccountsError>,
        ahead: u32,
    ) -> Result<Self, AccountsError> {
        // btcwallet's ScopeAddrMap: the change of the 49' account is plain P2WPKH, not nested (KeyScopeBIP0049Plus).
        [
            (49, 0, Kind::NestedP2wpkh),
            (49, 1, Kind::P2wpkh),
            (84, 0, Kind::P2wpkh),
            (84, 1, Kind::P2wpkh),
            (86, 0, Kind::P2tr),
            (86, 1, Kind::P2tr),
        ]
        .into_iter()
        .map(|(purpose, branch, kind)| {
            let prints_of = match kind {
                Kind::NestedP2wpkh => of_nested,
                Kind::P2wpkh => of_p2wpkh,
                Kind::P2tr => of_p2tr,
            };
            let table = Lookahead::new(branch_of(purpose, 0, branch)?, ahead, prints_of);
            Ok(Branch { purpose, branch, kind, table })
        })
        .collect::<Result<_, _>>()
        .map(Self)
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &Lookahead> {
        self.0.iter().map(|branch| &branch.table)
    }

    pub(super) fn find(&self, script: &Script) -> Option<WalletPath> {
        let path = self.peek(script)?;
        self.note_used(&path);
        Some(path)
    }

    /// Whether a script may be of a key that is not derived yet, and would be by a search.
    pub(super) fn may_be_far(&self, script: &Script) -> bool {
        let Some((kind, _)) = print(script) else { return false };
        let mut branches = self.0.iter().filter(|branch| branch.kind == kind);
        branches.any(|branch| branch.table.may_be_searched()) && self.peek(script).is_none()
    }

    /// Searches for a script's key beyond the windows, some keys of each branch in turn, while `goes_on` says so.
    pub(super) fn search(&self, script: &Script, goes_on: impl Fn() -> bool) {
        let Some((kind, _)) = print(script) else { return };
        while self.peek(script).is_none() && goes_on() {
            let branches = self.0.iter().filter(|branch| branch.kind == kind);
            if branches.filter(|branch| branch.table.search_on(STEP)).count() == 0 {
                return;
            }
        }
    }

    /// Derives `step` more of the keys that a search would, of one branch. Returns whether there are yet more.
    pub(super) fn search_ahead(&self, step: u32) -> bool {
        let next = self.tables().find(|table| table.may_be_searched());
        next.is_some_and(|table| table.search_on(step)) || self.tables().any(Lookahead::may_be_searched)
    }

    /// The same, and the windows stay where they are.
    pub(super) fn peek(&self, script: &Script) -> Option<WalletPath> {
        let (kind, print) = print(script)?;
        self.0.iter().filter(|branch| branch.kind == kind).find_map(|b| {
            let index = b.table.peek(&print)?;
            Some(WalletPath { purpose: b.purpose, branch: b.branch, index })
        })
    }

    pub(super) fn note_used(&self, path: &WalletPath) {
        if let Some(branch) = self.branch(path) {
            branch.table.note_used(path.index);
        }
    }

    pub(super) fn restore(&self, path: &WalletPath) {
        if let Some(branch) = self.branch(path) {
            branch.table.restore(path.index);
        }
    }

    pub(super) fn marks(&self) -> impl Iterator<Item = WalletPath> {
        self.0.iter().filter_map(|b| {
            let index = b.table.highest_used()?;
            Some(WalletPath { purpose: b.purpose, branch: b.branch, index })
        })
    }

    fn branch(&self, path: &WalletPath) -> Option<&Branch> {
        self.0.iter().find(|b| b.purpose == path.purpose && b.branch == path.branch)
    }
}

/// What a script is looked for by, if it is of a kind that the wallet has.
fn print(script: &Script) -> Option<(Kind, Print)> {
    Print::p2wpkh(script)
        .map(|print| (Kind::P2wpkh, print))
        .or_else(|| Print::p2tr(script).map(|print| (Kind::P2tr, print)))
        .or_else(|| Print::p2sh(script).map(|print| (Kind::NestedP2wpkh, print)))
}

fn p2wpkh(key: &PublicKey) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&CompressedPublicKey(*key).wpubkey_hash())
}

fn of_p2wpkh(key: &PublicKey) -> [Option<Print>; 2] {
    [Print::p2wpkh(&p2wpkh(key)), None]
}

fn of_nested(key: &PublicKey) -> [Option<Print>; 2] {
    let redeem = p2wpkh(key);
    [Print::p2sh(&ScriptBuf::new_p2sh(&bitcoin::ScriptHash::hash(redeem.as_bytes()))), None]
}

fn of_p2tr(key: &PublicKey) -> [Option<Print>; 2] {
    let (output, _) = key.x_only_public_key().0.tap_tweak(SECP256K1, None);
    [Print::p2tr(&ScriptBuf::new_p2tr_tweaked(output)), None]
}
