//! One LND node whose keys are open.

use std::sync::Arc;

use strongroom_lightning::Accounts;
use strongroom_policy::NodeName;

use crate::journal::Journal;
use crate::keyring::Keyring;

/// One LND node whose keys are open.
pub struct OpenNode {
    name: NodeName,
    identity: String,
    seed_origin: String,
    accounts: Arc<Accounts>,
    keyring: Keyring,
    journal: Journal,
}

impl OpenNode {
    pub(super) fn new(
        name: NodeName,
        identity: String,
        seed_origin: String,
        accounts: Arc<Accounts>,
        keyring: Keyring,
        journal: Journal,
    ) -> Self {
        Self { name, identity, seed_origin, accounts, keyring, journal }
    }

    /// Its name.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Its identity key, compressed, hex.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// `generated` or `imported-hot`.
    pub fn seed_origin(&self) -> &str {
        &self.seed_origin
    }

    /// Its public keys.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// Its secret keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The journal that decides its requests.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Wipes its secrets now, whoever still holds the node.
    pub(super) fn wipe(&self) {
        self.keyring.wipe();
    }
}
