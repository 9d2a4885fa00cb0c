//! Connections of the LND door: bounded, and none can be held against the others.
//!
//! A handshake has five seconds. A connection that has not authenticated within ten is closed. When all places are
//! taken the oldest unauthenticated connection makes room; only when every place is taken by an authenticated
//! client is a newcomer turned away.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

const HANDSHAKE: Duration = Duration::from_secs(5);
const UNAUTHENTICATED: Duration = Duration::from_secs(10);

/// What a handler sees of the connection it answers.
#[derive(Clone)]
pub struct Peer {
    address: SocketAddr,
    place: Arc<Place>,
}

impl Peer {
    /// The peer's address.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// From now on this connection is a client's, and is not closed to make room.
    pub fn authenticated(&self) {
        self.place.switch.authenticated.store(true, Ordering::Relaxed);
    }
}

/// One connection's place in the register, given back when the connection is dropped.
struct Place {
    number: u64,
    switch: Arc<Switch>,
    register: Arc<Register>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.register.places.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// Whether a connection is a client's, and the means to end it from outside.
#[derive(Default)]
struct Switch {
    authenticated: AtomicBool,
    closing: AtomicBool,
    waker: Mutex<Option<std::task::Waker>>,
}

impl Switch {
    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// How a place is freed: abort a handshake, or end an open stream.
enum Holder {
    Handshake(AbortHandle),
    Open(Arc<Switch>),
}

/// All connections, oldest first.
struct Register {
    places: Mutex<BTreeMap<u64, Holder>>,
    limit: usize,
    next: AtomicU64,
}

impl Register {
    /// Makes room for one more; false when every place is an authenticated client's.
    fn make_room(&self) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() < self.limit {
            return true;
        }
        let oldest = places.iter().find_map(|(number, holder)| match holder {
            Holder::Handshake(_) => Some(*number),
            Holder::Open(switch) => (!switch.authenticated.load(Ordering::Relaxed)).then_some(*number),
        });
        let freed = oldest.and_then(|number| places.remove(&number));
        drop(places);
        match freed {
            None => return false,
            Some(Holder::Handshake(task)) => task.abort(),
            Some(Holder::Open(switch)) => switch.close(),
        }
        true
    }
}

/// A TLS connection with its place.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
}

impl Connected for Connection {
    type ConnectInfo = Peer;
    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let switch = &self.peer.place.switch;
        if switch.closing.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if !switch.authenticated.load(Ordering::Relaxed) {
            *switch.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Accepts connections until the receiver is dropped; the stream is for tonic's `serve_with_incoming`.
pub fn accept(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    max_connections: usize,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, incoming) = mpsc::channel(64);
    let register =
        Arc::new(Register { places: Mutex::default(), limit: max_connections, next: AtomicU64::new(0) });
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(tls);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let (tcp, address) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Out of file descriptors, most likely: wait for some to come back rather than spin.
                    tracing::warn!(error = %e, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            if !register.make_room() {
                tracing::warn!(peer = %address, limit = max_connections, "connection refused: all places taken");
                continue;
            }
            admit(&register, &acceptor, &ready, tcp, address);
        }
    });
    ReceiverStream::new(incoming)
}

fn admit(
    register: &Arc<Register>,
    acceptor: &TlsAcceptor,
    ready: &mpsc::Sender<io::Result<Connection>>,
    tcp: TcpStream,
    address: SocketAddr,
) {
    let number = register.next.fetch_add(1, Ordering::Relaxed);
    let place = Arc::new(Place { number, switch: Arc::default(), register: register.clone() });
    let (acceptor, ready, register_) = (acceptor.clone(), ready.clone(), register.clone());
    // The register is locked until the handshake's handle is in it, so that the task cannot overtake it.
    let mut places = register.places.lock().unwrap_or_else(PoisonError::into_inner);
    let task = tokio::spawn(async move {
        let _ = tcp.set_nodelay(true);
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(tcp)).await else {
            return;
        };
        register_
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, Holder::Open(place.switch.clone()));
        let switch = place.switch.clone();
        tokio::spawn(async move {
            tokio::time::sleep(UNAUTHENTICATED).await;
            if !switch.authenticated.load(Ordering::Relaxed) {
                switch.close();
            }
        });
        let connection = Connection { stream, peer: Peer { address, place } };
        let _ = ready.send(Ok(connection)).await;
    });
    places.insert(number, Holder::Handshake(task.abort_handle()));
}
