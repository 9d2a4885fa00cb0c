//! Adding nodes, opening their seeds, and what lnd needs to call them.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use strongroom_audit as audit;
use strongroom_hsm::SealContext;
use strongroom_lightning::Accounts;
use strongroom_policy::{ClientName, NodeName, WalletPath};
use strongroom_proto::strongroom::v1::{NodeExport, NodeStatus};
use zeroize::Zeroizing;

use super::files::NodeFile;
use super::node::OpenNode;
use super::{Appliance, ApplianceError, Open, sealed_blob, unix_now};
use crate::config::Limits;
use crate::keyring::{Keyring, Seed, SessionLimits};

/// The client that a node's first macaroon authenticates: lnd itself, by the name that shipped policies grant to.
const LND: &str = "lnd";

/// Bytes that are wiped when dropped.
type SecretBytes = Zeroizing<Vec<u8>>;

/// Where a new node's seed comes from.
pub enum SeedFrom {
    /// Made here.
    Generate {
        /// Answer its 24 words, once.
        reveal_words: bool,
        /// The words' passphrase.
        passphrase: Zeroizing<Vec<u8>>,
    },
    /// lnd's 24 words.
    Aezeed {
        /// The words.
        words: Zeroizing<Vec<u8>>,
        /// Their passphrase.
        passphrase: Zeroizing<Vec<u8>>,
    },
    /// xprv or tprv.
    ExtendedPrivateKey(Zeroizing<Vec<u8>>),
}

/// A node as lnd needs to know it.
pub struct Added {
    node: Arc<OpenNode>,
    accounts_json: String,
    macaroon: Vec<u8>,
    words: Option<SecretBytes>,
}

impl Added {
    /// The answer to the operator.
    pub fn into_export(self, appliance: &Appliance) -> NodeExport {
        let port = appliance.config.lnd.listen.port();
        let host = appliance.config.lnd.hosts.first().map_or("localhost", String::as_str);
        NodeExport {
            name: self.node.name().to_string(),
            identity: self.node.identity().to_owned(),
            seed_origin: self.node.seed_origin().to_owned(),
            accounts_json: self.accounts_json,
            tls_cert_pem: appliance.identity.cert_pem.clone(),
            macaroon: self.macaroon,
            lnd_conf: format!(
                "[remotesigner]\nremotesigner.enable=true\nremotesigner.rpchost={host}:{port}\n\
                 remotesigner.macaroonpath={{dir}}/signer.macaroon\nremotesigner.tlscertpath={{dir}}/tls.cert\n\
                 remotesigner.timeout=5s\n"
            ),
            words: self.words.map_or_else(Vec::new, |words| words.to_vec()),
        }
    }
}

fn seed_error(e: impl std::fmt::Display) -> ApplianceError {
    ApplianceError::Seed(e.to_string())
}

fn context<'a>(name: &'a NodeName, counter: u64) -> Result<SealContext<'a>, ApplianceError> {
    Ok(SealContext::new("seed", name.as_str(), 1, counter)?)
}

fn session_limits(limits: &Limits) -> SessionLimits {
    SessionLimits {
        sessions: limits.max_musig2_sessions,
        lifetime: Duration::from_secs(limits.musig2_session_seconds),
    }
}

/// Opens a node's seed and its books.
pub(super) fn open(appliance: &Appliance, open: &Open, file: &NodeFile) -> Result<OpenNode, ApplianceError> {
    let blob = sealed_blob(&file.sealed_seed)?;
    let form = open.token.unseal(&context(&file.name, file.counter)?, &blob)?;
    let seed = Seed::from_sealed(form).map_err(seed_error)?;
    let keyring = Keyring::open(&seed, appliance.policy.network(), session_limits(appliance.limits()))
        .map_err(seed_error)?;
    let identity = keyring.node_id().to_string();
    if identity != file.identity {
        return Err(ApplianceError::Seed(format!(
            "the seed of {} yields identity {identity}, but {} was recorded",
            file.name, file.identity
        )));
    }
    let accounts = Arc::new(Accounts::new(keyring.account_xpubs()).map_err(seed_error)?);
    open.journal.open_node(file.name.clone(), accounts.clone()).map_err(ApplianceError::Journal)?;
    search_ahead(&accounts);
    Ok(OpenNode::new(
        file.name.clone(),
        identity,
        file.seed_origin.clone(),
        accounts,
        keyring,
        open.journal.clone(),
    ))
}

/// Derives the keys beyond the lookahead at leisure, on a quarter of one processor for half a minute or so, until all are there
/// or the node is closed: so that no request has to wait while they are searched.
fn search_ahead(accounts: &Arc<Accounts>) {
    let accounts = Arc::downgrade(accounts);
    let work = move || {
        let mut began = Instant::now();
        while accounts.upgrade().is_some_and(|accounts| accounts.search_ahead()) {
            std::thread::sleep(3 * began.elapsed());
            began = Instant::now();
        }
    };
    if let Err(e) = std::thread::Builder::new().name("lookahead".into()).spawn(work) {
        tracing::warn!(error = %e, "far addresses are searched when they are needed, which takes a request a second or two");
    }
}

impl Appliance {
    /// Recognises a node's own addresses on a branch of its wallet up to this index, and beyond by the lookahead.
    pub fn lookahead(&self, name: &NodeName, path: WalletPath) -> Result<(), ApplianceError> {
        let node = self.node(name).map_err(|e| ApplianceError::State(e.to_string()))?;
        node.accounts().reach(&path).map_err(|e| ApplianceError::State(e.to_string()))?;
        let WalletPath { purpose, branch, index } = path;
        let branch = format!("m/{purpose}'/0'/0'/{branch}");
        let moved = audit::Event::LookaheadMoved { node: name.to_string(), branch, index };
        node.journal().note(moved).map_err(ApplianceError::Journal)
    }

    /// Adds a node and mints its macaroon.
    pub fn node_add(
        &self,
        name: NodeName,
        from: SeedFrom,
        expires: Option<u64>,
        address: Option<IpAddr>,
    ) -> Result<Added, ApplianceError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let open = self.opened()?;
        if self.dir.node_files()?.iter().any(|n| n.name == name) {
            return Err(ApplianceError::State(format!("node {name} exists already")));
        }
        let (seed, words) = self.seed(&open, from)?;
        let keyring =
            Keyring::open(&seed, self.policy.network(), session_limits(self.limits())).map_err(seed_error)?;
        let identity = keyring.node_id().to_string();
        drop(keyring);
        if let Some(twin) = self.dir.node_files()?.iter().find(|n| n.identity == identity) {
            return Err(ApplianceError::Seed(format!(
                "this is the seed of node {} already; two nodes on one seed would void every limit",
                twin.name
            )));
        }
        let sealed = open.token.seal(&context(&name, 1)?, seed.sealing_form())?;
        let file = NodeFile {
            version: 1,
            name: name.clone(),
            seed_origin: seed.origin().to_string(),
            identity,
            counter: 1,
            sealed_seed: hex::encode(sealed.to_bytes()),
            created: unix_now(),
        };
        drop(seed);
        self.dir.write_node(&file)?;
        match self.finish_adding(&open, &file, expires, address) {
            Ok((node, macaroon)) => Ok(Added { accounts_json: accounts_json(&node)?, node, macaroon, words }),
            Err(e) => {
                // The operator holds neither words nor macaroon, so there is no such node.
                self.dir.remove_node(&name)?;
                Err(e)
            }
        }
    }

    fn finish_adding(
        &self,
        open: &Arc<Open>,
        file: &NodeFile,
        expires: Option<u64>,
        address: Option<IpAddr>,
    ) -> Result<(Arc<OpenNode>, Vec<u8>), ApplianceError> {
        let (name, identity) = (file.name.clone(), file.identity.clone());
        let node = Arc::new(self::open(self, open, file)?);
        let event = audit::Event::NodeAdded {
            node: name.to_string(),
            identity,
            seed_origin: file.seed_origin.clone(),
        };
        open.journal.note(event).map_err(ApplianceError::Journal)?;
        let client: ClientName = LND.parse().map_err(|e| ApplianceError::State(format!("{e}")))?;
        let (_, macaroon) = self.mint_in(open, name, client, expires, address)?;
        open.nodes.write().unwrap_or_else(PoisonError::into_inner).push(node.clone());
        Ok((node, macaroon))
    }

    fn seed(&self, open: &Open, from: SeedFrom) -> Result<(Seed, Option<SecretBytes>), ApplianceError> {
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes)
                .map(|t| Zeroizing::new(t.to_owned()))
                .map_err(|_| ApplianceError::Seed("not text".to_owned()))
        };
        match from {
            SeedFrom::Generate { reveal_words, passphrase } => {
                let mut random = [0u8; 16];
                open.token.random(&mut random)?;
                let seed = Seed::generate(&mut random, SystemTime::now()).map_err(seed_error)?;
                let words = if reveal_words {
                    let words = seed.words(&passphrase).map_err(seed_error)?;
                    Some(Zeroizing::new(words.phrase().as_bytes().to_vec()))
                } else {
                    None
                };
                Ok((seed, words))
            }
            SeedFrom::Aezeed { words, passphrase } => {
                Ok((Seed::from_aezeed(&text(&words)?, &passphrase).map_err(seed_error)?, None))
            }
            SeedFrom::ExtendedPrivateKey(key) => {
                Ok((Seed::from_extended_key(&text(&key)?, self.policy.network()).map_err(seed_error)?, None))
            }
        }
    }

    /// What lnd needs, again; without a macaroon, since none can be read back.
    pub fn node_export(&self, name: &NodeName) -> Result<Added, ApplianceError> {
        let node = self.node(name).map_err(|e| ApplianceError::State(e.to_string()))?;
        Ok(Added { accounts_json: accounts_json(&node)?, node, macaroon: Vec::new(), words: None })
    }

    /// Mints a macaroon for a client of a node.
    pub fn mint(
        &self,
        node: NodeName,
        client: ClientName,
        expires: Option<u64>,
        address: Option<IpAddr>,
    ) -> Result<(String, Vec<u8>), ApplianceError> {
        self.node(&node).map_err(|e| ApplianceError::State(e.to_string()))?;
        let open = self.opened()?;
        self.mint_in(&open, node, client, expires, address)
    }

    fn mint_in(
        &self,
        open: &Open,
        node: NodeName,
        client: ClientName,
        expires: Option<u64>,
        address: Option<IpAddr>,
    ) -> Result<(String, Vec<u8>), ApplianceError> {
        let (id, macaroon) = open.macaroons.mint(node.clone(), client.clone(), expires, address)?;
        let event = audit::Event::MacaroonMinted {
            id: id.clone(),
            node: node.into(),
            client: client.into(),
            expires,
            address: address.map(|a| a.to_string()),
        };
        open.journal.note(event).map_err(ApplianceError::Journal)?;
        Ok((id, macaroon))
    }

    /// Revokes a macaroon, at once and for ever.
    pub fn revoke(&self, id: &str) -> Result<(), ApplianceError> {
        let open = self.opened()?;
        open.macaroons.revoke(id)?;
        let event = audit::Event::MacaroonRevoked { id: id.to_owned() };
        open.journal.note(event).map_err(ApplianceError::Journal)
    }

    /// Every node of the state folder, open or not, without what its books know.
    pub fn node_statuses(&self) -> Vec<NodeStatus> {
        let files = self.dir.node_files().unwrap_or_else(|e| {
            tracing::error!(error = %e, "node files cannot be read");
            Vec::new()
        });
        files
            .into_iter()
            .map(|file| NodeStatus {
                name: file.name.into(),
                identity: file.identity,
                seed_origin: file.seed_origin,
                ..NodeStatus::default()
            })
            .collect()
    }

    /// Where the state lies.
    pub fn state_dir(&self) -> &Path {
        &self.config.appliance.state_dir
    }
}

fn accounts_json(node: &OpenNode) -> Result<String, ApplianceError> {
    node.keyring().accounts_json().map_err(|e| ApplianceError::State(e.to_string()))
}
