//! The certificate that lnd pins, and the TLS settings of the LND door.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
#[error("tls certificate in {dir}: {because}")]
pub struct TlsError {
    dir: String,
    because: String,
}

/// The door's identity: a self-signed certificate, made once and then kept, since lnd pins it.
///
/// Its private key lies in a file (mode 0600), not in the HSM: the door must answer "sealed" in words before the
/// token is open, because lnd takes silence for a reason to shut down. Who steals it can at most stand between lnd
/// and us and use lnd's macaroon, within policy.
pub struct Identity {
    /// The certificate as PEM, for lnd's `remotesigner.tlscertpath`.
    pub cert_pem: String,
    /// Settings of the listening side: TLS 1.2 and 1.3, ALPN h2.
    pub server: Arc<rustls::ServerConfig>,
}

impl Identity {
    /// Reads the certificate in `dir`, or makes one naming `hosts`.
    pub fn open(dir: &Path, hosts: &[String]) -> Result<Self, TlsError> {
        let wrong = |because: String| TlsError { dir: dir.display().to_string(), because };
        let (cert_path, key_path) = (dir.join("tls.cert"), dir.join("tls.key"));
        if !cert_path.exists() || !key_path.exists() {
            fs::create_dir_all(dir).map_err(|e| wrong(e.to_string()))?;
            let (cert, key) = make(hosts).map_err(|e| wrong(e.to_string()))?;
            write_private(&key_path, key.as_bytes()).map_err(|e| wrong(e.to_string()))?;
            write_private(&cert_path, cert.as_bytes()).map_err(|e| wrong(e.to_string()))?;
        }
        let cert_pem = fs::read_to_string(&cert_path).map_err(|e| wrong(e.to_string()))?;
        let certs = CertificateDer::pem_slice_iter(cert_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| wrong(e.to_string()))?;
        let key = PrivateKeyDer::from_pem_file(&key_path).map_err(|e| wrong(e.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(certs, key)
            .map_err(|e| wrong(e.to_string()))?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { cert_pem, server: Arc::new(server) })
    }
}

fn make(hosts: &[String]) -> Result<(String, String), rcgen::Error> {
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "strongroom signer");
    // lnd pins the certificate itself, so its end only forces a change of pin; ten years.
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::days(1);
    params.not_after = now + time::Duration::days(3650);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![
        rcgen::KeyUsagePurpose::DigitalSignature,
        rcgen::KeyUsagePurpose::KeyEncipherment,
        rcgen::KeyUsagePurpose::KeyCertSign,
    ];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let cert = params.self_signed(&key)?;
    Ok((cert.pem(), key.serialize_pem()))
}

/// Writes a file only its owner can read, whole or not at all, and durably.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    if let Some(dir) = path.parent() {
        fs::File::open(dir)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_made_once_and_then_kept() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let first = Identity::open(dir.path(), &hosts).expect("made");
        let second = Identity::open(dir.path(), &["other".to_owned()]).expect("read");
        assert_eq!(first.cert_pem, second.cert_pem);
    }

    #[test]
    fn the_private_key_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a temporary folder");
        Identity::open(dir.path(), &["localhost".to_owned()]).expect("made");
        let mode = fs::metadata(dir.path().join("tls.key")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
