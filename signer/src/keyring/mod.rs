//! The only place that touches LND's secret keys.
//!
//! - [`Seed`] is one LND node's seed in locked memory: made, imported, sealed, opened.
//! - [`Keyring`] is opened from a seed and signs what [`crate::journal::Approved`] proves to be decided and recorded.
//!
//! *Invariants.* Nothing secret leaves but in a seed's sealing form, a new seed's words, signatures, and shared
//! secrets. Whatever is released was verified first. No type that holds a secret has `Debug` or `Clone`.

mod accounts;
mod branches;
mod derivation;
mod error;
mod musig2;
mod requests;
mod secret;
mod seed;
mod sign_message;
mod sign_psbt;
mod tweak;

use bitcoin::NetworkKind;
use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpub};
use bitcoin::hashes::hash160;
use secp256k1::{All, PublicKey, Secp256k1};
use strongroom_lightning::AccountPath;
use strongroom_policy::{KeyLocator, KeyPath, Network};
use zeroize::Zeroizing;

use branches::Branches;
use musig2::Sessions;

pub use accounts::AccountXpub;
pub use error::KeyringError;
pub use musig2::{
    CreateSession, Musig2Request, Musig2Tweaks, Musig2Version, SessionError, SessionFields, SessionId,
    SessionInfo, SessionLimits,
};
pub use requests::{EcdhRequest, MessageFields, MessageHash, MessageRequest, MessageScheme, RequestError};
pub use seed::{Mnemonic, Seed, SeedError, SeedOrigin, UnknownOrigin};
pub use sign_psbt::SignedPsbt;

/// The open keys of one LND node. Shared between threads. No `Debug`, no `Clone`.
pub struct Keyring {
    secp: Secp256k1<All>,
    branches: Branches,
    accounts: Vec<AccountXpub>,
    node_id: PublicKey,
    network: Network,
    sessions: Sessions,
}

impl Keyring {
    /// Derives lnd's 259 accounts from a seed and keeps one secret for each of their branches, in locked memory.
    /// `limits` bound the MuSig2 sessions.
    pub fn open(seed: &Seed, network: Network, limits: SessionLimits) -> Result<Self, KeyringError> {
        let opened = Self::derive(seed, network, limits);
        secret::scrub_stack();
        opened
    }

    fn derive(seed: &Seed, network: Network, limits: SessionLimits) -> Result<Self, KeyringError> {
        let mut secp = Secp256k1::new();
        let mut blinding = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut *blinding).map_err(KeyringError::Random)?;
        secp.seeded_randomize(&blinding);

        let mut branches = Branches::empty()?;
        let mut accounts = Vec::new();
        seed.master()?.for_each_account(&secp, coin_type(network), |account| {
            branches.add(&secp, &account)?;
            let xpub = Xpub {
                network: network_kind(network),
                depth: 3,
                parent_fingerprint: fingerprint(&account.parent),
                child_number: ChildNumber::Hardened { index: account.path.account },
                public_key: account.key.key.public_key(&secp),
                chain_code: ChainCode::from(*account.key.chain_code),
            };
            accounts.push(AccountXpub::new(account.path, xpub, network));
            Ok(())
        })?;
        let node_key = KeyPath::Lightning(KeyLocator { family: KeyLocator::NODE, index: 0 });
        let node_id = branches.secret(&node_key)?.public_key(&secp);
        let sessions = Sessions::new(limits)?;
        Ok(Self { secp, branches, accounts, node_id, network, sessions })
    }

    /// Erases every secret now, whoever still holds the keyring: every later call answers
    /// [`KeyringError::Sealed`].
    pub fn wipe(&self) {
        self.branches.wipe();
        self.sessions.wipe();
    }

    /// Whether the secrets are gone.
    pub fn is_wiped(&self) -> bool {
        self.branches.is_wiped()
    }

    /// The network that keys were derived for.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The node's identity key, {6/0}.
    pub fn node_id(&self) -> PublicKey {
        self.node_id
    }

    /// The 259 accounts that a watch-only lnd needs, in lnd's order: 49', 84', 86', and 1017' from 0' to 255'.
    pub fn accounts(&self) -> &[AccountXpub] {
        &self.accounts
    }

    /// The same as [`strongroom_lightning::Accounts`] takes them.
    pub fn account_xpubs(&self) -> Vec<(AccountPath, Xpub)> {
        self.accounts.iter().map(|account| (account.path, account.xpub)).collect()
    }

    /// The same as the file that `lncli createwatchonly` reads, written as lnd writes it.
    pub fn accounts_json(&self) -> Result<String, serde_json::Error> {
        accounts::to_json(&self.accounts)
    }
}

/// Coin type of 1017' keys in lnd: its `chainreg` has 0 for mainnet and 1 for all others.
fn coin_type(network: Network) -> u32 {
    match network {
        Network::Mainnet => 0,
        _ => 1,
    }
}

fn network_kind(network: Network) -> NetworkKind {
    match network {
        Network::Mainnet => NetworkKind::Main,
        _ => NetworkKind::Test,
    }
}

fn fingerprint(parent: &PublicKey) -> Fingerprint {
    use bitcoin::hashes::Hash as _;
    let hash = hash160::Hash::hash(&parent.serialize()).to_byte_array();
    Fingerprint::from([hash[0], hash[1], hash[2], hash[3]])
}

#[cfg(test)]
mod tests;
