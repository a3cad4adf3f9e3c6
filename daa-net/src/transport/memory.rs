//! Nodes in one process.

mod wire;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use multiaddr::{Multiaddr, Protocol as Part};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::bandwidth::{Bandwidth, Meters};
use super::session::Live;
use super::{ConnectError, Transport, TransportError, TransportEvent};
use crate::auth::{Auth, Ends};
use crate::node_id::NodeId;
use crate::stream::{Carrier, PeerStream, Protocol, StreamError, StreamOptions};
use wire::Wire;

/// How many events wait to be taken.
const EVENTS: usize = 256;
const CONNECT: Duration = Duration::from_secs(20);

/// A network of nodes in one process, for tests and for agents that live together.
///
/// The handshake and the seals are those of the internet; only what carries the bytes is memory. Addresses are
/// `/memory/NUMBER`.
///
/// ```
/// use std::sync::Arc;
///
/// use daa_crypto::{CryptoSuite, SignatureAlgorithm};
/// use daa_net::auth::Auth;
/// use daa_net::stream::{Protocol, StreamOptions};
/// use daa_net::transport::{MemoryNetwork, Transport, TransportEvent};
/// use daa_net::NodeIdentity;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let suite = CryptoSuite::new();
/// let node = || -> Result<Auth, Box<dyn std::error::Error>> {
///     let key = suite.generate_signing_key(SignatureAlgorithm::MlDsa65)?;
///     Ok(Auth::new(suite.clone(), NodeIdentity::new(Arc::new(key))?, "example".parse()?))
/// };
/// let network = MemoryNetwork::new();
/// let (alice, bob) = (network.join(node()?), network.join(node()?));
///
/// alice.connect(Some(bob.node()), &bob.addresses()).await?;
/// let mut stream = alice.open(bob.node(), Protocol::new("/hello/1"), StreamOptions::default()).await?;
/// stream.write_all(b"hello bob").await?;
/// stream.shutdown().await?;
///
/// while let Some(event) = bob.next().await {
///     if let TransportEvent::Stream(mut stream) = event {
///         let mut text = String::new();
///         stream.read_to_string(&mut text).await?;
///         assert_eq!((stream.peer(), text.as_str()), (alice.node(), "hello bob"));
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How long bytes travel.
    delay: Duration,
    next: AtomicU64,
    places: Mutex<HashMap<u64, mpsc::Sender<Call>>>,
}

/// Somebody who wants a connection.
struct Call {
    handshake: Wire,
    streams: mpsc::Sender<Wire>,
    theirs: mpsc::Receiver<Wire>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Call")
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryNetwork {
    /// A network without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A network without nodes, in which bytes travel for so long from one node to another.
    #[must_use]
    pub fn with_delay(delay: Duration) -> Self {
        Self { shared: Arc::new(Shared { delay, ..Shared::default() }) }
    }

    /// A node of the network. It listens at once. Runs within a tokio runtime.
    #[must_use]
    pub fn join(&self, auth: Auth) -> MemoryTransport {
        self.join_with(auth, Bandwidth::unlimited())
    }

    /// A node of the network that keeps to limits.
    #[must_use]
    pub fn join_with(&self, auth: Auth, bandwidth: Bandwidth) -> MemoryTransport {
        let place = self.shared.next.fetch_add(1, Ordering::Relaxed) + 1;
        let (calls, mut called) = mpsc::channel(16);
        locked(&self.shared.places).insert(place, calls);
        let (events, happened) = mpsc::channel(EVENTS);
        let inner = Arc::new(Inner {
            auth,
            meters: Meters::new(bandwidth),
            place,
            network: self.shared.clone(),
            events,
            peers: Mutex::default(),
            next: AtomicU64::new(0),
        });
        let listener = Arc::downgrade(&inner);
        tokio::spawn(async move {
            while let Some(call) = called.recv().await {
                let Some(inner) = listener.upgrade() else { break };
                tokio::spawn(async move {
                    let Call { mut handshake, streams, theirs } = call;
                    let ends = Ends { ours: b"", theirs: b"" };
                    if let Ok(session) = inner.auth.respond_over(&mut handshake, ends).await {
                        inner.connected(&session, streams, theirs, handshake).await;
                    }
                });
            }
        });
        MemoryTransport { inner, happened: AsyncMutex::new(happened), closed: CancellationToken::new() }
    }
}

/// A node of a [`MemoryNetwork`].
#[derive(Debug)]
pub struct MemoryTransport {
    inner: Arc<Inner>,
    happened: AsyncMutex<mpsc::Receiver<TransportEvent>>,
    closed: CancellationToken,
}

#[derive(Debug)]
struct Inner {
    auth: Auth,
    meters: Meters,
    place: u64,
    network: Arc<Shared>,
    events: mpsc::Sender<TransportEvent>,
    peers: Mutex<HashMap<NodeId, Vec<Connection>>>,
    next: AtomicU64,
}

#[derive(Clone, Debug)]
struct Connection {
    number: u64,
    live: Live,
    streams: mpsc::Sender<Wire>,
    ended: CancellationToken,
}

/// A stream that ends with its connection.
struct Cut {
    stream: Wire,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Cut {
    fn new(stream: Wire, ended: &CancellationToken) -> Self {
        Self { stream, ended: Box::pin(ended.clone().cancelled_owned()) }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.ended.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The connection of some streams.
#[derive(Debug)]
struct Line(CancellationToken);

impl Carrier for Line {
    fn condemn(&self, _: StreamError) {
        self.0.cancel();
    }
}

impl Inner {
    async fn connected(
        self: &Arc<Self>,
        session: &crate::auth::Session,
        streams: mpsc::Sender<Wire>,
        mut theirs: mpsc::Receiver<Wire>,
        line: Wire,
    ) {
        let ended = CancellationToken::new();
        let live = Live::new(session, Arc::new(Line(ended.clone())), self.meters.of_connection());
        let peer = live.peer();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Connection { number, live: live.clone(), streams, ended: ended.clone() };
        let is_first = {
            let mut peers = locked(&self.peers);
            let connections = peers.entry(peer).or_default();
            connections.push(connection);
            connections.len() == 1
        };
        if is_first {
            let _ = self.events.send(TransportEvent::Connected(peer)).await;
        }
        let inner = Arc::downgrade(self);
        let events = self.events.clone();
        tokio::spawn(async move {
            let (mut line, _keep) = tokio::io::split(line);
            loop {
                let mut nothing = [0; 1];
                let stream = tokio::select! {
                    stream = theirs.recv() => stream,
                    // The other side has ended it.
                    _ = line.read(&mut nothing) => None,
                    () = ended.cancelled() => None,
                };
                let Some(stream) = stream else { break };
                let stream = Cut::new(stream, &ended);
                let (live, events) = (live.clone(), events.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = live.accept(Box::new(stream)).await {
                        let _ = events.send(TransportEvent::Stream(stream)).await;
                    }
                });
            }
            ended.cancel();
            let Some(inner) = inner.upgrade() else { return };
            let is_last = {
                let mut peers = locked(&inner.peers);
                let left = peers.get_mut(&peer).is_some_and(|connections| {
                    connections.retain(|connection| connection.number != number);
                    !connections.is_empty()
                });
                if !left {
                    peers.remove(&peer);
                }
                !left
            };
            if is_last {
                let _ = inner.events.send(TransportEvent::Disconnected(peer)).await;
            }
        });
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn node(&self) -> NodeId {
        self.inner.auth.node()
    }

    fn addresses(&self) -> Vec<Multiaddr> {
        if self.closed.is_cancelled() {
            return Vec::new();
        }
        vec![Multiaddr::empty().with(Part::Memory(self.inner.place))]
    }

    fn peers(&self) -> Vec<NodeId> {
        locked(&self.inner.peers).keys().copied().collect()
    }

    fn address_of(&self, _: &NodeId) -> Option<Multiaddr> {
        None
    }

    async fn connect(&self, node: Option<NodeId>, addresses: &[Multiaddr]) -> Result<NodeId, ConnectError> {
        if node == Some(self.node()) {
            return Err(ConnectError::Itself);
        }
        if let Some(node) = node.filter(|node| locked(&self.inner.peers).contains_key(node)) {
            return Ok(node);
        }
        let mut last = ConnectError::NoAddress;
        for address in addresses {
            let Some(Part::Memory(place)) = address.iter().next() else { continue };
            let called = locked(&self.inner.network.places).get(&place).cloned();
            let (mut ours, theirs) = Wire::new(self.inner.network.delay);
            let ((to_them, from_us), (to_us, from_them)) = (mpsc::channel(16), mpsc::channel(16));
            let call = Call { handshake: theirs, streams: to_us, theirs: from_us };
            let connect = async {
                let called =
                    called.ok_or_else(|| ConnectError::Unreachable(format!("nobody is at {address}")))?;
                called
                    .send(call)
                    .await
                    .map_err(|_| ConnectError::Unreachable(format!("nobody is at {address}")))?;
                let ends = Ends { ours: b"", theirs: b"" };
                self.inner.auth.initiate_over(&mut ours, ends, node).await.map_err(ConnectError::Handshake)
            };
            match tokio::time::timeout(CONNECT, connect).await {
                Ok(Ok(session)) => {
                    let peer = session.peer();
                    self.inner.connected(&session, to_them, from_them, ours).await;
                    return Ok(peer);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = ConnectError::TimedOut,
            }
        }
        Err(last)
    }

    async fn open(
        &self,
        node: NodeId,
        protocol: Protocol,
        options: StreamOptions,
    ) -> Result<PeerStream, TransportError> {
        let connection =
            locked(&self.inner.peers).get(&node).and_then(|connections| connections.first()).cloned();
        let Connection { live, streams, ended, .. } =
            connection.ok_or(TransportError::NotConnected { node })?;
        let place = live.place().ok_or(TransportError::Busy { node })?;
        let (ours, theirs) = Wire::new(self.inner.network.delay);
        streams.send(theirs).await.map_err(|_| TransportError::NotConnected { node })?;
        live.open(Box::new(Cut::new(ours, &ended)), place, protocol, options).map_err(TransportError::Lost)
    }

    async fn disconnect(&self, node: NodeId) {
        let connections = locked(&self.inner.peers).get(&node).cloned().unwrap_or_default();
        for connection in connections {
            connection.ended.cancel();
        }
    }

    async fn next(&self) -> Option<TransportEvent> {
        let next = async { self.happened.lock().await.recv().await };
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            event = next => event,
        }
    }

    async fn close(&self) {
        self.closed.cancel();
        locked(&self.inner.network.places).remove(&self.inner.place);
        for node in self.peers() {
            self.disconnect(node).await;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        locked(&self.network.places).remove(&self.place);
        for connection in locked(&self.peers).values().flatten() {
            connection.ended.cancel();
        }
    }
}
