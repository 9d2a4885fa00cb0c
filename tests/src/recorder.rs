//! A gRPC go-between: lnd on one side, its signer on the other, every call written down.
//!
//! Works on bytes, so it knows no contract: TLS on both sides, metadata passed through.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::grpc::{Channel, frame};
use crate::lnd::SignerEndpoint;

/// One recorded call: a line of a `.jsonl.gz` file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// Order in which the requests came, from 0 over all phases.
    pub seq: u64,
    /// Milliseconds since the recording began.
    pub ms: u64,
    /// `/package.Service/Method`.
    pub method: String,
    /// gRPC status code of the answer.
    pub code: u32,
    /// Request message, hex.
    pub req: String,
    /// Response message, hex.
    pub resp: String,
}

/// A running recorder.
pub struct Recorder {
    endpoint: SignerEndpoint,
    shared: Arc<Shared>,
    // Dropping the runtime ends every connection.
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    upstream: SignerEndpoint,
    began: Instant,
    calls: Mutex<Recorded>,
}

#[derive(Default)]
struct Recorded {
    next_seq: u64,
    phase: Vec<Call>,
}

impl Recorder {
    /// Listens on loopback in front of `upstream`; its certificate is written to `dir`.
    pub fn start(upstream: SignerEndpoint, dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (acceptor, tls_cert) = server_tls(dir)?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let endpoint = SignerEndpoint {
            address: listener.local_addr()?.to_string(),
            tls_cert,
            macaroon: upstream.macaroon.clone(),
        };
        let shared = Arc::new(Shared { upstream, began: Instant::now(), calls: Mutex::default() });
        let accepting = shared.clone();
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), accepting.clone());
                tokio::spawn(async move {
                    // lnd's health check is a TLS connection without a call: it ends in an error.
                    let _ = serve(tcp, acceptor, shared).await;
                });
            }
        });
        Ok(Self { endpoint, shared, _runtime: runtime })
    }

    /// Where lnd is to connect.
    pub fn endpoint(&self) -> SignerEndpoint {
        self.endpoint.clone()
    }

    /// Takes the calls since the last phase ended, in the order their requests came.
    pub fn take_phase(&self) -> Result<Vec<Call>> {
        let mut recorded = self.shared.calls.lock().map_err(|_| anyhow!("recorder panicked"))?;
        let mut calls = std::mem::take(&mut recorded.phase);
        calls.sort_by_key(|c| c.seq);
        Ok(calls)
    }
}

/// Writes calls as gzipped JSON lines.
pub fn write_calls(path: &Path, calls: &[Call]) -> Result<()> {
    let mut out = GzEncoder::new(
        File::create(path).with_context(|| format!("create {}", path.display()))?,
        Compression::best(),
    );
    for call in calls {
        serde_json::to_writer(&mut out, call)?;
        out.write_all(b"\n")?;
    }
    out.finish()?;
    Ok(())
}

/// Reads what [`write_calls`] wrote.
pub fn read_calls(path: &Path) -> Result<Vec<Call>> {
    use std::io::{BufRead, BufReader};
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    BufReader::new(flate2::read::GzDecoder::new(file))
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect()
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) -> Result<()> {
    tcp.set_nodelay(true)?;
    let tls = acceptor.accept(tcp).await?;
    let mut connection = h2::server::handshake(tls).await?;
    // One upstream connection for each of lnd's, opened with the first call.
    let upstream: Arc<tokio::sync::OnceCell<Channel>> = Arc::default();
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        let (shared, upstream) = (shared.clone(), upstream.clone());
        tokio::spawn(async move {
            // A failed call resets its stream; lnd sees that as an error of the signer.
            let _ = pass_on(request, respond, &shared, &upstream).await;
        });
    }
    Ok(())
}

async fn pass_on(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    shared: &Shared,
    upstream: &tokio::sync::OnceCell<Channel>,
) -> Result<()> {
    let (seq, ms) = {
        let mut recorded = shared.calls.lock().map_err(|_| anyhow!("recorder panicked"))?;
        recorded.next_seq += 1;
        (recorded.next_seq - 1, shared.began.elapsed().as_millis() as u64)
    };
    let (head, mut stream) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk?;
        stream.flow_control().release_capacity(chunk.len())?;
        body.put(chunk);
    }
    let body = body.freeze();
    let mut metadata = HeaderMap::new();
    if let Some(macaroon) = head.headers.get("macaroon") {
        metadata.insert("macaroon", macaroon.clone());
    }
    let channel = upstream
        .get_or_try_init(|| Channel::connect(&shared.upstream.address, &shared.upstream.tls_cert, None))
        .await?;
    let method = head.uri.path().to_owned();
    let answer = channel.call_with(&method, metadata, body.clone()).await?;

    let response = Response::builder().header("content-type", "application/grpc").body(())?;
    let mut out = respond.send_response(response, false)?;
    if answer.code == 0 {
        out.send_data(frame(&answer.body), false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", answer.code.into());
    if !answer.message.is_empty() {
        let printable: String =
            answer.message.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        trailers.insert("grpc-message", printable.parse()?);
    }
    out.send_trailers(trailers)?;

    let call = Call {
        seq,
        ms,
        method,
        code: answer.code,
        req: hex::encode(body.get(5..).unwrap_or_default()),
        resp: hex::encode(&answer.body),
    };
    shared.calls.lock().map_err(|_| anyhow!("recorder panicked"))?.phase.push(call);
    Ok(())
}

fn server_tls(dir: &Path) -> Result<(TlsAcceptor, PathBuf)> {
    let issued = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into(), "localhost".into()])?;
    let path = dir.join("recorder.cert");
    std::fs::write(&path, issued.cert.pem())?;
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der())
        .map_err(|error| anyhow!("recorder key: {error}"))?;
    let chain: Vec<CertificateDer<'static>> = vec![issued.cert.der().clone()];
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), path))
}
