//! Which macaroons were minted, for whom, and which were revoked. Kept in the journal's store, sealed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use serde::{Deserialize, Serialize};
use strongroom_policy::{ClientName, NodeName};
use zeroize::Zeroize;

use crate::doors::macaroon::{Macaroon, MacaroonError};
use crate::share::Share;
use crate::store::{Batch, Store, StoreError};

/// First letter of their records' names in the store; the journal's have others.
pub(crate) const PREFIX: &[u8] = b"K";

/// One macaroon's record. Its root key never leaves this file.
#[derive(Serialize, Deserialize)]
struct Record {
    node: NodeName,
    client: ClientName,
    root: [u8; 32],
    expires: Option<u64>,
    address: Option<IpAddr>,
    revoked: bool,
    /// What its client has under way; the same for all macaroons of the client.
    #[serde(skip)]
    share: Arc<Share>,
}

/// Whom a macaroon lets in.
pub struct Known {
    /// The node whose keys it is good for.
    pub node: NodeName,
    /// The client it authenticates.
    pub client: ClientName,
    /// What the client has under way.
    pub share: Arc<Share>,
}

/// The share of a client: that of its other macaroons, if it has any.
fn share_of(records: &HashMap<String, Record>, node: &NodeName, client: &ClientName) -> Arc<Share> {
    let same = records.values().find(|record| record.node == *node && record.client == *client);
    same.map_or_else(Arc::default, |record| record.share.clone())
}

impl Record {
    fn copy(&self) -> Self {
        Self {
            node: self.node.clone(),
            client: self.client.clone(),
            root: self.root,
            expires: self.expires,
            address: self.address,
            revoked: self.revoked,
            share: self.share.clone(),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.root.zeroize();
    }
}

/// What may be told of a macaroon.
#[derive(Clone, Debug)]
pub struct MacaroonInfo {
    /// Id, 16 hex characters; not a secret.
    pub id: String,
    /// The node whose keys it is good for.
    pub node: NodeName,
    /// The client it authenticates.
    pub client: ClientName,
    /// Unix seconds.
    pub expires: Option<u64>,
    /// The only address it is good for.
    pub address: Option<IpAddr>,
    /// Revoked: lets nobody in.
    pub revoked: bool,
}

/// Why a macaroon cannot be minted or revoked.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No randomness.
    #[error("no randomness from the operating system: {0}")]
    Random(String),
    /// Unix seconds beyond the calendar.
    #[error("expiry {0} (unix seconds) is not a date before the year 10000")]
    Expiry(u64),
    /// No such macaroon.
    #[error("no macaroon has the id {0:?}")]
    Unknown(String),
    /// A record that does not read.
    #[error("macaroon record {0} does not read")]
    Damaged(String),
}

/// The register of macaroons.
pub struct Macaroons {
    /// Weak, so that the journal's thread is the only one to keep the store open.
    store: Weak<dyn Store>,
    /// Taken by whoever writes; never by whoever authenticates.
    writing: Mutex<()>,
    records: RwLock<HashMap<String, Record>>,
}

impl Macaroons {
    /// Reads the register.
    pub fn open(store: &Arc<dyn Store>) -> Result<Self, RegisterError> {
        let mut records = HashMap::new();
        for entry in store.scan(PREFIX, PREFIX) {
            let (name, mut value) = entry?;
            let id = String::from_utf8_lossy(&name[PREFIX.len()..]).into_owned();
            let mut record: Record =
                serde_json::from_slice(&value).map_err(|_| RegisterError::Damaged(id.clone()))?;
            value.zeroize();
            record.share = share_of(&records, &record.node, &record.client);
            records.insert(id, record);
        }
        Ok(Self { store: Arc::downgrade(store), writing: Mutex::default(), records: RwLock::new(records) })
    }

    fn save(&self, id: &str, record: &Record) -> Result<(), RegisterError> {
        let mut batch = Batch::default();
        let value = serde_json::to_vec(record).map_err(|_| RegisterError::Damaged(id.to_owned()))?;
        batch.put([PREFIX, id.as_bytes()].concat(), value);
        let store = self.store.upgrade().ok_or_else(|| StoreError::Io("closed".to_owned()))?;
        store.apply(batch)?;
        store.sync()?;
        Ok(())
    }

    /// Mints a macaroon. `expires` in Unix seconds.
    pub fn mint(
        &self,
        node: NodeName,
        client: ClientName,
        expires: Option<u64>,
        address: Option<IpAddr>,
    ) -> Result<(String, Vec<u8>), RegisterError> {
        let random =
            |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|e| RegisterError::Random(e.to_string()));
        let (mut root, mut id) = ([0u8; 32], [0u8; 8]);
        random(&mut root)?;
        random(&mut id)?;
        let id = hex::encode(id);
        let mut caveats = Vec::new();
        if let Some(at) = expires {
            let when = i64::try_from(at)
                .ok()
                .and_then(|at| time::OffsetDateTime::from_unix_timestamp(at).ok())
                .and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok())
                .ok_or(RegisterError::Expiry(at))?;
            caveats.push(format!("time-before {when}"));
        }
        if let Some(address) = address {
            caveats.push(format!("ipaddr {address}"));
        }
        let share = {
            let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
            share_of(&records, &node, &client)
        };
        let record = Record { node, client, root, expires, address, revoked: false, share };
        root.zeroize();
        let macaroon = Macaroon::mint(&record.root, id.as_bytes(), caveats).to_bytes();
        self.save(&id, &record)?;
        self.records.write().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), record);
        Ok((id, macaroon))
    }

    /// Revokes a macaroon, at once and for ever.
    pub fn revoke(&self, id: &str) -> Result<(), RegisterError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Refused from here on, also if the disk then fails; but the caller is told, since a restart would forget it.
        let revoked = {
            let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
            let record = records.get_mut(id).ok_or_else(|| RegisterError::Unknown(id.to_owned()))?;
            record.revoked = true;
            record.copy()
        };
        self.save(id, &revoked)
    }

    /// Every macaroon ever minted, by id.
    pub fn list(&self) -> Vec<MacaroonInfo> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = records
            .iter()
            .map(|(id, r)| MacaroonInfo {
                id: id.clone(),
                node: r.node.clone(),
                client: r.client.clone(),
                expires: r.expires,
                address: r.address,
                revoked: r.revoked,
            })
            .collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Whom this macaroon lets in; `now` in Unix seconds.
    pub fn authenticate(&self, hex: &str, now: i64, peer: Option<IpAddr>) -> Result<Known, MacaroonError> {
        let macaroon = Macaroon::from_hex(hex)?;
        let id = std::str::from_utf8(macaroon.identifier()).map_err(|_| MacaroonError::Unknown)?;
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let record = records.get(id).filter(|r| !r.revoked).ok_or(MacaroonError::Unknown)?;
        macaroon.verify(&record.root, now, peer)?;
        Ok(Known { node: record.node.clone(), client: record.client.clone(), share: record.share.clone() })
    }

    /// Whom a macaroon names, proven or not, if its id was minted here.
    pub fn named_by(&self, hex: &str) -> Option<String> {
        let macaroon = Macaroon::from_hex(hex).ok()?;
        let id = std::str::from_utf8(macaroon.identifier()).ok()?;
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let record = records.get(id)?;
        Some(format!("{}/{}, macaroon {id}", record.node, record.client))
    }
}
