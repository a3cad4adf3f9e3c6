//! The task of a node: tells its machines what happened, and does what they want done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use daa_core::clock::Timestamp;
use daa_core::seed::Seed;
use daa_crypto::{DecapsulationKey, KemAlgorithm};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use multiaddr::Multiaddr;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_util::codec::FramedRead;

use super::control::{CONTROL, Command, Find, Part, codec};
use super::error::NodeError;
use super::finding::Finding;
use super::options::NodeOptions;
use super::outbox::Outbox;
use super::places::Places;
use super::topics::Topics;
use super::{NodeEvent, Shared, View, locked};
use crate::auth::Auth;
use crate::discovery::{Discovery, LookupId};
use crate::gossip::Gossip;
use crate::machine::Machine;
use crate::membership::{Membership, SignedStatement};
use crate::node_id::NodeId;
use crate::record::{BookOptions, MAX_ADDRESSES, NodeRecord, SignedRecord};
use crate::rpc::{RPC, Server};
use crate::stream::PeerStream;
use crate::topology::Neighbourhood;
use crate::transfer::{Sharing, TRANSFER};
use crate::transport::{SharedTransport, TransportEvent};

/// How many messages of peers wait for the machines; then peers wait.
const CAME: usize = 256;
/// How many wrong messages a peer may send within a minute before it is disconnected.
const WRONG: u32 = 16;
/// How many that were found by multicast are called at a time; those beyond are found again.
const CALLS: usize = 16;
/// How long a node that goes waits until it was told.
const FAREWELL: Duration = Duration::from_secs(1);

type Pending<T> = FuturesUnordered<Pin<Box<dyn Future<Output = T> + Send>>>;

type Channel<T> = (mpsc::Sender<T>, mpsc::Receiver<T>);

pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) options: NodeOptions,
    pub(super) kem: DecapsulationKey,
    pub(super) membership: Membership,
    pub(super) gossip: Gossip,
    pub(super) discovery: Discovery,
    pub(super) neighbourhood: Option<Neighbourhood>,
    pub(super) topics: Topics,
    pub(super) lookups: HashMap<LookupId, Finding>,
    pub(super) outboxes: HashMap<NodeId, Outbox>,
    pub(super) came: Channel<(NodeId, Bytes)>,
    pub(super) unreached: Channel<NodeId>,
    pub(super) joined: Channel<NodeId>,
    /// Places for calls to whom nobody has named but who says so itself.
    calls: Arc<Semaphore>,
    pub(super) signing: Pending<Option<SignedStatement>>,
    pub(super) issuing: Pending<Option<SignedRecord>>,
    pub(super) renew: Timestamp,
    /// Of the last record that was begun.
    pub(super) version: u64,
    /// Those who read what peers say.
    pub(super) readers: HashMap<NodeId, AbortHandle>,
    /// How many wrong messages came of a peer, and since when.
    pub(super) wrong: HashMap<NodeId, (u32, Timestamp)>,
    pub(super) leaving: Option<(oneshot::Sender<()>, Timestamp)>,
}

/// Tells who waits that the node has ended, in whatever way.
struct Ends(Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A node that does not run yet.
pub(super) async fn prepare(
    auth: &Auth,
    transport: SharedTransport,
    options: NodeOptions,
    events: broadcast::Sender<NodeEvent>,
) -> Result<(Arc<Shared>, Task), NodeError> {
    let (suite, identity, network) = auth.parts();
    let kem = suite.generate_decapsulation_key(KemAlgorithm::XWing)?;
    let now = options.clock.now();
    let version = now.as_millis();
    let record = record(&options, &kem, &transport, version, now);
    let record = record.issue(&identity, &network).await?;
    let renew = now + options.record_life / 2;
    let seed = Seed::from_u64(rand::random());
    let membership = Membership::new(
        options.membership,
        suite.clone(),
        network.clone(),
        record.clone(),
        seed.child("membership"),
        now,
    );
    let gossip = Gossip::new(
        options.gossip,
        suite.clone(),
        network.clone(),
        identity.key().clone(),
        seed.child("gossip"),
        now,
    );
    let (node, book) = (identity.node(), BookOptions::default());
    let mut discovery =
        Discovery::new(suite, network.clone(), node, options.discovery, book, seed.child("discovery"));
    discovery.set_own(record.clone(), now);
    let neighbourhood = options.topology.map(|topology| {
        let me = (node, options.tier, options.roles.clone());
        Neighbourhood::new(topology, me, seed.child("topology"), now)
    });
    let view = Mutex::new(View {
        neighbours: BTreeSet::new(),
        record,
        members: BTreeMap::new(),
        records: BTreeMap::new(),
    });
    let shared = Arc::new(Shared {
        identity,
        network,
        transport,
        max_payload: options.gossip.max_payload(),
        clock: options.clock.clone(),
        places: Places::default(),
        server: Server::default(),
        sharing: Sharing::default(),
        view,
        events: Mutex::new(Some(events)),
        acceptors: Mutex::default(),
    });
    let task = Task {
        shared: shared.clone(),
        options,
        kem,
        membership,
        gossip,
        discovery,
        neighbourhood,
        topics: Topics::default(),
        lookups: HashMap::new(),
        outboxes: HashMap::new(),
        came: mpsc::channel(CAME),
        unreached: mpsc::channel(CAME),
        joined: mpsc::channel(CAME),
        calls: Arc::new(Semaphore::new(CALLS)),
        signing: FuturesUnordered::new(),
        issuing: FuturesUnordered::new(),
        renew,
        version,
        readers: HashMap::new(),
        wrong: HashMap::new(),
        leaving: None,
    };
    Ok((shared, task))
}

/// What a node says of itself now.
fn record(
    options: &NodeOptions,
    kem: &DecapsulationKey,
    transport: &SharedTransport,
    version: u64,
    now: Timestamp,
) -> NodeRecord {
    let mut record = NodeRecord::new(version, now, options.record_life, kem.encapsulation_key().clone());
    record.addresses = transport.addresses();
    record.addresses.truncate(MAX_ADDRESSES);
    record.roles.clone_from(&options.roles);
    record.services.clone_from(&options.services);
    record.with_tier(options.tier)
}

impl Task {
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let ends = Ends(self.shared.clone());
        self.begin();
        self.work();
        loop {
            let shared = self.shared.clone();
            let now = shared.clock.now();
            let mut wake = self.renew;
            let topology = self.neighbourhood.as_ref().and_then(Machine::next_wake);
            let wakes =
                [self.membership.next_wake(), self.gossip.next_wake(), self.discovery.next_wake(), topology];
            for next in wakes.into_iter().flatten() {
                wake = wake.min(next);
            }
            if let Some((_, until)) = &self.leaving {
                wake = wake.min(*until);
                if *until <= now {
                    break;
                }
            }
            tokio::select! {
                event = shared.transport.next() => match event {
                    Some(event) => self.happened(event),
                    None => break,
                },
                Some((from, message)) = self.came.1.recv() => self.receive(from, &message),
                Some(node) = self.unreached.1.recv() => {
                    let now = shared.clock.now();
                    self.membership.disconnected(node, now);
                    self.discovery.disconnected(node, now);
                    if let Some(neighbourhood) = &mut self.neighbourhood {
                        neighbourhood.disconnected(node, now);
                    }
                }
                Some(node) = self.joined.1.recv() => self.join(node),
                command = commands.recv() => match command {
                    Some(command) => self.command(command),
                    // Nobody has the node any more.
                    None => break,
                },
                Some(signed) = self.signing.next() => {
                    if let Some(statement) = signed {
                        self.membership.signed(statement, shared.clock.now());
                    }
                }
                Some(issued) = self.issuing.next() => {
                    if let Some(record) = issued {
                        self.issued(record);
                    }
                }
                () = shared.clock.sleep_until(wake) => {
                    let now = shared.clock.now();
                    // Each at its own time.
                    let is_due = |wake: Option<Timestamp>| wake.is_some_and(|wake| wake <= now);
                    if is_due(self.membership.next_wake()) {
                        self.membership.wake(now);
                    }
                    if is_due(self.gossip.next_wake()) {
                        self.gossip.wake(now);
                    }
                    if is_due(self.discovery.next_wake()) {
                        self.discovery.wake(now);
                    }
                    if let Some(neighbourhood) = &mut self.neighbourhood
                        && is_due(neighbourhood.next_wake())
                    {
                        neighbourhood.wake(now);
                    }
                    if self.renew <= now {
                        self.reissue(now);
                    }
                }
            }
            self.work();
        }
        self.shared.transport.close().await;
        drop(ends);
        if let Some((reply, _)) = self.leaving.take() {
            let _ = reply.send(());
        }
    }

    /// Calls those that were known when the node ran last.
    fn begin(&self) {
        for peer in self.options.known.peers().to_vec() {
            self.call(peer.node, peer.addresses);
        }
    }

    /// Calls a node that was known before, and joins by it if it answers.
    fn call(&self, node: NodeId, addresses: Vec<Multiaddr>) {
        let (transport, joined) = (self.shared.transport.clone(), self.joined.0.clone());
        tokio::spawn(async move {
            match transport.connect(Some(node), &addresses).await {
                // Whoever has ended does not care.
                Ok(node) => drop(joined.send(node).await),
                Err(error) => tracing::debug!(%error, "a node that may be there was not reached"),
            }
        });
    }

    /// Calls whoever somebody says is there. Once it is connected it is a node like any other: anybody in the local network can say so, and
    /// nobody who runs this node has chosen it.
    fn try_call(&self, address: Multiaddr) {
        let Ok(place) = self.calls.clone().try_acquire_owned() else { return };
        let transport = self.shared.transport.clone();
        tokio::spawn(async move {
            if let Err(error) = transport.connect(None, &[address]).await {
                tracing::debug!(%error, "a node that may be there was not reached");
            }
            drop(place);
        });
    }

    fn join(&mut self, node: NodeId) {
        self.membership.join([node]);
        self.discovery.bootstrap([node], self.shared.clock.now());
    }

    fn command(&mut self, command: Command) {
        let now = self.shared.clock.now();
        // Whoever asked may have gone.
        match command {
            Command::Join { node } => self.join(node),
            Command::Leave { reply } => {
                self.membership.leave(now);
                self.leaving = Some((reply, now + FAREWELL));
            }
            Command::Subscribe { topic, validation, reply } => {
                let subscribed = self.gossip.subscribe(topic.clone(), validation, now);
                let _ = reply.send(subscribed.map(|()| self.topics.listen(topic)));
            }
            Command::Publish { message, reply } => {
                let _ = reply.send(self.gossip.publish(message, now));
            }
            Command::Validated { id, verdict } => self.gossip.validated(&id, verdict, now),
            Command::Find { what, reply } => self.find(what, reply, now),
            Command::Candidates { service, reply } => {
                let _ = reply.send(self.discovery.candidates(&service, now));
            }
            Command::Register { name, reply } => {
                let _ = reply.send(self.discovery.register(*name, now));
            }
            Command::Unregister { name } => self.discovery.unregister(&name),
            Command::SetLoad { load } => {
                if let Some(neighbourhood) = &mut self.neighbourhood {
                    neighbourhood.set_load(load);
                }
            }
            Command::KnownPeers { reply } => {
                let _ = reply.send(self.discovery.good_peers());
            }
        }
    }

    fn find(&mut self, what: Find, reply: Finding, now: Timestamp) {
        self.lookups.retain(|_, reply| !reply.is_closed());
        let begun = match what {
            Find::Node(node) => self.discovery.find_node(node, now),
            Find::Providers(service) => self.discovery.find_providers(service, now),
            Find::Name(name) => self.discovery.find_name(name, now),
        };
        match begun {
            Ok(lookup) => drop(self.lookups.insert(lookup, reply)),
            Err(busy) => drop(reply.send(Err(busy))),
        }
    }

    pub(super) fn happened(&mut self, event: TransportEvent) {
        let now = self.shared.clock.now();
        match event {
            TransportEvent::Connected(node) => {
                self.membership.connected(node, now);
                self.gossip.connected(node, now);
                self.discovery.connected(node, now);
                self.observe(node);
                self.tell(NodeEvent::Connected(node));
            }
            TransportEvent::Disconnected(node) => {
                self.membership.disconnected(node, now);
                self.gossip.disconnected(node, now);
                self.discovery.disconnected(node, now);
                if let Some(neighbourhood) = &mut self.neighbourhood {
                    neighbourhood.disconnected(node, now);
                }
                self.wrong.remove(&node);
                if let Some(reader) = self.readers.remove(&node) {
                    reader.abort();
                }
                self.tell(NodeEvent::Disconnected(node));
            }
            TransportEvent::Stream(stream) => self.stream(stream),
            TransportEvent::AddressesChanged => {
                self.reissue(now);
                self.tell(NodeEvent::AddressesChanged);
            }
            TransportEvent::Found(addresses) => {
                for address in addresses {
                    self.try_call(address);
                }
            }
        }
    }

    pub(super) fn tell(&self, event: NodeEvent) {
        self.shared.tell(event);
    }

    /// A new record, with what holds now.
    pub(super) fn reissue(&mut self, now: Timestamp) {
        self.renew = now + self.options.record_life / 2;
        // Never twice, however soon after the other, and whether or not that is signed yet.
        self.version = now.as_millis().max(self.version.saturating_add(1));
        let record = record(&self.options, &self.kem, &self.shared.transport, self.version, now);
        let (identity, network) = (self.shared.identity.clone(), self.shared.network.clone());
        self.issuing.push(Box::pin(async move {
            let issued = record.issue(&identity, &network).await;
            issued.inspect_err(|error| tracing::warn!(%error, "the record of this node was not renewed")).ok()
        }));
    }

    /// A record was signed. An older one may come later, where signing takes long.
    fn issued(&mut self, record: SignedRecord) {
        let known = locked(&self.shared.view).record.record().version;
        if record.record().version > known {
            self.membership.set_record(record.clone());
            self.discovery.set_own(record.clone(), self.shared.clock.now());
            locked(&self.shared.view).record = record;
        }
    }

    fn stream(&mut self, stream: PeerStream) {
        let shared = self.shared.clone();
        if *stream.protocol() == RPC {
            tokio::spawn(async move { shared.server.answer(stream).await });
        } else if *stream.protocol() == TRANSFER {
            tokio::spawn(async move { shared.sharing.serve(stream).await });
        } else if *stream.protocol() == CONTROL {
            let (came, from) = (self.came.0.clone(), stream.peer());
            let reader = tokio::spawn(async move {
                let mut messages = FramedRead::new(stream, codec(shared.max_payload));
                while let Some(Ok(message)) = messages.next().await {
                    if came.send((from, message.freeze())).await.is_err() {
                        return;
                    }
                }
            });
            self.readers.retain(|_, reader| !reader.is_finished());
            // A peer has one of them: a new one takes the place of the one before.
            if let Some(before) = self.readers.insert(from, reader.abort_handle()) {
                before.abort();
            }
        } else {
            let acceptor = locked(&shared.acceptors).get(stream.protocol()).cloned();
            if acceptor.is_none_or(|acceptor| acceptor.try_send(stream).is_err()) {
                tracing::debug!("nobody takes a stream of a peer");
            }
        }
    }

    /// Where a peer is connected from: a direct connection may have taken the place of one through a relay since.
    fn observe(&mut self, node: NodeId) {
        if let Some(address) = self.shared.transport.address_of(&node) {
            self.discovery.observed(node, &address);
        }
    }

    /// A message of a peer for a machine.
    pub(super) fn receive(&mut self, from: NodeId, message: &[u8]) {
        let now = self.shared.clock.now();
        let Some((number, body)) = message.split_first() else { return };
        // Of a machine that this version does not have: a later one may.
        let Some(part) = Part::of(*number) else { return };
        let taken = match part {
            Part::Membership => self.membership.receive(from, body, now),
            Part::Gossip => self.gossip.receive(from, body, now),
            Part::Discovery => {
                self.observe(from);
                self.discovery.receive(from, body, now)
            }
            Part::Topology => match &mut self.neighbourhood {
                Some(neighbourhood) => neighbourhood.receive(from, body, now),
                None => Ok(()),
            },
        };
        // Who is gone is not to be disconnected, and nobody would forget what it said.
        if let Err(error) = taken
            && self.shared.transport.peers().contains(&from)
        {
            self.wrong.retain(|_, (_, since)| now.since(*since) <= Duration::from_secs(60));
            let (count, _) = self.wrong.entry(from).or_insert((0, now));
            *count += 1;
            tracing::debug!(peer = %from, %error, count, "a message of a peer is wrong");
            if *count > WRONG {
                self.wrong.remove(&from);
                self.disconnect(from);
            }
        }
    }

    pub(super) fn disconnect(&self, node: NodeId) {
        let transport = self.shared.transport.clone();
        tokio::spawn(async move { transport.disconnect(node).await });
    }
}
