//! Which nodes are connected, over which connections, and who waits for them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use daa_core::clock::Timestamp;
use libp2p::core::Endpoint;
use libp2p::core::multiaddr::Protocol as Part;
use libp2p::core::transport::PortUse;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};

use super::gate::Gates;
use super::handler::{Ask, FromHandler, Handler, ToHandler};
use super::limits::{ConnectionLimits, Counted, TooMany, is_local};
use super::quic::Strangers;
use super::whereabouts::{is_relayed, relay_of};
use crate::auth::{Auth, HandshakeError};
use crate::node_id::NodeId;
use crate::stream::PeerStream;
use crate::transport::bandwidth::Meters;
use crate::transport::session::Live;
use crate::transport::{ConnectError, TransportEvent};

/// How many events may wait for the rest of the node before nobody else is let in.
const BEHIND: usize = 4_096;
const NOT_LOCAL: &str = "only addresses of local networks are used";
/// A connection that is so old makes room for another one with the same node.
const STALE: Duration = Duration::from_secs(60);
/// The most groups of addresses of one node that are tried.
const DIALS: usize = 16;

/// The connections to one node, the best first.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) connection: ConnectionId,
    /// Made anew whenever a node starts.
    peer: PeerId,
    pub(super) live: Live,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) address: Multiaddr,
    pub(super) is_relayed: bool,
    since: Instant,
}

/// What the transport and its behaviour share.
#[derive(Clone, Debug)]
pub(super) struct Table {
    nodes: Arc<Mutex<HashMap<NodeId, Vec<Link>>>>,
    pub(super) events: mpsc::UnboundedSender<TransportEvent>,
    /// How many events wait.
    pub(super) waiting: Arc<std::sync::atomic::AtomicUsize>,
}

impl Table {
    pub(super) fn new(events: mpsc::UnboundedSender<TransportEvent>) -> Self {
        Self { nodes: Arc::default(), events, waiting: Arc::default() }
    }

    pub(super) fn nodes(&self) -> MutexGuard<'_, HashMap<NodeId, Vec<Link>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn best(&self, node: &NodeId) -> Option<Link> {
        self.nodes().get(node)?.first().cloned()
    }

    pub(super) fn tell(&self, event: TransportEvent) {
        use std::sync::atomic::Ordering;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.events.send(event).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn is_behind(&self) -> bool {
        self.waiting.load(std::sync::atomic::Ordering::Relaxed) > BEHIND
    }
}

pub(super) type Reply = oneshot::Sender<Result<NodeId, ConnectError>>;

/// Somebody who waits for a connection.
#[derive(Debug)]
struct Wish {
    node: Option<NodeId>,
    dials: HashSet<ConnectionId>,
    reply: Reply,
}

#[derive(Debug)]
struct Connection {
    peer: PeerId,
    address: Multiaddr,
    is_relayed: bool,
    node: Option<NodeId>,
}

/// All protocols are spoken with this peer from now on.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) peer: PeerId,
    pub(super) is_relay: bool,
}

pub(super) struct Peers {
    auth: Auth,
    own: PeerId,
    gates: Gates,
    strangers: Strangers,
    counted: Counted,
    began: Instant,
    is_lan_only: bool,
    is_relay: bool,
    table: Table,
    streams: mpsc::Sender<PeerStream>,
    meters: Meters,
    connections: HashMap<ConnectionId, Connection>,
    /// Whom the calls to a node are to reach, and where.
    expected: HashMap<ConnectionId, (NodeId, Vec<Multiaddr>)>,
    wishes: Vec<Wish>,
    queue: VecDeque<ToSwarm<Opened, ToHandler>>,
    waker: Option<Waker>,
}

impl Peers {
    pub(super) fn new(
        auth: Auth,
        own: PeerId,
        (gates, strangers): (Gates, Strangers),
        (limits, is_lan_only, is_relay): (ConnectionLimits, bool, bool),
        table: Table,
        (streams, meters): (mpsc::Sender<PeerStream>, Meters),
    ) -> Self {
        Self {
            auth,
            own,
            gates,
            strangers,
            counted: Counted::new(limits),
            began: Instant::now(),
            is_lan_only,
            is_relay,
            table,
            streams,
            meters,
            connections: HashMap::new(),
            expected: HashMap::new(),
            wishes: Vec::new(),
            queue: VecDeque::new(),
            waker: None,
        }
    }

    fn push(&mut self, event: ToSwarm<Opened, ToHandler>) {
        self.queue.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Connects to a node. Where it is being called already it is not called again: whoever wants it too waits for the same.
    pub(super) fn connect(&mut self, node: Option<NodeId>, mut addresses: Vec<Multiaddr>, reply: Reply) {
        let known = match node {
            Some(node) => self.table.best(&node).map(|_| node),
            None => self.already_at(&addresses),
        };
        if let Some(node) = known {
            let _ = reply.send(Ok(node));
            return;
        }
        if self.is_lan_only && !addresses.is_empty() {
            addresses.retain(is_local);
            if addresses.is_empty() {
                let _ = reply.send(Err(ConnectError::Limit(NOT_LOCAL)));
                return;
            }
        }
        // A relay that is connected is asked once, however many addresses it has.
        let mut asked = HashSet::new();
        let is_connected =
            |relay| self.connections.values().any(|other| other.peer == relay && other.node.is_some());
        addresses.retain(|address| {
            relay_of(address).is_none_or(|relay| !is_connected(relay) || asked.insert(relay))
        });
        let mut dials = HashSet::new();
        for (id, (_, called)) in self.expected.iter().filter(|(_, (other, _))| Some(*other) == node) {
            addresses.retain(|address| !called.contains(address));
            dials.insert(*id);
        }
        // Those who gave up.
        self.wishes.retain(|wish| !wish.reply.is_closed());
        for (dial, addresses) in dials_to(addresses).into_iter().take(DIALS.saturating_sub(dials.len())) {
            if let Some(node) = node {
                self.expected.insert(dial.connection_id(), (node, addresses));
            }
            dials.insert(dial.connection_id());
            self.push(ToSwarm::Dial { opts: dial });
        }
        if dials.is_empty() {
            let _ = reply.send(Err(ConnectError::NoAddress));
            return;
        }
        self.wishes.push(Wish { node, dials, reply });
    }

    /// The node that is connected at one of these addresses, by the peer id in it.
    fn already_at(&self, addresses: &[Multiaddr]) -> Option<NodeId> {
        let peers: Vec<PeerId> = addresses.iter().filter_map(peer_of).collect();
        let mut proved = self.connections.values().filter(|connection| peers.contains(&connection.peer));
        proved.find_map(|connection| connection.node)
    }

    /// Ends all connections to a node.
    pub(super) fn disconnect(&mut self, node: &NodeId) {
        let links = self.table.nodes().get(node).cloned().unwrap_or_default();
        for link in links {
            self.close(link.connection);
        }
    }

    /// The peer and the address of a node that is connected, not through a relay.
    pub(super) fn way_to(&self, node: &NodeId) -> Option<(PeerId, Multiaddr)> {
        let mut direct =
            self.connections.values().filter(|other| other.node == Some(*node) && !other.is_relayed);
        direct.next().map(|connection| (connection.peer, connection.address.clone()))
    }

    /// Where a peer is that is connected, not through a relay, and has proved itself.
    pub(super) fn address_of(&self, peer: &PeerId) -> Option<Multiaddr> {
        let is_way = |other: &&Connection| other.peer == *peer && other.node.is_some() && !other.is_relayed;
        self.connections.values().find(is_way).map(|connection| connection.address.clone())
    }

    fn close(&mut self, connection: ConnectionId) {
        let Some(peer) = self.connections.get(&connection).map(|connection| connection.peer) else { return };
        self.push(ToSwarm::CloseConnection { peer_id: peer, connection: CloseConnection::One(connection) });
    }

    /// A connection that was to be, and is not.
    fn failed(&mut self, connection: ConnectionId, error: ConnectError) {
        self.expected.remove(&connection);
        let is_over = |wish: &mut Wish| wish.dials.remove(&connection) && wish.dials.is_empty();
        let (text, mut error) = (error.to_string(), Some(error));
        for wish in self.wishes.extract_if(.., is_over) {
            // Who wanted it first learns why, the others that it was so.
            let error = error.take().unwrap_or_else(|| ConnectError::Unreachable(text.clone()));
            let _ = wish.reply.send(Err(error));
        }
    }

    fn proved(&mut self, id: ConnectionId, live: Live, asks: mpsc::Sender<Ask>) {
        let node = live.peer();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.node = Some(node);
        let (peer, is_relayed) = (connection.peer, connection.is_relayed);
        let address = connection.address.clone();
        self.counted.proved(id);
        self.strangers.proved(&peer);
        self.expected.remove(&id);
        let per_node = self.counted.limits().per_node;
        let link = Link { connection: id, peer, live, asks, address, is_relayed, since: Instant::now() };
        let (admitted, count, superseded) = {
            let mut nodes = self.table.nodes();
            let links = nodes.entry(node).or_default();
            let admitted = admit(links, link, per_node);
            let relayed = links.iter().filter(|link| link.is_relayed && !is_relayed);
            (admitted, links.len(), relayed.map(|link| link.connection).collect::<Vec<_>>())
        };
        match admitted {
            Admitted::Yes => {}
            Admitted::Instead(other) => self.close(other),
            Admitted::No => return self.close(id),
        }
        if count == 1 {
            self.table.tell(TransportEvent::Connected(node));
        }
        self.push(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(id),
            event: ToHandler::Go,
        });
        for connection in superseded {
            if let Some(peer) = self.connections.get(&connection).map(|connection| connection.peer) {
                let (handler, event) = (NotifyHandler::One(connection), ToHandler::Superseded);
                self.push(ToSwarm::NotifyHandler { peer_id: peer, handler, event });
            }
        }
        let is_granted = |wish: &mut Wish| wish.node == Some(node) || wish.dials.contains(&id);
        for wish in self.wishes.extract_if(.., is_granted) {
            let _ = wish.reply.send(Ok(node));
        }
    }

    fn gone(&mut self, id: ConnectionId) {
        self.gates.forget(id);
        self.counted.gone(id);
        let Some(node) = self.connections.remove(&id).and_then(|connection| connection.node) else { return };
        let is_last = {
            let mut nodes = self.table.nodes();
            let Some(links) = nodes.get_mut(&node) else { return };
            links.retain(|link| link.connection != id);
            links.is_empty() && nodes.remove(&node).is_some()
        };
        if is_last {
            self.table.tell(TransportEvent::Disconnected(node));
        }
    }

    fn handler(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        is_initiator: bool,
    ) -> Handler {
        let is_relayed = is_relayed(address);
        self.connections.insert(id, Connection { peer, address: address.clone(), is_relayed, node: None });
        let expected = self.expected.get(&id).map(|(node, _)| *node);
        let ends = (self.own.to_bytes(), peer.to_bytes());
        let streams = (self.streams.clone(), self.meters.of_connection());
        Handler::new(
            self.auth.clone(),
            ends,
            (is_initiator, self.is_relay),
            expected,
            self.gates.of(id),
            streams,
        )
    }
}

/// What became of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admitted {
    Yes,
    /// This one is to be closed for it.
    Instead(ConnectionId),
    No,
}

/// Puts a new connection to its place among those of one node, of which there may be so many: direct ones first, the newer ones before
/// older ones, because the peer may have lost those without our knowing. It has lost those of before its process was started again, however
/// new they are here.
fn admit(links: &mut Vec<Link>, link: Link, per_node: usize) -> Admitted {
    let mut admitted = Admitted::Yes;
    if links.len() >= per_node {
        // What was won by punching holes is not turned away for what leads through relays. As for the rest: the peer would not connect again
        // if it still had all of them.
        let gives_way = |last: &mut Link| {
            (last.is_relayed && !link.is_relayed) || link.since.saturating_duration_since(last.since) >= STALE
        };
        let of_before = links.iter().rposition(|other| other.peer != link.peer);
        let other = match of_before {
            Some(at) => links.remove(at),
            None => match links.pop_if(gives_way) {
                Some(last) => last,
                None => return Admitted::No,
            },
        };
        admitted = Admitted::Instead(other.connection);
    }
    let first = links.iter().position(|other| link.is_relayed <= other.is_relayed);
    links.insert(first.unwrap_or(links.len()), link);
    admitted
}

/// The peer id at the end of an address.
pub(super) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Part::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Addresses of one peer are tried together, those without a peer each by itself.
fn dials_to(addresses: Vec<Multiaddr>) -> Vec<(DialOpts, Vec<Multiaddr>)> {
    let mut of_peers: Vec<(PeerId, Vec<Multiaddr>)> = Vec::new();
    let mut dials = Vec::new();
    for address in addresses {
        match peer_of(&address) {
            Some(peer) => match of_peers.iter_mut().find(|(other, _)| *other == peer) {
                Some((_, addresses)) => addresses.push(address),
                None => of_peers.push((peer, vec![address])),
            },
            None => {
                let dial = DialOpts::unknown_peer_id().address(address.clone()).build();
                dials.push((dial, vec![address]));
            }
        }
    }
    dials.extend(of_peers.into_iter().map(|(peer, addresses)| {
        let dial = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(addresses.clone());
        (dial.build(), addresses)
    }));
    dials
}

impl NetworkBehaviour for Peers {
    type ConnectionHandler = Handler;
    type ToSwarm = Opened;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        // What comes through a relay says so in the address here.
        let from = if is_relayed(local) { local } else { remote };
        if self.is_lan_only && !is_local(from) {
            return Err(ConnectionDenied::new(TooMany::NotLocal));
        }
        if self.table.is_behind() {
            return Err(ConnectionDenied::new(TooMany::Behind));
        }
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let came = self.counted.incoming(id, remote, Timestamp::from_millis(millis));
        if let Some(makes_room) = came.map_err(ConnectionDenied::new)? {
            self.close(makes_room);
        }
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.counted.has(id) {
            return Err(ConnectionDenied::new(TooMany::Unproved));
        }
        // What comes through a relay says so in the address here.
        Ok(self.handler(id, peer, if is_relayed(local) { local } else { remote }, false))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if self.is_lan_only && addresses.iter().any(|address| !is_local(address)) {
            return Err(ConnectionDenied::new(TooMany::NotLocal));
        }
        self.counted.outgoing(id).map_err(ConnectionDenied::new)?;
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(id, peer, address, role == Endpoint::Dialer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => {
                self.gone(closed.connection_id);
                let lost = HandshakeError::Lost(std::io::ErrorKind::ConnectionReset.into());
                self.failed(closed.connection_id, ConnectError::Handshake(lost));
            }
            FromSwarm::DialFailure(failure) => {
                self.gone(failure.connection_id);
                let limit = match failure.error {
                    libp2p::swarm::DialError::Denied { cause } => cause.downcast_ref::<TooMany>(),
                    _ => None,
                };
                let error = match limit {
                    Some(TooMany::NotLocal) => ConnectError::Limit(NOT_LOCAL),
                    Some(_) => ConnectError::Limit("there are as many connections as there may be"),
                    None => ConnectError::Unreachable(failure.error.to_string()),
                };
                self.failed(failure.connection_id, error);
            }
            FromSwarm::ListenFailure(failure) => self.gone(failure.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            FromHandler::Opened { is_relay } => {
                self.push(ToSwarm::GenerateEvent(Opened { peer, is_relay }));
            }
            FromHandler::Proved { live, asks } => self.proved(id, live, asks),
            FromHandler::Failed(error) => {
                tracing::debug!(%error, "a peer has not proved itself");
                self.failed(id, ConnectError::Handshake(error));
                self.close(id);
            }
            FromHandler::Condemned(why) => {
                tracing::debug!(%why, "a peer broke the protocol");
                self.close(id);
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(event) = self.queue.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use daa_crypto::CryptoSuite;

    use super::*;
    use crate::auth::Ends;
    use crate::testing::{identity, network};
    use crate::transport::bandwidth::Metering;
    use crate::transport::libp2p::handler::Verdict;

    async fn live() -> Live {
        let auth = |of| Auth::new(CryptoSuite::new(), identity(of).clone(), network());
        let (mut one, mut other) = tokio::io::duplex(64 << 10);
        let (ours, theirs) = (auth(0), auth(1));
        let ends = Ends { ours: b"", theirs: b"" };
        let both =
            tokio::join!(ours.initiate_over(&mut one, ends, None), theirs.respond_over(&mut other, ends));
        Live::new(&both.0.unwrap(), Arc::new(Verdict::default()), Metering::default())
    }

    #[tokio::test]
    async fn direct_and_new_connections_are_first_and_old_ones_make_room() {
        let (live, began, mut links) = (live().await, Instant::now(), Vec::new());
        let mut peer = PeerId::random();
        let mut comes = |number, is_relayed, after| {
            let (connection, asks) = (ConnectionId::new_unchecked(number), mpsc::channel(1).0);
            let since = began + Duration::from_secs(after);
            if number == 9 {
                peer = PeerId::random();
            }
            let (live, address) = (live.clone(), Multiaddr::empty());
            let link = Link { connection, peer, live, asks, address, is_relayed, since };
            let admitted = admit(&mut links, link, 3);
            let order: Vec<_> =
                links.iter().map(|link| link.connection.to_string().parse().unwrap()).collect();
            (admitted, order)
        };
        let instead_of = |number| Admitted::Instead(ConnectionId::new_unchecked(number));
        assert_eq!(comes(1, true, 0), (Admitted::Yes, vec![1]));
        assert_eq!(comes(2, false, 1), (Admitted::Yes, vec![2, 1]));
        assert_eq!(comes(3, false, 2), (Admitted::Yes, vec![3, 2, 1]));
        assert_eq!(comes(4, true, 59), (Admitted::No, vec![3, 2, 1]), "the last one is not old enough");
        assert_eq!(comes(5, false, 59), (instead_of(1), vec![5, 3, 2]), "what is relayed gives way");
        assert_eq!(comes(6, false, 60), (Admitted::No, vec![5, 3, 2]), "what is direct does not");
        assert_eq!(comes(7, true, 61), (instead_of(2), vec![5, 3, 7]));
        assert_eq!(comes(8, true, 62), (Admitted::No, vec![5, 3, 7]), "the last one is new");
        // The node was started again.
        assert_eq!(comes(9, true, 62), (instead_of(7), vec![5, 3, 9]));
        assert_eq!(comes(10, false, 62), (instead_of(3), vec![10, 5, 9]));
        assert_eq!(comes(11, false, 62), (instead_of(5), vec![11, 10, 9]));
        assert_eq!(comes(12, true, 62), (Admitted::No, vec![11, 10, 9]), "all are of the same process");
    }
}
