//! The way to a gRPC door: TLS to one certificate and no other, and a macaroon with every call.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::config::{Place, certificate};

/// A door, opened when it is first used and again when it was closed.
pub type Door = InterceptedService<Channel, WithMacaroon>;

/// The way to `place`.
pub fn door(place: &Place) -> Door {
    let (address, tls_cert) = (place.address.clone(), place.tls_cert.clone());
    // The scheme is the connector's business; lnd and the signer look at neither it nor the name.
    let endpoint = Endpoint::from_static("http://door")
        .connect_timeout(Duration::from_secs(5))
        .initial_connection_window_size(16 << 20)
        .initial_stream_window_size(16 << 20)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let channel = endpoint
        .connect_with_connector_lazy(tower::service_fn(move |_| open(address.clone(), tls_cert.clone())));
    InterceptedService::new(channel, WithMacaroon(place.macaroon.clone()))
}

async fn open(address: String, tls_cert: PathBuf) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let pinned = certificate(&tls_cert).map_err(io::Error::other)?;
    let stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let host = address.rsplit_once(':').map_or(&*address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let tls = TlsConnector::from(Arc::new(client(pinned)?)).connect(name, stream).await?;
    Ok(TokioIo::new(tls))
}

fn client(pinned: CertificateDer<'static>) -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Pinned { pinned, provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Takes one certificate. lnd signs its own and calls it an authority's, which the usual checks do not take.
#[derive(Debug)]
struct Pinned {
    pinned: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.pinned {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General("the certificate is another than the one in the configured file".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Adds the macaroon to a call.
#[derive(Clone)]
pub struct WithMacaroon(MetadataValue<Ascii>);

impl Interceptor for WithMacaroon {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("macaroon", self.0.clone());
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_certificate_is_not_taken() {
        let (ours, other) = (CertificateDer::from(vec![1, 2, 3]), CertificateDer::from(vec![1, 2, 4]));
        let verifier = Pinned { pinned: ours.clone(), provider: Arc::new(ring::default_provider()) };
        let name = ServerName::try_from("localhost").expect("a name");
        let check = |shown| {
            verifier.verify_server_cert(shown, &[], &name, &[], UnixTime::since_unix_epoch(Duration::ZERO))
        };
        assert!(check(&other).is_err());
        assert!(check(&ours).is_ok());
    }
}
