//! Nodes over the internet: QUIC, TCP and WebSocket, through relays and around NATs, by libp2p.
//!
//! A peer may identify itself and ping, as any libp2p node does. Everything else, relaying and hole punching included, waits
//! until it has proved the key of its node with the handshake of [`auth`](crate::auth), in this connection.

mod candidates;
mod gate;
mod handler;
mod limits;
mod offer;
mod options;
mod peers;
mod quic;
mod relays;
mod swarm;
mod tls;
mod whereabouts;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use multiaddr::Multiaddr;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{ConnectError, Transport, TransportError, TransportEvent};
use crate::auth::Auth;
use crate::node_id::NodeId;
use crate::stream::{PeerStream, Protocol, StreamOptions};
use handler::Ask;
use peers::Table;
use swarm::Command;
use whereabouts::Whereabouts;

pub use limits::ConnectionLimits;
pub use options::{Libp2pOptions, RelayLimits};
pub use whereabouts::Reachability;

/// How many streams of peers wait to be taken.
const STREAMS: usize = 256;
/// How many commands wait.
const COMMANDS: usize = 64;
/// How long a connection may take, the handshake included.
const CONNECT: Duration = Duration::from_secs(30);

/// A node on the internet.
///
/// All of its work is done in tasks of the tokio runtime that it was made in; to drop it is to end them.
#[derive(Debug)]
pub struct Libp2pTransport {
    node: NodeId,
    table: Table,
    commands: mpsc::Sender<Command>,
    whereabouts: Arc<Mutex<Whereabouts>>,
    events: AsyncMutex<Inbox>,
    /// The task has ended.
    closed: CancellationToken,
}

#[derive(Debug)]
struct Inbox {
    events: mpsc::UnboundedReceiver<TransportEvent>,
    streams: mpsc::Receiver<PeerStream>,
}

impl Libp2pTransport {
    /// Listens, and waits for who calls. Its libp2p identity is made anew: the node is known by its own key.
    ///
    /// # Errors
    /// [`TransportError::Listen`], [`TransportError::Setup`].
    ///
    /// # Cancel safety
    /// Then nothing listens.
    pub async fn start(auth: Auth, options: Libp2pOptions) -> Result<Self, TransportError> {
        let node = auth.node();
        let (events, happened) = mpsc::unbounded_channel();
        let (streams, came) = mpsc::channel(STREAMS);
        let (commands, commanded) = mpsc::channel(COMMANDS);
        let table = Table::new(events);
        let whereabouts = Arc::default();
        let closed = CancellationToken::new();
        let ends = closed.clone().drop_guard();
        swarm::start(auth, options, table.clone(), streams, (commanded, ends), Arc::clone(&whereabouts))
            .await?;
        let events = AsyncMutex::new(Inbox { events: happened, streams: came });
        Ok(Self { node, table, commands, whereabouts, events, closed })
    }

    /// Asks a connected node to relay for this one, which may then be reached through it. That it is reachable is told by
    /// [`TransportEvent::AddressesChanged`].
    ///
    /// # Errors
    /// [`TransportError::NotConnected`], [`TransportError::Listen`] when it has no address that can be used, or refuses.
    ///
    /// # Cancel safety
    /// What was begun goes on by itself.
    pub async fn listen_through(&self, relay: NodeId) -> Result<(), TransportError> {
        let (reply, done) = oneshot::channel();
        self.command(Command::ListenThrough { relay, reply }).await?;
        done.await.map_err(|_| TransportError::Closed)?
    }

    /// Whether others can call this node. Nodes that are connected try it when they are asked (AutoNAT), which begins a few seconds after the
    /// first one is; a node that is not public is reached through [relays](Libp2pOptions::through_relays).
    #[must_use]
    pub fn reachability(&self) -> Reachability {
        self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner).reachability
    }

    async fn command(&self, command: Command) -> Result<(), TransportError> {
        self.commands.send(command).await.map_err(|_| TransportError::Closed)
    }
}

#[async_trait]
impl Transport for Libp2pTransport {
    fn node(&self) -> NodeId {
        self.node
    }

    fn addresses(&self) -> Vec<Multiaddr> {
        self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner).addresses.clone()
    }

    fn peers(&self) -> Vec<NodeId> {
        self.table.nodes().keys().copied().collect()
    }

    fn address_of(&self, node: &NodeId) -> Option<Multiaddr> {
        self.table.best(node).map(|link| link.address)
    }

    async fn connect(&self, node: Option<NodeId>, addresses: &[Multiaddr]) -> Result<NodeId, ConnectError> {
        if node == Some(self.node) {
            return Err(ConnectError::Itself);
        }
        let (reply, connected) = oneshot::channel();
        let command = Command::Connect { node, addresses: addresses.to_vec(), reply };
        self.command(command).await.map_err(|_| ConnectError::Closed)?;
        match tokio::time::timeout(CONNECT, connected).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(_)) => Err(ConnectError::Closed),
            Err(_) => Err(ConnectError::TimedOut),
        }
    }

    async fn open(
        &self,
        node: NodeId,
        protocol: Protocol,
        options: StreamOptions,
    ) -> Result<PeerStream, TransportError> {
        let link = self.table.best(&node).ok_or(TransportError::NotConnected { node })?;
        let place = link.live.place().ok_or(TransportError::Busy { node })?;
        let (reply, opened) = oneshot::channel();
        let ask = Ask { place, protocol, options, reply };
        link.asks.send(ask).await.map_err(|_| TransportError::NotConnected { node })?;
        opened.await.map_err(|_| TransportError::NotConnected { node })?
    }

    async fn disconnect(&self, node: NodeId) {
        // Once it is closed nobody is connected.
        let _ = self.command(Command::Disconnect { node }).await;
    }

    async fn next(&self) -> Option<TransportEvent> {
        let mut inbox = self.events.lock().await;
        let Inbox { events, streams } = &mut *inbox;
        tokio::select! {
            biased;
            event = events.recv() => {
                self.table.waiting.fetch_sub(1, Ordering::Relaxed);
                event
            }
            () = self.closed.cancelled() => None,
            Some(stream) = streams.recv() => Some(TransportEvent::Stream(stream)),
        }
    }

    async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.command(Command::Close { reply }).await.is_ok() {
            let _ = done.await;
        }
    }
}
