//! A node of a network: who is there, who offers what, requests and streams.

mod control;
mod effects;
mod error;
mod finding;
mod gossiping;
mod options;
mod outbox;
mod places;
mod run;
#[cfg(test)]
mod tests;
mod topics;
mod transferring;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use daa_core::clock::Clock;
use multiaddr::Multiaddr;
use prost::Message as _;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::auth::Auth;
use crate::identity::NodeIdentity;
use crate::membership::{Member, MembershipEvent};
use crate::names::Name;
use crate::network::NetworkName;
use crate::node_id::NodeId;
use crate::record::{Service, SignedRecord};
use crate::rpc::{self, CallError, CallOptions, Method, Refusal, Request, Server};
use crate::stream::{PeerStream, Protocol, StreamOptions};
use crate::topology::{Load, TopologyEvent};
use crate::transfer::Sharing;
use crate::transport::{ConnectError, SharedTransport, TransportError};
use control::Command;
use places::Places;

pub use error::NodeError;
pub use finding::NodeDiscovery;
pub use options::NodeOptions;
pub use topics::{Heard, Subscription};

/// How many events wait for each who listens, before it misses the oldest.
const EVENTS: usize = 1_024;
const COMMANDS: usize = 64;
/// How many streams of one protocol wait to be taken.
const STREAMS: usize = 64;

/// A node of a network. Cheap to clone; the node lives as long as one of its clones, or until it [leaves](Self::leave).
///
/// ```
/// use std::sync::Arc;
///
/// use daa_crypto::CryptoSuite;
/// use daa_net::auth::Auth;
/// use daa_net::transport::MemoryNetwork;
/// use daa_net::{Node, NodeIdentity, NodeOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (suite, network) = (CryptoSuite::new(), MemoryNetwork::new());
/// let start = async |services: &[&str]| -> Result<Node, Box<dyn std::error::Error>> {
///     let auth = Auth::new(suite.clone(), NodeIdentity::generate(&suite)?, "example".parse()?);
///     let transport = network.join(auth.clone());
///     let mut options = NodeOptions::new();
///     for service in services {
///         options = options.offering(service.parse()?);
///     }
///     Ok(Node::start(&auth, Arc::new(transport), options).await?)
/// };
/// let bob = start(&["greeting"]).await?;
/// bob.serve("greet/1", async |request| Ok([b"hello ", &request.body[..]].concat().into()));
///
/// let alice = start(&[]).await?;
/// alice.join(&bob.addresses()).await?;
/// let found = alice.wait_for(&"greeting".parse()?).await?;
/// let answer = alice.call(found, "greet/1", "alice".into(), Default::default()).await?;
/// assert_eq!(&answer[..], b"hello alice");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// What the node and its task share.
pub(crate) struct Shared {
    identity: NodeIdentity,
    network: NetworkName,
    transport: SharedTransport,
    /// Of gossip.
    max_payload: usize,
    clock: Arc<dyn Clock>,
    places: Places,
    server: Server,
    sharing: Sharing,
    view: Mutex<View>,
    /// Nothing once the node has ended.
    events: Mutex<Option<broadcast::Sender<NodeEvent>>>,
    acceptors: Mutex<std::collections::HashMap<Protocol, mpsc::Sender<PeerStream>>>,
}

/// What the task last saw.
struct View {
    neighbours: std::collections::BTreeSet<NodeId>,
    record: SignedRecord,
    members: std::collections::BTreeMap<NodeId, Member>,
    records: std::collections::BTreeMap<NodeId, SignedRecord>,
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// A node is connected.
    Connected(NodeId),
    /// A node is connected no more.
    Disconnected(NodeId),
    /// Something became of a member.
    Membership(MembershipEvent),
    /// Something became of its neighbours.
    Topology(TopologyEvent),
    /// Where this node can be reached has changed.
    AddressesChanged,
    /// A name that this node has others keep is in the last third of its time: its owner is to renew it.
    RenewName(Name),
    /// A node has signed two records of one version: it is not to be believed.
    Conflict(NodeId),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Starts a node on a transport that was made with the same `auth`.
    ///
    /// # Errors
    /// [`NodeError::WrongIdentity`], [`NodeError::Issue`] when its record cannot be signed, [`NodeError::Key`].
    ///
    /// # Cancel safety
    /// Then there is no node.
    pub async fn start(
        auth: &Auth,
        transport: SharedTransport,
        options: NodeOptions,
    ) -> Result<Self, NodeError> {
        if transport.node() != auth.node() {
            return Err(NodeError::WrongIdentity { transport: transport.node(), identity: auth.node() });
        }
        let (commands, commanded) = mpsc::channel(COMMANDS);
        let (events, _) = broadcast::channel(EVENTS);
        let (shared, task) = run::prepare(auth, transport, options, events).await?;
        tokio::spawn(task.run(commanded));
        Ok(Self { inner: Arc::new(Inner { shared, commands }) })
    }

    /// Which node this is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.inner.shared.identity.node()
    }

    /// What it says of itself.
    #[must_use]
    pub fn record(&self) -> SignedRecord {
        locked(&self.inner.shared.view).record.clone()
    }

    /// Where it can be reached, as far as it is known now.
    #[must_use]
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.inner.shared.transport.addresses()
    }

    /// What happens from now on, until the node has ended. Who does not keep up misses the oldest, and is told so.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        let events = locked(&self.inner.shared.events);
        events.as_ref().map_or_else(|| broadcast::channel(1).1, broadcast::Sender::subscribe)
    }

    /// All members there are and were lately, this node left out.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        locked(&self.inner.shared.view).members.values().copied().collect()
    }

    /// The nodes that this node keeps to; nobody, unless it was started [with a topology](NodeOptions::with_topology).
    #[must_use]
    pub fn neighbours(&self) -> Vec<NodeId> {
        locked(&self.inner.shared.view).neighbours.iter().copied().collect()
    }

    /// Says how busy this node is with all that it does; as a hub it is chosen accordingly, and from 95 % on takes no new leaves.
    ///
    /// # Errors
    /// [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// It may be said all the same.
    pub async fn set_load(&self, load: Load) -> Result<(), NodeError> {
        self.command(Command::SetLoad { load }).await
    }

    /// The newest record of a member.
    #[must_use]
    pub fn record_of(&self, node: &NodeId) -> Option<SignedRecord> {
        let now = self.inner.shared.clock.now();
        locked(&self.inner.shared.view).records.get(node).filter(|record| record.is_current(now)).cloned()
    }

    /// Joins the network by whoever is at these addresses: gives the node that is there. The other members are told by and by.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// What was begun goes on by itself.
    pub async fn join(&self, addresses: &[Multiaddr]) -> Result<NodeId, ConnectError> {
        let node = self.inner.shared.transport.connect(None, addresses).await?;
        self.inner.commands.send(Command::Join { node }).await.map_err(|_| ConnectError::Closed)?;
        Ok(node)
    }

    /// Connects to this node at these addresses, and to no other. From now on it is looked for there:
    /// a request or a stream connects anew where the connection was lost. A node that starts again has another transport key: only
    /// addresses without `/p2p/…` lead to it then.
    ///
    /// # Errors
    /// [`ConnectError`]; [`ConnectError::Handshake`] when somebody else is there. It is looked for there all the same.
    ///
    /// # Cancel safety
    /// What was begun goes on by itself.
    pub async fn connect(&self, node: NodeId, addresses: &[Multiaddr]) -> Result<(), ConnectError> {
        let shared = &self.inner.shared;
        shared.places.tell(node, addresses.to_vec());
        shared.transport.connect(Some(node), addresses).await.map(drop)
    }

    /// The members that offer a service and are alive, as far as this node knows now.
    #[must_use]
    pub fn offering(&self, service: &Service) -> Vec<NodeId> {
        let now = self.inner.shared.clock.now();
        let view = locked(&self.inner.shared.view);
        let alive = view.members.values().filter(|member| member.state.is_reachable());
        let offers = |node: &NodeId| {
            let record = view.records.get(node).filter(|record| record.is_current(now));
            record.is_some_and(|record| record.record().services.contains(service))
        };
        alive.map(|member| member.node).filter(offers).collect()
    }

    /// The first member that offers a service, as soon as there is one.
    ///
    /// # Errors
    /// [`NodeError::Closed`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn wait_for(&self, service: &Service) -> Result<NodeId, NodeError> {
        let mut events = self.events();
        loop {
            if let Some(node) = self.offering(service).first() {
                return Ok(*node);
            }
            match events.recv().await {
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Err(NodeError::Closed),
            }
        }
    }

    /// Opens a stream to a node, and connects to it if it is not connected.
    ///
    /// # Errors
    /// [`NodeError::Connect`], [`NodeError::Transport`].
    ///
    /// # Cancel safety
    /// Then there is no stream.
    pub async fn open(
        &self,
        node: NodeId,
        protocol: Protocol,
        options: StreamOptions,
    ) -> Result<PeerStream, NodeError> {
        Ok(self.inner.shared.open(node, protocol, options).await?)
    }

    /// The streams that others open for a protocol, from now on and until the node has ended. Without somebody who takes them they are
    /// refused. Who asked before gets none any more.
    ///
    /// # Errors
    /// [`NodeError::Reserved`] for the protocols of this crate, which begin with `/daa/`; [`NodeError::Closed`].
    pub fn accept(&self, protocol: Protocol) -> Result<mpsc::Receiver<PeerStream>, NodeError> {
        if protocol.as_str().starts_with("/daa/") {
            return Err(NodeError::Reserved { protocol });
        }
        let (streams, came) = mpsc::channel(STREAMS);
        let mut acceptors = locked(&self.inner.shared.acceptors);
        // Looked at while nobody can take them all away.
        if locked(&self.inner.shared.events).is_none() {
            return Err(NodeError::Closed);
        }
        acceptors.insert(protocol, streams);
        Ok(came)
    }

    /// Asks a node, and connects to it if it is not connected.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// The peer learns that nobody waits any more, and gives up; with a key it goes on.
    pub async fn call(
        &self,
        node: NodeId,
        method: &str,
        body: Bytes,
        options: CallOptions,
    ) -> Result<Bytes, CallError> {
        let shared = &self.inner.shared;
        let open = async || {
            shared.open(node, rpc::RPC, StreamOptions::default()).await.map_err(|error| match error {
                OpenError::Connect(error) => CallError::from(error),
                OpenError::Transport(error) => CallError::from(error),
            })
        };
        rpc::call(open, method, body, options).await
    }

    /// The same with messages of a [`Method`].
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::Garbage`] where the answer cannot be read.
    ///
    /// # Cancel safety
    /// As [`call`](Self::call).
    pub async fn ask<M: Method>(
        &self,
        node: NodeId,
        request: &M::Request,
        options: CallOptions,
    ) -> Result<M::Response, CallError> {
        let answer = self.call(node, M::NAME, request.encode_to_vec().into(), options).await?;
        M::Response::decode(answer).map_err(|_| CallError::Garbage)
    }

    /// From now on this answers a method; what answered before is replaced. A request of which nobody wants to know the answer any
    /// more, or whose deadline has passed, is dropped where it waits.
    pub fn serve<F>(&self, method: &str, answer: impl Fn(Request) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<Bytes, Refusal>> + Send + 'static,
    {
        self.inner.shared.server.serve(method, Arc::new(move |request| Box::pin(answer(request))));
    }

    /// The same with messages of a [`Method`]. What cannot be read is refused.
    pub fn answer<M: Method, F>(&self, answer: impl Fn(NodeId, M::Request) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<M::Response, Refusal>> + Send + 'static,
    {
        let answer = Arc::new(answer);
        self.serve(M::NAME, move |request| {
            let answer = answer.clone();
            async move {
                let read = M::Request::decode(request.body);
                let read = read.map_err(|error| Refusal::new(rpc::Status::Invalid, error.to_string()))?;
                answer(request.from, read).await.map(|response| response.encode_to_vec().into())
            }
        });
    }

    /// Tells the members that this node goes, and ends it.
    ///
    /// # Cancel safety
    /// It goes all the same.
    pub async fn leave(&self) {
        let (reply, done) = oneshot::channel();
        if self.inner.commands.send(Command::Leave { reply }).await.is_ok() {
            let _ = done.await;
        }
    }
}

/// Why no stream could be opened.
pub(crate) enum OpenError {
    Connect(ConnectError),
    Transport(TransportError),
}

impl Shared {
    fn tell(&self, event: NodeEvent) {
        if let Some(events) = &*locked(&self.events) {
            // Nobody may be listening.
            let _ = events.send(event);
        }
    }

    /// Nothing happens any more, and whoever waits is told so.
    fn end(&self) {
        *locked(&self.events) = None;
        locked(&self.acceptors).clear();
    }

    pub(crate) async fn open(
        &self,
        node: NodeId,
        protocol: Protocol,
        options: StreamOptions,
    ) -> Result<PeerStream, OpenError> {
        match self.transport.open(node, protocol.clone(), options).await {
            Err(TransportError::NotConnected { .. }) => {}
            opened => return opened.map_err(OpenError::Transport),
        }
        let addresses = self.places.of(&node);
        self.transport.connect(Some(node), &addresses).await.map_err(OpenError::Connect)?;
        self.transport.open(node, protocol, options).await.map_err(OpenError::Transport)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id()).finish_non_exhaustive()
    }
}
