//! A small unary gRPC client over HTTP/2: raw message bytes, a pinned certificate, a macaroon.
//!
//! Kept this small so that, when measuring, the client costs little of the two ends' time, and so
//! that recorded bytes go out exactly as they came in.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::{BufMut, Bytes, BytesMut};
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Method, Request, Uri};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::lnd::SignerEndpoint;

/// gRPC status OK.
pub const OK: u32 = 0;
/// gRPC status INVALID_ARGUMENT.
pub const INVALID_ARGUMENT: u32 = 3;
/// gRPC status PERMISSION_DENIED.
pub const PERMISSION_DENIED: u32 = 7;
/// gRPC status UNAUTHENTICATED.
pub const UNAUTHENTICATED: u32 = 16;

/// What a unary call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// gRPC status code.
    pub code: u32,
    /// gRPC status message.
    pub message: String,
    /// The response message, empty unless `code` is 0.
    pub body: Bytes,
}

/// One HTTP/2 connection to a gRPC server.
#[derive(Clone)]
pub struct Channel {
    requests: SendRequest<Bytes>,
    authority: String,
    macaroon: Option<String>,
}

impl Channel {
    /// Connects to a signer as lnd does: certificate pinned, macaroon on every call.
    pub async fn to_signer(signer: &SignerEndpoint) -> Result<Self> {
        let macaroon =
            std::fs::read(&signer.macaroon).with_context(|| format!("read {}", signer.macaroon.display()))?;
        Self::connect(&signer.address, &signer.tls_cert, Some(hex::encode(macaroon))).await
    }

    /// Connects to `address`, accepting exactly the certificate in `pinned`.
    pub async fn connect(address: &str, pinned: &Path, macaroon: Option<String>) -> Result<Self> {
        let socket: SocketAddr = address.parse().with_context(|| format!("address {address:?}"))?;
        let tcp = TcpStream::connect(socket).await.with_context(|| format!("connect {address}"))?;
        Self::over(tcp, address, pinned, macaroon).await
    }

    /// The same over a connection that stands already.
    pub async fn over(
        tcp: TcpStream,
        address: &str,
        pinned: &Path,
        macaroon: Option<String>,
    ) -> Result<Self> {
        let socket: SocketAddr = address.parse().with_context(|| format!("address {address:?}"))?;
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(Arc::new(pinned_client(pinned)?))
            .connect(ServerName::from(socket.ip()), tcp)
            .await
            .with_context(|| format!("TLS to {address}"))?;
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .handshake(tls)
            .await?;
        tokio::spawn(async move {
            // When it ends, calls on this channel fail and say so.
            let _ = connection.await;
        });
        Ok(Self { requests, authority: address.to_owned(), macaroon })
    }

    /// Calls `method` (`/package.Service/Method`) with an encoded request.
    pub async fn call(&self, method: &str, request: &[u8]) -> Result<Answer> {
        self.call_framed(method, frame(request)).await
    }

    /// [`Self::call`] with the gRPC head already before the request.
    pub async fn call_framed(&self, method: &str, framed: Bytes) -> Result<Answer> {
        let mut headers = HeaderMap::new();
        if let Some(macaroon) = &self.macaroon {
            headers.insert("macaroon", macaroon.parse()?);
        }
        self.call_with(method, headers, framed).await
    }

    /// Starts a call whose body never ends: sends `started`, and waits for what comes. `metadata` goes with the macaroon.
    pub async fn call_endless(&self, method: &str, metadata: HeaderMap, started: Bytes) -> Result<Answer> {
        let mut headers = metadata;
        if let Some(macaroon) = &self.macaroon {
            headers.insert("macaroon", macaroon.parse()?);
        }
        self.exchange(method, headers, started, false).await
    }

    /// Opens a call that streams both ways: where messages go, and what will bring the answer's.
    pub async fn stream(&self, method: &str) -> Result<(SendStream<Bytes>, ResponseFuture)> {
        let mut headers = HeaderMap::new();
        if let Some(macaroon) = &self.macaroon {
            headers.insert("macaroon", macaroon.parse()?);
        }
        let request = self.head(method, headers)?;
        let (response, body) = self.requests.clone().ready().await?.send_request(request, false)?;
        Ok((body, response))
    }

    /// Calls `method` with given metadata and a body that is already framed (5-byte prefix).
    pub async fn call_with(&self, method: &str, metadata: HeaderMap, framed: Bytes) -> Result<Answer> {
        self.exchange(method, metadata, framed, true).await
    }

    fn head(&self, method: &str, metadata: HeaderMap) -> Result<Request<()>> {
        let uri = Uri::builder()
            .scheme("https")
            .authority(self.authority.as_str())
            .path_and_query(method)
            .build()?;
        let mut request = Request::builder().method(Method::POST).uri(uri).body(())?;
        let headers = request.headers_mut();
        *headers = metadata;
        headers.insert("content-type", "application/grpc".parse()?);
        headers.insert("te", "trailers".parse()?);
        Ok(request)
    }

    async fn exchange(&self, method: &str, metadata: HeaderMap, framed: Bytes, end: bool) -> Result<Answer> {
        let request = self.head(method, metadata)?;
        let mut ready = self.requests.clone().ready().await?;
        let (response, mut body) = ready.send_request(request, false)?;
        // A server may answer, and close the stream, before it has the body.
        let sent = body.send_data(framed, end);
        let (head, mut stream) = match response.await {
            Ok(response) => response.into_parts(),
            Err(error) => return Err(sent.err().unwrap_or(error).into()),
        };
        // An error comes in the head, and nothing after it: the server may have given up on our body by then.
        if let Some(code) = head.headers.get("grpc-status").filter(|code| *code != "0") {
            let message = head.headers.get("grpc-message").map(|m| percent_decode(m.as_bytes()));
            let code = code.to_str()?.parse()?;
            return Ok(Answer { code, message: message.unwrap_or_default(), body: Bytes::new() });
        }
        let mut received = BytesMut::new();
        while let Some(chunk) = stream.data().await {
            let chunk = chunk?;
            stream.flow_control().release_capacity(chunk.len())?;
            received.put(chunk);
        }
        let trailers = stream.trailers().await?.unwrap_or_default();
        let status = |key| trailers.get(key).or_else(|| head.headers.get(key));
        let code = status("grpc-status")
            .with_context(|| format!("{method}: HTTP {} without a grpc-status", head.status))?
            .to_str()?
            .parse()?;
        let message = status("grpc-message").map(|m| percent_decode(m.as_bytes())).unwrap_or_default();
        Ok(Answer { code, message, body: unframe(received.freeze())? })
    }
}

/// Prefixes a gRPC message with its five-byte head.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

/// The single message of a gRPC body; empty if there is none.
pub fn unframe(mut body: Bytes) -> Result<Bytes> {
    if body.is_empty() {
        return Ok(body);
    }
    if body.len() < 5 || body[0] != 0 {
        bail!("gRPC body of {} bytes: compressed or cut short", body.len());
    }
    Ok(body.split_off(5))
}

/// gRPC messages percent-encode what is not printable ASCII.
fn percent_decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2).and_then(|h| hex::decode(h).ok())).flatten();
        match escaped {
            Some(byte) => {
                out.extend(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A TLS client that trusts exactly the certificate in the PEM file `pinned`, as lnd's client does
/// for a remote signer.
pub fn pinned_client(pinned: &Path) -> Result<ClientConfig> {
    let certificate = CertificateDer::from_pem_file(pinned)
        .with_context(|| format!("read certificate {}", pinned.display()))?;
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned {
            certificate: certificate.into_owned(),
            provider,
        }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// lnd's certificates are their own CA, which webpki does not take for a server's: compare bytes.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if end_entity.as_ref() == self.certificate.as_ref() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("not the pinned certificate".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
