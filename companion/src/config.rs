//! The companion's configuration: one small TOML file, every key known.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use tonic::metadata::{Ascii, MetadataValue};

/// `companion.toml`, with the files that it names read.
#[derive(Debug)]
pub struct Config {
    /// lnd.
    pub lnd: Place,
    /// The signer.
    pub signer: Place,
    /// What becomes of a call while the signer cannot be asked.
    pub when_unreachable: WhenUnreachable,
    /// Whether forwards that the signer would refuse are failed.
    pub intercept_forwards: bool,
}

/// A gRPC door and the way in.
#[derive(Clone, Debug)]
pub struct Place {
    /// `host:port`.
    pub address: String,
    /// PEM file with its certificate, which is the only one taken; read anew at each connection.
    pub tls_cert: PathBuf,
    /// The macaroon, as a header; never printed.
    pub macaroon: MetadataValue<Ascii>,
}

/// What becomes of a call while the signer cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenUnreachable {
    /// It is turned down.
    #[default]
    Refuse,
    /// lnd begins it, and the signer decides, if it comes back.
    Pass,
}

/// A configuration that the companion does not start with.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {because}", .line.map_or_else(String::new, |line| format!(":{line}")))]
pub struct ConfigError {
    file: String,
    line: Option<usize>,
    because: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    lnd: LndTable,
    signer: SignerTable,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LndTable {
    address: String,
    tls_cert: PathBuf,
    macaroon: PathBuf,
    #[serde(default)]
    intercept_forwards: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignerTable {
    address: String,
    tls_cert: PathBuf,
    macaroon: PathBuf,
    #[serde(default)]
    when_unreachable: WhenUnreachable,
}

impl Config {
    /// Reads and checks the file, and the certificates and macaroons that it names.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| at(path, e))?;
        let read: File = toml::from_str(&text).map_err(|e| {
            let span = e.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.get(..span).map(|before| before.matches('\n').count() + 1);
            ConfigError { file: file.clone(), line, because: e.message().replace('\n', "; ") }
        })?;
        let place = |key: &str, address: String, tls_cert: PathBuf, macaroon: &Path| {
            let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
                let because = format!("{key}.address is {address:?}; allowed: host:port");
                return Err(ConfigError { file: file.clone(), line: None, because });
            }
            certificate(&tls_cert)?;
            Ok(Place { address, tls_cert, macaroon: header(macaroon)? })
        };
        Ok(Self {
            lnd: place("lnd", read.lnd.address, read.lnd.tls_cert, &read.lnd.macaroon)?,
            signer: place("signer", read.signer.address, read.signer.tls_cert, &read.signer.macaroon)?,
            when_unreachable: read.signer.when_unreachable,
            intercept_forwards: read.lnd.intercept_forwards,
        })
    }
}

/// The certificate in a PEM file.
pub fn certificate(path: &Path) -> Result<CertificateDer<'static>, ConfigError> {
    let pem = std::fs::read(path).map_err(|e| at(path, e))?;
    CertificateDer::from_pem_slice(&pem).map_err(|e| at(path, format!("no PEM certificate: {e}")))
}

fn header(path: &Path) -> Result<MetadataValue<Ascii>, ConfigError> {
    let macaroon = std::fs::read(path).map_err(|e| at(path, e))?;
    // 2 is the version of every macaroon in the binary form that lnd and the signer write.
    if macaroon.first() != Some(&2) || macaroon.len() > 8_192 {
        return Err(at(path, "no macaroon in binary form"));
    }
    let mut header: MetadataValue<Ascii> =
        hex::encode(macaroon).parse().map_err(|_| at(path, "no macaroon"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn at(path: &Path, because: impl fmt::Display) -> ConfigError {
    ConfigError { file: path.display().to_string(), line: None, because: because.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    /// A folder with everything in place, and the configuration's text.
    fn complete() -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().expect("a folder");
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            path.display().to_string()
        };
        let (cert, macaroon) = (file("tls.cert", PEM.as_bytes()), file("a.macaroon", &[2, 1, 0]));
        let table =
            format!("address = \"127.0.0.1:10009\"\ntls_cert = \"{cert}\"\nmacaroon = \"{macaroon}\"\n");
        let text = format!("[lnd]\n{table}[signer]\n{table}");
        (dir, text)
    }

    fn read(dir: &tempfile::TempDir, text: &str) -> Result<Config, String> {
        let path = dir.path().join("companion.toml");
        std::fs::write(&path, text).expect("written");
        Config::read(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_wrong_is_said() {
        let (dir, text) = complete();
        let here = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(here("text"), "not PEM").expect("written");
        for (from, to, says) in [
            ("127.0.0.1:10009", "127.0.0.1", "host:port"),
            ("127.0.0.1:10009", ":10009", "host:port"),
            ("127.0.0.1:10009", "127.0.0.1:0", "host:port"),
            (&here("tls.cert"), &here("none"), "none: "),
            (&here("tls.cert"), &here("text"), "no PEM certificate"),
            (&here("a.macaroon"), &here("text"), "no macaroon"),
            ("[lnd]\n", "[lnd]\ncolour = 1\n", "companion.toml:2: unknown field"),
            ("[lnd]", "[lnd2]", "unknown field"),
        ] {
            let error = read(&dir, &text.replacen(from, to, 1)).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
        let error = read(&dir, &format!("{text}when_unreachable = \"hope\"\n")).expect_err("hope");
        assert!(error.contains("`refuse` or `pass`"), "{error}");
    }

    #[test]
    fn readme_and_help_show_the_same_complete_configuration() {
        let readme = include_str!("../../README.md");
        let shown = readme.split("```toml").nth(2).and_then(|rest| rest.split("```").next());
        let shown = shown.expect("README.md shows the companion's configuration after the daemon's");
        let unindent = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        let readme: File = toml::from_str(&unindent(shown)).expect("it is complete");
        let main = include_str!("main.rs").replace("\\\"", "\"");
        let (_, help) = main.split_once("complete:\n").expect("--help shows it too");
        let (help, _) = help.split_once("intercept_forwards = true has").expect("and where it ends");
        let help: File = toml::from_str(&unindent(help)).expect("it is complete");
        assert_eq!(readme, help);
    }

    #[test]
    fn it_refuses_unless_told_to_pass() {
        let (dir, text) = complete();
        assert_eq!(read(&dir, &text).map(|c| c.when_unreachable), Ok(WhenUnreachable::Refuse));
        let pass = read(&dir, &format!("{text}when_unreachable = \"pass\"\n"));
        assert_eq!(pass.map(|c| c.when_unreachable), Ok(WhenUnreachable::Pass));
    }

    #[test]
    fn it_holds_forwards_only_where_it_is_told_to() {
        let (dir, text) = complete();
        assert_eq!(read(&dir, &text).map(|c| c.intercept_forwards), Ok(false));
        let told = text.replacen("[signer]", "intercept_forwards = true\n[signer]", 1);
        assert_eq!(read(&dir, &told).map(|c| c.intercept_forwards), Ok(true));
    }

    #[test]
    fn no_macaroon_is_ever_printed() {
        let (dir, text) = complete();
        let printed = format!("{:?}", read(&dir, &text));
        assert!(!printed.contains("020100"), "{printed}");
    }
}
