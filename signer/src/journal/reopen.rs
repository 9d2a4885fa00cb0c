//! Reads a node's books again.

use std::collections::HashMap;
use std::sync::Arc;

use strongroom_lightning::{Accounts, Channels, Mark, Vls};
use strongroom_policy::{KeyLocator, KeyPath, NodeName};

use super::books::{Allowances, Books};
use super::flows::Flows;
use super::keys;
use super::refused::RefusedClaims;
use super::spend::vls_network;
use super::thread::Keeper;

/// A record: its name, and its value.
type Stored = (Vec<u8>, Vec<u8>);

impl Keeper {
    /// Reads all that is stored of a node.
    pub(super) fn read_books(&self, node: &NodeName, accounts: Arc<Accounts>) -> Result<Books, String> {
        let channels = Channels::load(self.records(&keys::channels(node))?).map_err(|e| e.to_string())?;
        let identity = accounts
            .derive(&KeyPath::Lightning(KeyLocator { family: KeyLocator::NODE, index: 0 }))
            .map_err(|e| format!("identity of {node}: {e}"))?;
        let vls = Vls::load(
            self.policy.vls().clone(),
            vls_network(self.policy.network()),
            identity.key,
            self.records(&keys::vls(node))?,
        )
        .map_err(|e| e.to_string())?;
        let mut allowances = match self.store.get(&keys::allowances(node)).map_err(|e| e.to_string())? {
            None => Allowances::new(self.policy.window()),
            Some(value) => {
                serde_json::from_slice(&value).map_err(|e| format!("allowances of {node}: {e}"))?
            }
        };
        allowances.rewindow(self.now(), self.policy.window());
        let mut flows = match self.store.get(&keys::flows(node)).map_err(|e| e.to_string())? {
            None => Flows::new(self.policy.window()),
            Some(value) => Flows::read(&value).map_err(|e| format!("flows of {node}: {e}"))?,
        };
        flows.rewindow(self.now(), self.policy.window());
        let marks: Vec<Mark> = match self.store.get(&keys::marks(node)).map_err(|e| e.to_string())? {
            None => Vec::new(),
            Some(value) => serde_json::from_slice(&value).map_err(|e| format!("marks of {node}: {e}"))?,
        };
        accounts.restore(&marks);
        let refused = self.records(&keys::refused_claims(node))?.into_iter().map(|(_, value)| value);
        Ok(Books {
            accounts,
            channels,
            vls,
            allowances,
            flows,
            marks,
            approved: 0,
            refused: 0,
            last_request: 0,
            refused_claims: RefusedClaims::load(refused),
            active: HashMap::new(),
        })
    }

    /// Names, without the prefix, and values.
    fn records(&self, prefix: &[u8]) -> Result<Vec<Stored>, String> {
        let entries = self.store.scan(prefix, prefix);
        entries
            .map(|entry| {
                entry.map(|(key, value)| (key[prefix.len()..].to_vec(), value)).map_err(|e| e.to_string())
            })
            .collect()
    }
}
