//! Peers that speak libp2p, and lie in the handshake.

use std::time::Duration;

use daa_net::transport::Transport as _;
use daa_net::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::multiaddr::Protocol as Part;
use libp2p::{PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};

use crate::support::auth;

const AUTH: StreamProtocol = StreamProtocol::new("/daa/pq-auth/1");

fn swarm() -> Swarm<libp2p_stream::Behaviour> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .build()
}

/// Says this in the place of the handshake, and waits until it is answered or hung up on: what was answered.
async fn says(node: &Libp2pTransport, peer: PeerId, bytes: Vec<u8>) -> Vec<u8> {
    let mut swarm = swarm();
    swarm.dial(node.addresses().remove(0)).unwrap();
    let mut control = swarm.behaviour().new_control();
    let run = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let mut stream = loop {
        match control.open_stream(peer, AUTH).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let mut answer = Vec::new();
    // The node may hang up before it has heard everything.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.close().await;
    let _ = stream.read_to_end(&mut answer).await;
    run.abort();
    answer
}

#[tokio::test]
async fn garbage_in_the_place_of_the_handshake_is_hung_up_on_and_honest_nodes_go_on() {
    let options = Libp2pOptions::new().listening_on("/ip4/127.0.0.1/tcp/0".parse().unwrap());
    let node = Libp2pTransport::start(auth(), options).await.unwrap();
    let Some(Part::P2p(peer)) = node.addresses()[0].iter().last() else { panic!() };
    let mut huge = vec![255, 255];
    huge.resize(70_000, 7);
    for bytes in [vec![], vec![0, 0], vec![0, 5, 1, 2, 3, 4, 5], vec![0, 200, 1, 2], huge] {
        assert_eq!(says(&node, peer, bytes).await, b"");
    }
    assert_eq!(node.peers(), []);
    let honest = Libp2pTransport::start(auth(), Libp2pOptions::new()).await.unwrap();
    honest.connect(Some(node.node()), &node.addresses()).await.unwrap();
}
