//! What the appliance keeps in files of its own, apart from the journal's store, so that losing one does not lose
//! the other: `appliance.json` and `nodes/<name>.json`. Secrets in them are sealed by the HSM.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use strongroom_policy::NodeName;

use crate::doors::tls::write_private;

/// `appliance.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplianceFile {
    /// Version of this format: 1.
    pub version: u32,
    /// Name of the journal, in every signed head.
    pub origin: String,
    /// Network as in the policy; an appliance never changes it.
    pub network: String,
    /// The store key, sealed; hex.
    pub sealed_store_key: String,
    /// `<curve>:<SEC1 point, hex>` of the audit key.
    pub audit_key: String,
}

/// `nodes/<name>.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    /// Version of this format: 1.
    pub version: u32,
    /// The node.
    pub name: NodeName,
    /// `generated` or `imported-hot`; never changes.
    pub seed_origin: String,
    /// Compressed identity key, hex.
    pub identity: String,
    /// Times the seed was sealed; bound into the seal.
    pub counter: u64,
    /// The seed, sealed; hex.
    pub sealed_seed: String,
    /// Unix seconds.
    pub created: u64,
}

/// A file of the state folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {because}")]
pub struct FileError {
    path: String,
    because: String,
}

/// The state folder.
pub struct StateDir(PathBuf);

impl StateDir {
    /// Makes the folder if need be; refuses one that others may enter.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        let wrong = |because: String| FileError { path: path.display().to_string(), because };
        if !path.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|e| wrong(e.to_string()))?;
        }
        let mode = fs::metadata(path).map_err(|e| wrong(e.to_string()))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(wrong(format!("mode is {mode:o}: only its owner may enter (chmod 700)")));
        }
        let dir = Self(path.to_owned());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir.nodes())
            .map_err(|e| wrong(e.to_string()))?;
        Ok(dir)
    }

    /// Folder of the journal's store.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Folder of the LND door's certificate.
    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    fn nodes(&self) -> PathBuf {
        self.0.join("nodes")
    }

    /// `appliance.json`, or `None` before `strongroom init`.
    pub fn appliance(&self) -> Result<Option<ApplianceFile>, FileError> {
        read(&self.0.join("appliance.json"))
    }

    /// Writes `appliance.json`, once.
    pub fn write_appliance(&self, file: &ApplianceFile) -> Result<(), FileError> {
        write_new(&self.0.join("appliance.json"), file)
    }

    /// Every node's file, by name.
    pub fn node_files(&self) -> Result<Vec<NodeFile>, FileError> {
        let wrong =
            |e: io::Error| FileError { path: self.nodes().display().to_string(), because: e.to_string() };
        let mut files = Vec::new();
        for entry in fs::read_dir(self.nodes()).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.extension().is_some_and(|e| e == "json") {
                let file: NodeFile = read(&path)?.ok_or_else(|| FileError {
                    path: path.display().to_string(),
                    because: "vanished".to_owned(),
                })?;
                files.push(file);
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// Takes back the file of a node whose adding failed.
    pub fn remove_node(&self, name: &NodeName) -> Result<(), FileError> {
        let path = self.nodes().join(format!("{name}.json"));
        let wrong = |e: io::Error| FileError { path: path.display().to_string(), because: e.to_string() };
        fs::remove_file(&path).map_err(wrong)?;
        fs::File::open(self.nodes()).and_then(|dir| dir.sync_all()).map_err(wrong)
    }

    /// Writes a new node's file; an existing one is never replaced.
    pub fn write_node(&self, file: &NodeFile) -> Result<(), FileError> {
        write_new(&self.nodes().join(format!("{}.json", file.name)), file)
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, FileError> {
    let wrong = |because: String| FileError { path: path.display().to_string(), because };
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(wrong(e.to_string())),
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| wrong(e.to_string())),
    }
}

fn write_new<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let wrong = |because: String| FileError { path: path.display().to_string(), because };
    if path.exists() {
        return Err(wrong("exists already".to_owned()));
    }
    let text = serde_json::to_vec_pretty(value).map_err(|e| wrong(e.to_string()))?;
    write_private(path, &text).map_err(|e| wrong(e.to_string()))
}
