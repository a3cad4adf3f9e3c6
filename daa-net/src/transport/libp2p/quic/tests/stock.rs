//! libp2p's own QUIC at the other end.

use futures_util::StreamExt as _;
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{SwarmBuilder, identify, ping};

use super::*;

#[derive(NetworkBehaviour)]
struct Plain {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

fn plain(key: &Keypair) -> Plain {
    let identify = identify::Config::new("plain".to_owned(), key.public());
    Plain { identify: identify::Behaviour::new(identify), ping: ping::Behaviour::default() }
}

fn stock() -> Swarm<Plain> {
    SwarmBuilder::with_new_identity().with_tokio().with_quic().with_behaviour(plain).unwrap().build()
}

fn ours() -> Swarm<Plain> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|key| QuicTransport::new(Tls::new(key).unwrap(), Strangers::default()).unwrap())
        .unwrap()
        .with_behaviour(plain)
        .unwrap()
        .build()
}

/// Runs until this one has identified the other, and has had an answer to a ping.
async fn learns(swarm: &mut Swarm<Plain>, other: PeerId) {
    let (mut is_identified, mut is_pinged) = (false, false);
    while !(is_identified && is_pinged) {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(PlainEvent::Identify(identify::Event::Received { info, .. })) => {
                assert_eq!(info.public_key.to_peer_id(), other);
                is_identified = true;
            }
            SwarmEvent::Behaviour(PlainEvent::Ping(ping::Event { result, .. })) => {
                result.unwrap();
                is_pinged = true;
            }
            SwarmEvent::ConnectionClosed { cause, .. } => panic!("{cause:?}"),
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error:?}"),
            SwarmEvent::IncomingConnectionError { error, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
}

async fn run(mut swarm: Swarm<Plain>) {
    loop {
        swarm.select_next_some().await;
    }
}

async fn meet(mut caller: Swarm<Plain>, mut called: Swarm<Plain>) {
    called.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = called.select_next_some().await {
            break address;
        }
    };
    let (one, other) = (*caller.local_peer_id(), *called.local_peer_id());
    caller.dial(address.with(Part::P2p(other))).unwrap();
    tokio::join!(
        async {
            learns(&mut caller, other).await;
            tokio::spawn(run(caller));
        },
        async {
            learns(&mut called, one).await;
            tokio::spawn(run(called));
        }
    );
}

#[tokio::test]
async fn a_stock_node_calls_and_is_identified_and_pinged() {
    meet(stock(), ours()).await;
}

#[tokio::test]
async fn a_stock_node_is_called_and_is_identified_and_pinged() {
    meet(ours(), stock()).await;
}
