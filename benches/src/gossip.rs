//! How long a message of 1 KiB takes to everybody: 50 nodes, 50 ms from one to another and back. Target: 99 % within 500 ms.
//!
//! All nodes are in this process, ours with their handshakes, seals and signatures, and beside them, in the same run, as many of
//! stock gossipsub over Noise and yamux, each connected to all others too. One message after the other, each of another node.

use std::sync::Arc;
use std::time::Duration;

use daa_crypto::CryptoSuite;
use daa_net::auth::Auth;
use daa_net::gossip::Validation;
use daa_net::transport::MemoryNetwork;
use daa_net::{Node, NodeIdentity, NodeOptions};
use futures_util::StreamExt as _;
use libp2p::gossipsub::{self, MessageAuthenticity};
use libp2p::swarm::SwarmEvent;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::line::{Better, Line};
use crate::plain_libp2p;

const NODES: usize = 50;
const ONE_WAY: Duration = Duration::from_millis(25);
const MESSAGES: usize = 200;
const APART: Duration = Duration::from_millis(50);
const LEN: usize = 1 << 10;
const PATIENCE: Duration = Duration::from_secs(120);

/// Of each message, when it came to whom.
type Arrivals = mpsc::UnboundedReceiver<(u64, Instant)>;

pub(crate) fn run() -> Vec<Line> {
    let measured = |network: fn() -> Networking| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { measure(network().await).await })
    };
    let (ours, theirs) = (measured(ours), measured(gossipsub));
    let line = |metric: &str, at: f64| {
        let of = |all: &[f64]| all[((all.len() - 1) as f64 * at) as usize];
        Line::alone("gossip", metric, "ms", of(&ours)).beside("gossipsub", of(&theirs), Better::Lower)
    };
    vec![
        line("50 nodes, 50 ms apart, p50", 0.5),
        line("50 nodes, 50 ms apart, p99", 0.99),
        line("the last of all", 1.0),
    ]
}

/// Publishes as one of the nodes; and what came.
type Network = (Box<dyn FnMut(usize, Vec<u8>)>, Arrivals);
type Networking = std::pin::Pin<Box<dyn Future<Output = Network>>>;

fn payload(number: u64) -> Vec<u8> {
    let mut bytes = vec![7; LEN];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn number_of(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"))
}

/// Milliseconds from publishing to each arrival, in order.
async fn measure((mut publish, mut arrivals): Network) -> Vec<f64> {
    // Until one message of each node has come to all others, the meshes are made.
    let warm = async {
        for round in 0.. {
            for node in 0..NODES {
                publish(node, payload(u64::MAX));
            }
            let all = NODES * (NODES - 1);
            let mut came = 0;
            while came < all && timeout(Duration::from_secs(5), arrivals.recv()).await.is_ok() {
                came += 1;
            }
            if came >= all && round > 0 {
                return;
            }
        }
    };
    timeout(PATIENCE, warm).await.expect("everybody hears everybody");
    while timeout(Duration::from_secs(2), arrivals.recv()).await.is_ok() {}
    let mut sent = Vec::with_capacity(MESSAGES);
    for number in 0..MESSAGES {
        sent.push(Instant::now());
        publish(number % NODES, payload(number as u64));
        sleep(APART).await;
    }
    let mut all = Vec::new();
    while all.len() < MESSAGES * (NODES - 1) {
        let (number, at) =
            timeout(PATIENCE, arrivals.recv()).await.expect("all messages come").expect("nodes");
        if let Some(sent) = sent.get(number as usize) {
            all.push((at - *sent).as_secs_f64() * 1e3);
        }
    }
    all.sort_by(f64::total_cmp);
    all
}

fn ours() -> Networking {
    Box::pin(async {
        let (suite, network) = (CryptoSuite::new(), MemoryNetwork::with_delay(ONE_WAY));
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let topic: daa_net::gossip::Topic = "bench".parse().expect("a topic");
        let mut nodes: Vec<Node> = Vec::new();
        for _ in 0..NODES {
            let identity = NodeIdentity::generate(&suite).expect("an identity");
            let auth = Auth::new(suite.clone(), identity, "bench".parse().expect("a name"));
            let transport = Arc::new(network.join(auth.clone()));
            let node = Node::start(&auth, transport, NodeOptions::new()).await.expect("a node");
            if let Some(first) = nodes.first() {
                node.join(&first.addresses()).await.expect("the first node");
            }
            let mut heard = node.subscribe(topic.clone(), Validation::Signature).await.expect("a topic");
            let arrived = arrived.clone();
            tokio::spawn(async move {
                while let Some(message) = heard.next().await {
                    let _ = arrived.send((number_of(&message.message.payload), Instant::now()));
                }
            });
            nodes.push(node);
        }
        let all_known = async {
            while nodes.iter().any(|node| node.members().len() < NODES - 1) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, all_known).await.expect("all know each other");
        let publish = move |node: usize, payload: Vec<u8>| {
            let (node, topic) = (nodes[node].clone(), topic.clone());
            tokio::spawn(async move { node.publish(topic, payload.into()).await.expect("published") });
        };
        (Box::new(publish) as _, arrivals)
    })
}

fn gossipsub() -> Networking {
    Box::pin(async {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let topic = gossipsub::IdentTopic::new("bench");
        let mut publishers = Vec::new();
        for place in 1..=NODES as u64 {
            let mut swarm = plain_libp2p::node(place, ONE_WAY, |key| {
                let signed = MessageAuthenticity::Signed(key.clone());
                gossipsub::Behaviour::<gossipsub::IdentityTransform>::new(
                    signed,
                    gossipsub::Config::default(),
                )
                .expect("a behaviour")
            });
            swarm.behaviour_mut().subscribe(&topic).expect("a topic");
            for other in 1..place {
                swarm
                    .dial(format!("/memory/{other}").parse::<libp2p::Multiaddr>().expect("an address"))
                    .expect("a call");
            }
            let (publish, mut published) = mpsc::unbounded_channel::<Vec<u8>>();
            let (arrived, topic) = (arrived.clone(), topic.clone());
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        payload = published.recv() => {
                            let Some(payload) = payload else { return };
                            // Before the meshes are made there may be nobody to tell.
                            let _ = swarm.behaviour_mut().publish(topic.clone(), payload);
                        }
                        event = swarm.select_next_some() => {
                            if let SwarmEvent::Behaviour(gossipsub::Event::Message { message, .. }) = event {
                                let _ = arrived.send((number_of(&message.data), Instant::now()));
                            }
                        }
                    }
                }
            });
            publishers.push(publish);
        }
        let publish = move |node: usize, payload: Vec<u8>| publishers[node].send(payload).expect("a node");
        (Box::new(publish) as _, arrivals)
    })
}
