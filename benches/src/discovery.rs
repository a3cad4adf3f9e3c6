//! How long a lookup takes among 200 nodes, 50 ms from one to another and back. Target: 95 % within 500 ms.
//!
//! Ours goes along three paths that share no node, verifies the record of everybody it hears of, and opens sealed connections
//! on its way. Beside it, in the same run, stock Kademlia of libp2p over Noise and yamux. Both know one node at first, and
//! have looked for themselves. Lookups are for nodes by their id, one after the other, each by another node.

use std::sync::Arc;
use std::time::Duration;

use daa_crypto::CryptoSuite;
use daa_net::auth::Auth;
use daa_net::transport::MemoryNetwork;
use daa_net::{DiscoveryOptions, Node, NodeIdentity, NodeOptions, SubnetLimits};
use futures_util::StreamExt as _;
use libp2p::kad::{self, store::MemoryStore};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::line::{Better, Line};
use crate::plain_libp2p;

const NODES: usize = 200;
const ONE_WAY: Duration = Duration::from_millis(25);
const LOOKUPS: usize = 200;
const SETTLE: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run() -> Vec<Line> {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (ours, theirs) = (runtime().block_on(ours()), runtime().block_on(kademlia()));
    let line = |metric: &str, at: f64| {
        let of = |all: &[f64]| all[((all.len() - 1) as f64 * at) as usize];
        Line::alone("discovery", metric, "ms", of(&ours)).beside("libp2p-kad", of(&theirs), Better::Lower)
    };
    vec![line("lookup among 200, 50 ms apart, p50", 0.5), line("lookup among 200, 50 ms apart, p95", 0.95)]
}

/// The node that looks, and the one that is looked for.
fn pair(number: usize) -> (usize, usize) {
    (number * 7 % NODES, (number * 13 + NODES / 2) % NODES)
}

async fn ours() -> Vec<f64> {
    let (suite, network) = (CryptoSuite::new(), MemoryNetwork::with_delay(ONE_WAY));
    let discovery = DiscoveryOptions::default().with_subnets(SubnetLimits::default().with_local_exempt());
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..NODES {
        let identity = NodeIdentity::generate(&suite).expect("an identity");
        let auth = Auth::new(suite.clone(), identity, "bench".parse().expect("a name"));
        let transport = Arc::new(network.join(auth.clone()));
        let options = NodeOptions::new().with_discovery(discovery);
        let node = Node::start(&auth, transport, options).await.expect("a node");
        if let Some(first) = nodes.first() {
            node.join(&first.addresses()).await.expect("the first node");
        }
        nodes.push(node);
    }
    sleep(SETTLE).await;
    let mut took = Vec::new();
    for number in 0..LOOKUPS {
        let (from, to) = pair(number);
        if from == to {
            continue;
        }
        let began = Instant::now();
        let found =
            timeout(PATIENCE, nodes[from].look_up(nodes[to].id())).await.expect("an end").expect("a lookup");
        assert!(found.is_some(), "a node that is there is found");
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    took
}

type Wanted = (PeerId, oneshot::Sender<bool>);

async fn kademlia() -> Vec<f64> {
    let (mut askers, mut peers): (Vec<mpsc::UnboundedSender<Wanted>>, Vec<PeerId>) = (Vec::new(), Vec::new());
    for place in 1..=NODES as u64 {
        let mut swarm = plain_libp2p::node(place, ONE_WAY, |key| {
            let own = key.public().to_peer_id();
            let mut kad = kad::Behaviour::new(own, MemoryStore::new(own));
            kad.set_mode(Some(kad::Mode::Server));
            kad
        });
        swarm.add_external_address(format!("/memory/{place}").parse().expect("an address"));
        if let Some(first) = peers.first() {
            let address: Multiaddr = "/memory/1".parse().expect("an address");
            swarm.behaviour_mut().add_address(first, address);
            swarm.behaviour_mut().bootstrap().expect("a first node");
        }
        peers.push(*swarm.local_peer_id());
        let (ask, mut asked) = mpsc::unbounded_channel::<Wanted>();
        askers.push(ask);
        tokio::spawn(async move {
            let mut waiting: Option<(kad::QueryId, Wanted)> = None;
            loop {
                tokio::select! {
                    wanted = asked.recv() => {
                        let Some(wanted) = wanted else { return };
                        waiting = Some((swarm.behaviour_mut().get_closest_peers(wanted.0), wanted));
                    }
                    event = swarm.select_next_some() => {
                        let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed { id, result, .. }) = event else { continue };
                        let kad::QueryResult::GetClosestPeers(Ok(found)) = result else { continue };
                        if let Some((_, (peer, reply))) = waiting.take_if(|(query, _)| *query == id) {
                            let _ = reply.send(found.peers.iter().any(|found| found.peer_id == peer));
                        }
                    }
                }
            }
        });
    }
    sleep(SETTLE).await;
    let mut took = Vec::new();
    for number in 0..LOOKUPS {
        let (from, to) = pair(number);
        if from == to {
            continue;
        }
        let (reply, found) = oneshot::channel();
        let began = Instant::now();
        askers[from].send((peers[to], reply)).expect("a node");
        // That it does not find a node is its own affair.
        let _ = timeout(PATIENCE, found).await;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    took
}
