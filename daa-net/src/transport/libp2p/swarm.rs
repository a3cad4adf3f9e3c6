//! The task that runs libp2p.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use libp2p::core::multiaddr::Protocol as Part;
use libp2p::core::transport::ListenerId;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, SwarmBuilder, autonat, dcutr, identify, mdns, noise, ping, relay, tcp, yamux,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::DropGuard;

use super::gate::{Gated, Gates};
use super::limits::is_local;
use super::options::Libp2pOptions;
use super::peers::{Opened, Peers, Reply, Table};
use super::quic::{QuicTransport, Strangers};
use super::relays::{Relays, Step};
use super::tls::{Tls, TlsUpgrade};
use super::whereabouts::{Reachability, Whereabouts, is_relayed, told};
use crate::auth::Auth;
use crate::node_id::NodeId;
use crate::stream::PeerStream;
use crate::transport::bandwidth::Meters;
use crate::transport::{TransportError, TransportEvent};

/// What a stranger may keep open without proving itself, and how long what nobody needs stays.
const IDLE: Duration = Duration::from_secs(10);
/// The most addresses that are taken from multicast at once.
const MDNS: usize = 64;
/// How long the connections may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the transport asks of its task.
#[derive(Debug)]
pub(super) enum Command {
    Connect { node: Option<NodeId>, addresses: Vec<Multiaddr>, reply: Reply },
    Disconnect { node: NodeId },
    ListenThrough { relay: NodeId, reply: oneshot::Sender<Result<(), TransportError>> },
    Close { reply: oneshot::Sender<()> },
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    peers: Peers,
    // These answer strangers.
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    // Multicast needs no connection.
    mdns: Toggle<mdns::tokio::Behaviour>,
    // All others wait behind the gate.
    relay: Toggle<Gated<relay::Behaviour>>,
    relay_client: Gated<relay::client::Behaviour>,
    dcutr: Gated<dcutr::Behaviour>,
    autonat: Gated<autonat::v2::client::Behaviour>,
    autonat_server: Gated<autonat::v2::server::Behaviour>,
}

/// Makes the swarm, listens, and runs it in a task of its own.
pub(super) async fn start(
    auth: Auth,
    options: Libp2pOptions,
    table: Table,
    streams: mpsc::Sender<PeerStream>,
    (commands, ends): (mpsc::Receiver<Command>, DropGuard),
    whereabouts: Arc<Mutex<Whereabouts>>,
) -> Result<(), TransportError> {
    let mut swarm = make(auth, &options, table.clone(), streams).await?;
    let is_announced = !options.announce.is_empty();
    for address in options.announce {
        swarm.add_external_address(address);
    }
    let mut left = Vec::new();
    for address in options.listen {
        let listener = swarm.listen_on(address.clone()).map_err(|error| TransportError::Listen {
            address: address.clone(),
            reason: error.to_string(),
        })?;
        left.push((listener, address));
    }
    let through = if options.lan_only { 0 } else { options.through };
    let relays = Relays::new(*swarm.local_peer_id(), through);
    let is_relay = options.relays;
    let is_public = is_relay || is_announced;
    let mut task =
        Task { swarm, table, commands, whereabouts, is_relay, is_public, relays, is_hidden: false };
    task.readdress();
    // What cannot be listened on is told at once.
    while !left.is_empty() {
        let event = task.swarm.select_next_some().await;
        match &event {
            SwarmEvent::NewListenAddr { listener_id, .. } => left.retain(|(id, _)| id != listener_id),
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                if let Some((_, address)) = left.iter().find(|(id, _)| id == listener_id) {
                    let reason = match reason {
                        Ok(()) => "it was closed".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    return Err(TransportError::Listen { address: address.clone(), reason });
                }
            }
            _ => {}
        }
        task.happened(event);
    }
    tokio::spawn(async move {
        task.run().await;
        drop(ends);
    });
    Ok(())
}

async fn make(
    auth: Auth,
    options: &Libp2pOptions,
    table: Table,
    streams: mpsc::Sender<PeerStream>,
) -> Result<Swarm<Behaviour>, TransportError> {
    fn setup(error: impl std::fmt::Display) -> TransportError {
        TransportError::Setup(error.to_string())
    }
    let keypair = Keypair::generate_ed25519();
    let own = keypair.public().to_peer_id();
    let mdns = if options.mdns {
        let config = mdns::Config::default();
        Some(mdns::tokio::Behaviour::new(config, own).map_err(setup)?)
    } else {
        None
    };
    let gates = Gates::default();
    let gated = gates.clone();
    let limits = (options.limits, options.lan_only, options.relays);
    let relay = options.relays.then(|| options.relay_limits.config());
    let meters = Meters::new(options.bandwidth);
    let tls = Tls::new(&keypair).map_err(setup)?;
    let upgrade = TlsUpgrade::new(tls.clone());
    let security = || {
        let upgrade = upgrade.clone();
        (move |_: &Keypair| Ok::<_, std::convert::Infallible>(upgrade), noise::Config::new)
    };
    let strangers = Strangers::default();
    let quic = QuicTransport::new(tls, strangers.clone()).map_err(setup)?;
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), security(), yamux::Config::default)
        .map_err(setup)?
        .with_other_transport(|_| quic)
        .map_err(setup)?
        .with_dns()
        .map_err(setup)?
        .with_websocket(security(), yamux::Config::default)
        .await
        .map_err(setup)?
        .with_relay_client(security(), yamux::Config::default)
        .map_err(setup)?
        .with_behaviour(move |keypair, relay_client| {
            let own = keypair.public().to_peer_id();
            let identify = identify::Config::new("/daa/1".to_owned(), keypair.public())
                .with_agent_version(concat!("daa/", env!("CARGO_PKG_VERSION")).to_owned());
            let relay = relay.map(|config| Gated::new(relay::Behaviour::new(own, config), gated.clone()));
            Behaviour {
                peers: Peers::new(auth, own, (gated.clone(), strangers), limits, table, (streams, meters)),
                identify: identify::Behaviour::new(identify),
                ping: ping::Behaviour::default(),
                mdns: mdns.into(),
                relay: relay.into(),
                relay_client: Gated::new(relay_client, gated.clone()),
                dcutr: Gated::new(dcutr::Behaviour::new(own), gated.clone()),
                autonat: Gated::new(autonat::v2::client::Behaviour::default(), gated.clone()),
                autonat_server: Gated::new(autonat::v2::server::Behaviour::default(), gated),
            }
        })
        .map_err(setup)?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE)
                // One round trip less for each stream.
                .with_substream_upgrade_protocol_override(Version::V1Lazy)
        })
        .build();
    Ok(swarm)
}

struct Task {
    swarm: Swarm<Behaviour>,
    table: Table,
    commands: mpsc::Receiver<Command>,
    whereabouts: Arc<Mutex<Whereabouts>>,
    is_relay: bool,
    /// Who runs this node says that others reach it.
    is_public: bool,
    relays: Relays,
    /// Who tried to call this node did not reach it.
    is_hidden: bool,
}

impl Task {
    async fn run(mut self) {
        loop {
            self.ask_relays();
            let wake = self.relays.next_wake();
            tokio::select! {
                event = self.swarm.select_next_some() => self.happened(event),
                () = until(wake) => {}
                command = self.commands.recv() => match command {
                    Some(Command::Connect { node, addresses, reply }) => {
                        self.swarm.behaviour_mut().peers.connect(node, addresses, reply);
                    }
                    Some(Command::Disconnect { node }) => self.swarm.behaviour_mut().peers.disconnect(&node),
                    Some(Command::ListenThrough { relay, reply }) => {
                        let _ = reply.send(self.listen_through(relay));
                    }
                    Some(Command::Close { reply }) => {
                        self.close().await;
                        let _ = reply.send(());
                        return;
                    }
                    None => return self.close().await,
                },
            }
        }
    }

    /// Ends all connections, so that the peers know at once.
    async fn close(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // It may have gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let ended = async {
            while self.swarm.connected_peers().next().is_some() {
                let event = self.swarm.select_next_some().await;
                self.happened(event);
            }
        };
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            tracing::debug!("not all connections ended in time");
        }
        self.table.nodes().clear();
        self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner).addresses.clear();
    }

    fn listen_through(&mut self, relay: NodeId) -> Result<(), TransportError> {
        let way = self.swarm.behaviour().peers.way_to(&relay);
        let (peer, address) = way.ok_or(TransportError::NotConnected { node: relay })?;
        self.listen_at(peer, address).map(drop)
    }

    fn listen_at(&mut self, relay: PeerId, address: Multiaddr) -> Result<ListenerId, TransportError> {
        let through = through(relay, address);
        self.swarm
            .listen_on(through.clone())
            .map_err(|error| TransportError::Listen { address: through, reason: error.to_string() })
    }

    /// Has as many relays as it needs.
    fn ask_relays(&mut self) {
        let now = Instant::now();
        while let Some(step) = self.relays.next(now) {
            match step {
                Step::Ask(relay) => {
                    let address = self.swarm.behaviour().peers.address_of(&relay);
                    match address.and_then(|address| self.listen_at(relay, address).ok()) {
                        Some(listener) => self.relays.asked(relay, listener),
                        None => self.relays.failed(relay, now),
                    }
                }
                Step::Stop(listener) => drop(self.swarm.remove_listener(listener)),
            }
        }
    }

    fn happened(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                // Who relays says that it can be reached, and has to say where.
                if self.is_relay && !is_relayed(&address) {
                    self.swarm.add_external_address(address);
                }
                self.readdress();
            }
            SwarmEvent::ListenerClosed { listener_id, .. } => {
                self.relays.ended(listener_id, Instant::now());
                self.readdress();
            }
            SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. } => self.readdress(),
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => self.relays.gone(peer_id),
            SwarmEvent::Behaviour(BehaviourEvent::Peers(Opened { peer, is_relay: true })) => {
                self.relays.found(peer);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Autonat(tried)) => {
                tracing::debug!(address = %tried.tested_addr, result = ?tried.result, "somebody tried to call this node");
                self.is_hidden |= tried.result.is_err();
                self.readdress();
            }
            SwarmEvent::Behaviour(BehaviourEvent::Dcutr(punched)) => match punched.result {
                Ok(_) => {
                    tracing::debug!(peer = %punched.remote_peer_id, "a relayed connection became a direct one")
                }
                Err(error) => {
                    tracing::debug!(peer = %punched.remote_peer_id, %error, "a connection stays with its relay")
                }
            },
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(mdns::Event::Discovered(found))) => {
                let found: Vec<Multiaddr> =
                    found.into_iter().take(MDNS).map(|(_, address)| address).collect();
                self.table.tell(TransportEvent::Found(found));
            }
            _ => {}
        }
    }

    /// Where this node can be reached has changed, perhaps.
    fn readdress(&mut self) {
        // That a neighbour in the local network has called it says nothing about anybody else.
        let is_outside = |address: &Multiaddr| !is_relayed(address) && !is_local(address);
        let is_public = self.is_public || self.swarm.external_addresses().any(is_outside);
        self.relays.set_public(is_public);
        let own = *self.swarm.local_peer_id();
        let addresses = told(own, self.swarm.external_addresses(), self.swarm.listeners());
        let mut now = self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner);
        now.reachability = match (is_public, self.is_hidden) {
            (true, _) => Reachability::Public,
            (false, true) => Reachability::Private,
            (false, false) => Reachability::Unknown,
        };
        if now.addresses != addresses {
            now.addresses = addresses;
            self.table.tell(TransportEvent::AddressesChanged);
        }
    }
}

/// Waits until then, or for ever.
async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

/// The address of who listens through a relay.
fn through(relay: PeerId, address: Multiaddr) -> Multiaddr {
    match address.with_p2p(relay) {
        Ok(address) | Err(address) => address.with(Part::P2pCircuit),
    }
}
