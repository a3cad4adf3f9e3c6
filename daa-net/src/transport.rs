//! How nodes reach each other: connections whose both ends have proved themselves, and streams on them.
//!
//! [`Transport`] is what the rest of a node is built on. [`MemoryNetwork`] is one process; `Libp2pTransport` (feature `libp2p`) is the
//! internet. Both run the same handshake and the same sealed streams.

mod bandwidth;
mod error;
#[cfg(feature = "libp2p")]
pub mod libp2p;
mod memory;
mod session;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::node_id::NodeId;
use crate::stream::{PeerStream, Protocol, StreamOptions};

pub use bandwidth::Bandwidth;
pub use error::{ConnectError, TransportError};
pub use memory::{MemoryNetwork, MemoryTransport};
/// Where a node can be reached, as libp2p writes it.
pub use multiaddr::Multiaddr;

/// Connections to nodes that have proved themselves.
///
/// # Contract
///
/// - Nothing is given to or taken from a peer before the handshake of [`auth`](crate::auth) has ended well, in this connection.
/// - A node counts as connected from [`TransportEvent::Connected`] to [`TransportEvent::Disconnected`], over however many connections.
/// - Who does not take what [`next`](Self::next) gives is not flooded: streams of peers wait, and what peers send waits with them.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// This node.
    fn node(&self) -> NodeId;

    /// Where it can be reached, as far as it is known now.
    fn addresses(&self) -> Vec<Multiaddr>;

    /// Who is connected.
    fn peers(&self) -> Vec<NodeId>;

    /// Where a node that is connected was seen to be, if that is known: the address at the other end of its best connection. One
    /// through a relay says so (`p2p-circuit`): where such a node is nobody has seen, and nothing that it says of that counts.
    fn address_of(&self, node: &NodeId) -> Option<Multiaddr>;

    /// Connects to a node, unless it is connected: to the one that is named, or to whoever is at these addresses. Gives the
    /// node that is there.
    ///
    /// # Errors
    /// [`ConnectError`], when no address leads to the node.
    ///
    /// # Cancel safety
    /// What was begun goes on by itself: the node may be connected later.
    async fn connect(&self, node: Option<NodeId>, addresses: &[Multiaddr]) -> Result<NodeId, ConnectError>;

    /// Opens a stream to a node that is connected. The peer learns of it with the first thing that is flushed.
    ///
    /// # Errors
    /// [`TransportError::NotConnected`], [`TransportError::Busy`] when there are too many streams, [`TransportError::Lost`].
    ///
    /// # Cancel safety
    /// Then there is no stream.
    async fn open(
        &self,
        node: NodeId,
        protocol: Protocol,
        options: StreamOptions,
    ) -> Result<PeerStream, TransportError>;

    /// Ends all connections to a node. Its streams fail.
    async fn disconnect(&self, node: NodeId);

    /// What happened next; `None` when the transport is closed.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn next(&self) -> Option<TransportEvent>;

    /// Ends all connections, and listens no more.
    async fn close(&self);
}

/// What happens on a [`Transport`].
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportEvent {
    /// This node has proved itself, and is connected.
    Connected(NodeId),
    /// This node is connected no more.
    Disconnected(NodeId),
    /// A peer opened a stream.
    Stream(PeerStream),
    /// Where this node can be reached has changed: [`Transport::addresses`].
    AddressesChanged,
    /// Somebody says that there is a node at these addresses. It is a hint, and nothing was proved.
    Found(Vec<Multiaddr>),
}

/// A transport that is shared.
pub type SharedTransport = Arc<dyn Transport>;
