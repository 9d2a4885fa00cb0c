//! What lnd needs, as files in a folder.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_proto::strongroom::v1::NodeExport;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::new_file::{self, Readers};
use crate::wording::plain;

const ACCOUNTS: &str = "accounts.json";
const CERTIFICATE: &str = "tls.cert";
const MACAROON: &str = "signer.macaroon";

/// A folder in which none of the files exists yet.
pub struct Folder {
    path: PathBuf,
}

/// What was written, and what to do with it.
#[derive(Serialize)]
pub struct Written {
    name: String,
    identity: String,
    seed_origin: String,
    accounts_json: PathBuf,
    tls_cert: PathBuf,
    /// `null` if none came along.
    signer_macaroon: Option<PathBuf>,
    lnd_conf: String,
}

impl Folder {
    /// Makes the folder if need be, and refuses one with files that would be overwritten.
    pub fn prepare(path: &Path) -> Result<Self, Failure> {
        new_file::folder(path)?;
        let path = path.canonicalize().map_err(|error| Failure::file("use", path, &error))?;
        for file in [ACCOUNTS, CERTIFICATE, MACAROON] {
            new_file::must_be_free(&path.join(file))?;
        }
        Ok(Self { path })
    }

    /// Writes the files.
    pub fn write(self, export: NodeExport) -> Result<Written, Failure> {
        let accounts_json = self.path.join(ACCOUNTS);
        let tls_cert = self.path.join(CERTIFICATE);
        let signer_macaroon = (!export.macaroon.is_empty()).then(|| self.path.join(MACAROON));
        // The macaroon comes once: first, so that it is not lost to a full disk.
        if let Some(path) = &signer_macaroon {
            new_file::write(path, Readers::Owner, &export.macaroon)?;
        }
        new_file::write(&accounts_json, Readers::All, export.accounts_json.as_bytes())?;
        new_file::write(&tls_cert, Readers::All, export.tls_cert_pem.as_bytes())?;
        let lnd_conf = export.lnd_conf.replace("{dir}", &self.path.display().to_string());
        let (name, identity, seed_origin) = (export.name, export.identity, export.seed_origin);
        Ok(Written { name, identity, seed_origin, accounts_json, tls_cert, signer_macaroon, lnd_conf })
    }
}

impl Answer for Written {
    fn words(&self) -> String {
        let macaroon = match &self.signer_macaroon {
            Some(path) => format!("{}  (a credential: keep it to lnd's user)", path.display()),
            None => format!("none; strongroom macaroon mint {} --out FILE makes one", plain(&self.name)),
        };
        let seed = if self.seed_origin == "imported-hot" {
            "imported-hot: it was known elsewhere, so Strongroom can hold it to a policy but not isolate it"
        } else {
            &self.seed_origin
        };
        format!(
            "node      {}\nidentity  {}\nseed      {}\naccounts  {}\ntls       {}\nmacaroon  {macaroon}\n\n\
             add to lnd.conf:\n\n{}\n\nthen start lnd and make its watch-only wallet, once:\n\n  \
             lncli createwatchonly {}",
            plain(&self.name),
            plain(&self.identity),
            plain(seed),
            self.accounts_json.display(),
            self.tls_cert.display(),
            self.lnd_conf.trim_end(),
            self.accounts_json.display(),
        )
    }
}
