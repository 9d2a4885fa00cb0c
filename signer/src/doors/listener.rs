//! Connections of the LND door: bounded, and none can be held against the others.
//!
//! A handshake has five seconds. A connection that has not authenticated within ten is closed. An address has its share
//! of the places, and a client its share of the authenticated ones. When an address, or the door, has no place left, its
//! oldest unauthenticated connection makes room; only when every place is an authenticated client's is a newcomer
//! turned away.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::config::Limits;
use crate::share::{Line, Share};

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

    /// From now on this connection is the client's that `share` is of, and is not closed to make room. False if that
    /// client has `limit` connections already.
    pub fn belongs_to(&self, share: &Arc<Share>, limit: usize) -> bool {
        if self.place.switch.authenticated.load(Ordering::Relaxed) {
            return true;
        }
        let Some(line) = share.connect(limit) else { return false };
        // A second first request at the same moment: the connection counts once.
        let _ = self.place.line.set(line);
        self.place.switch.authenticated.store(true, Ordering::Relaxed);
        true
    }
}

/// One connection's place in the register, given back when the connection is dropped.
struct Place {
    number: u64,
    address: IpAddr,
    switch: Arc<Switch>,
    register: Arc<Register>,
    line: OnceLock<Line>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.register.places().remove(self.number, self.address);
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

impl Holder {
    fn is_authenticated(&self) -> bool {
        match self {
            Holder::Handshake(_) => false,
            Holder::Open(switch) => switch.authenticated.load(Ordering::Relaxed),
        }
    }
}

/// All connections, oldest first, and which of them each address has.
#[derive(Default)]
struct Places {
    all: BTreeMap<u64, Holder>,
    of: HashMap<IpAddr, BTreeSet<u64>>,
}

impl Places {
    fn insert(&mut self, number: u64, address: IpAddr, holder: Holder) {
        self.all.insert(number, holder);
        self.of.entry(address).or_default().insert(number);
    }

    fn remove(&mut self, number: u64, address: IpAddr) -> Option<Holder> {
        if let Some(numbers) = self.of.get_mut(&address) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.of.remove(&address);
            }
        }
        self.all.remove(&number)
    }
}

/// The connections and how many there may be.
struct Register {
    places: Mutex<Places>,
    limit: usize,
    per_address: usize,
    next: AtomicU64,
}

impl Register {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more of `address`; if every place it could have is an authenticated client's, says which
    /// limit that is.
    fn make_room(&self, address: IpAddr) -> Result<(), &'static str> {
        let mut places = self.places();
        let waits = |number: &u64| places.all.get(number).is_some_and(|holder| !holder.is_authenticated());
        let own = places.of.get(&address);
        let (number, of) = if own.is_some_and(|own| own.len() >= self.per_address) {
            let oldest = own.and_then(|own| own.iter().copied().find(waits));
            (oldest.ok_or("limits.max_connections_per_address")?, address)
        } else if places.all.len() >= self.limit {
            let oldest = places.all.keys().copied().find(waits).ok_or("limits.max_connections")?;
            let of = places.of.iter().find(|(_, numbers)| numbers.contains(&oldest));
            (oldest, of.map_or(address, |(of, _)| *of))
        } else {
            return Ok(());
        };
        let freed = places.remove(number, of);
        drop(places);
        match freed {
            Some(Holder::Handshake(task)) => task.abort(),
            Some(Holder::Open(switch)) => switch.close(),
            None => {}
        }
        Ok(())
    }
}

/// What counts as one address: who has an IPv6 address has all of its /64.
fn neighbourhood(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        v4 => v4,
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
    /// No: HTTP/2 then keeps answers of up to 1 KiB together with their head and trailers, so that one record and one
    /// system call send all three.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

/// Accepts connections until the receiver is dropped; the stream is for tonic's `serve_with_incoming`.
pub fn accept(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    limits: &Limits,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, incoming) = mpsc::channel(64);
    let register = Arc::new(Register {
        places: Mutex::default(),
        limit: limits.max_connections,
        per_address: limits.max_connections_per_address,
        next: AtomicU64::new(0),
    });
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(tls);
        let (mut refused, mut told) = (0u64, None::<Instant>);
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
            if let Err(limit) = register.make_room(neighbourhood(address.ip())) {
                refused += 1;
                // A flood of connections must not become a flood of log lines.
                if told.is_none_or(|told| told.elapsed() >= Duration::from_secs(1)) {
                    tracing::warn!(peer = %address, limit, refused, "connections refused: all places taken");
                    (refused, told) = (0, Some(Instant::now()));
                }
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
    let (number, own) = (register.next.fetch_add(1, Ordering::Relaxed), neighbourhood(address.ip()));
    let place = Arc::new(Place {
        number,
        address: own,
        switch: Arc::default(),
        register: register.clone(),
        line: OnceLock::new(),
    });
    let (acceptor, ready, register_) = (acceptor.clone(), ready.clone(), register.clone());
    // The register is locked until the handshake's handle is in it, so that the task cannot overtake it.
    let mut places = register.places();
    let task = tokio::spawn(async move {
        let _ = tcp.set_nodelay(true);
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(tcp)).await else {
            return;
        };
        match register_.places().all.get_mut(&number) {
            Some(holder) => *holder = Holder::Open(place.switch.clone()),
            // Made room at this very moment.
            None => return,
        }
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
    places.insert(number, own, Holder::Handshake(task.abort_handle()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(limit: usize, per_address: usize) -> Arc<Register> {
        Arc::new(Register { places: Mutex::default(), limit, per_address, next: AtomicU64::new(0) })
    }

    /// An open connection from 10.0.0.`last`, as the register sees it.
    fn open(register: &Register, number: u64, last: u8, authenticated: bool) -> Arc<Switch> {
        let switch = Arc::new(Switch::default());
        switch.authenticated.store(authenticated, Ordering::Relaxed);
        register.places().insert(number, ip(last), Holder::Open(switch.clone()));
        switch
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn closed(switch: &Switch) -> bool {
        switch.closing.load(Ordering::Relaxed)
    }

    #[test]
    fn an_address_at_its_share_makes_room_among_its_own() {
        let register = register(10, 2);
        let other = open(&register, 0, 9, false);
        let client = open(&register, 1, 1, true);
        let idle = open(&register, 2, 1, false);
        assert_eq!(register.make_room(ip(1)), Ok(()));
        assert!(closed(&idle) && !closed(&client) && !closed(&other));
        open(&register, 3, 1, true);
        assert_eq!(register.make_room(ip(1)), Err("limits.max_connections_per_address"));
        assert_eq!(register.make_room(ip(2)), Ok(()));
        assert!(!closed(&other));
    }

    #[test]
    fn a_full_door_closes_the_oldest_stranger_and_no_client() {
        let register = register(2, 2);
        let client = open(&register, 0, 1, true);
        let stranger = open(&register, 1, 2, false);
        assert_eq!(register.make_room(ip(3)), Ok(()));
        assert!(closed(&stranger) && !closed(&client));
        assert!(!register.places().of.contains_key(&ip(2)));
        open(&register, 2, 3, true);
        assert_eq!(register.make_room(ip(4)), Err("limits.max_connections"));
    }

    #[test]
    fn a_slash_64_is_one_address() {
        let parse = |text: &str| neighbourhood(text.parse().expect("an address"));
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:2"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), ip(1));
        assert_ne!(parse("10.0.0.1"), parse("10.0.0.2"));
    }
}
