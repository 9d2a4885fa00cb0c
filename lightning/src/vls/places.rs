//! Where coins may go: VLS's wallet over LND's accounts and the allowlist.

use bitcoin::bip32::{ChildNumber, DerivationPath};
use bitcoin::{Address, Network, ScriptBuf};
use lightning_signer::util::status::Status;
use lightning_signer::wallet::Wallet;
use secp256k1::PublicKey;
use strongroom_policy::WalletPath;
use strongroom_policy::file::Allowed;

use crate::accounts::Accounts;

/// One node's own addresses, and those that the policy lets it pay.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// The node's accounts: what is ours is found by derivation, not by the path that a caller hints at.
    pub accounts: &'a Accounts,
    /// The policy's allowlist.
    pub allowed: &'a Allowed,
    /// The network.
    pub network: Network,
}

/// [`Places`] with the outputs of one transaction on which other rules decide.
pub(super) struct Decided<'a> {
    pub(super) places: Places<'a>,
    pub(super) scripts: Vec<ScriptBuf>,
}

impl Places<'_> {
    /// Whether a script is our wallet's or on the allowlist.
    pub(super) fn has(&self, script: &ScriptBuf) -> bool {
        self.accounts.find_script(script).is_some() || self.allowed.label(script).is_some()
    }
}

/// What VLS calls an output's path; to it, an empty one means that the output is not claimed to be the wallet's.
pub(super) fn path(wallet: &WalletPath) -> DerivationPath {
    let hardened = [wallet.purpose, 0, 0].map(|index| ChildNumber::Hardened { index });
    let normal = [wallet.branch, wallet.index].map(|index| ChildNumber::Normal { index });
    hardened.into_iter().chain(normal).collect()
}

impl Wallet for Decided<'_> {
    fn can_spend(&self, _: &DerivationPath, script: &ScriptBuf) -> Result<bool, Status> {
        Ok(self.places.accounts.find_script(script).is_some())
    }

    /// Of payments over Lightning, which requests do not show.
    fn allowlist_contains_payee(&self, _: PublicKey) -> bool {
        false
    }

    fn allowlist_contains(&self, script: &ScriptBuf, _: &DerivationPath) -> bool {
        self.places.allowed.label(script).is_some() || self.scripts.contains(script)
    }

    fn network(&self) -> Network {
        self.places.network
    }

    fn get_native_address(&self, _: &DerivationPath) -> Result<Address, Status> {
        Err(no_address())
    }

    fn get_taproot_address(&self, _: &DerivationPath) -> Result<Address, Status> {
        Err(no_address())
    }

    fn get_wrapped_address(&self, _: &DerivationPath) -> Result<Address, Status> {
        Err(no_address())
    }
}

/// Validators do not ask for addresses; VLS's node does.
fn no_address() -> Status {
    Status::failed_precondition("addresses are lnd's to make")
}
