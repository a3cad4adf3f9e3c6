//! A libp2p node that knows nothing of this crate.

use std::sync::Arc;
use std::time::Duration;

use daa_net::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use daa_net::transport::{ConnectError, Transport as _};
use futures_util::StreamExt as _;
use libp2p::multiaddr::Protocol as Part;
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, identify, noise, ping, tcp, yamux};
use libp2p_stream::OpenStreamError;

use crate::support::auth;

#[derive(NetworkBehaviour)]
struct Stock {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: libp2p_stream::Behaviour,
}

fn stock() -> Swarm<Stock> {
    stock_that_pings(ping::Config::default())
}

fn stock_that_pings(pings: ping::Config) -> Swarm<Stock> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_quic()
        .with_behaviour(move |keypair| Stock {
            identify: identify::Behaviour::new(identify::Config::new("stock".to_owned(), keypair.public())),
            ping: ping::Behaviour::new(pings.clone()),
            streams: libp2p_stream::Behaviour::new(),
        })
        .unwrap()
        .build()
}

async fn ours(listen: &str) -> (Arc<Libp2pTransport>, Multiaddr, PeerId) {
    let options = Libp2pOptions::new().listening_on(listen.parse().unwrap()).relaying();
    let transport = Libp2pTransport::start(auth(), options).await.unwrap();
    let address = transport.addresses().remove(0);
    let Some(Part::P2p(peer)) = address.iter().last() else { panic!("{address}") };
    (Arc::new(transport), address, peer)
}

async fn a_stranger_is_identified_and_pinged_and_refused_for_the_rest(listen: &str) {
    let (ours, address, peer) = ours(listen).await;
    let mut stock = stock();
    let control = stock.behaviour().streams.new_control();
    stock.dial(address).unwrap();
    // Once: who answers (libp2p-ping 0.48) hears of the next one with whatever wakes its connection next.
    let (mut protocols, mut is_pinged) = (Vec::new(), false);
    while protocols.is_empty() || !is_pinged {
        match stock.select_next_some().await {
            SwarmEvent::Behaviour(StockEvent::Identify(identify::Event::Received { info, .. })) => {
                assert_eq!(info.protocol_version, "/daa/1");
                protocols = info.protocols;
            }
            SwarmEvent::Behaviour(StockEvent::Ping(ping::Event { result, .. })) => {
                result.unwrap();
                is_pinged = true;
            }
            SwarmEvent::ConnectionClosed { cause, .. } => panic!("{cause:?}"),
            _ => {}
        }
    }
    let mut names: Vec<_> = protocols.iter().map(StreamProtocol::to_string).collect();
    names.sort();
    assert_eq!(names, ["/daa/pq-auth/1", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0"]);

    let run = tokio::spawn(async move {
        loop {
            stock.select_next_some().await;
        }
    });
    for name in [
        "/daa/stream/1",
        "/libp2p/circuit/relay/0.2.0/hop",
        "/libp2p/circuit/relay/0.2.0/stop",
        "/libp2p/dcutr",
        "/libp2p/autonat/2/dial-request",
        "/libp2p/autonat/2/dial-back",
    ] {
        let opened = control.clone().open_stream(peer, StreamProtocol::new(name)).await;
        assert!(matches!(opened, Err(OpenStreamError::UnsupportedProtocol(_))), "{name}: {opened:?}");
    }
    assert_eq!(ours.peers(), []);
    run.abort();
}

#[tokio::test]
async fn a_stranger_is_identified_and_pinged_and_refused_for_the_rest_on_tcp() {
    a_stranger_is_identified_and_pinged_and_refused_for_the_rest("/ip4/127.0.0.1/tcp/0").await;
}

#[tokio::test]
async fn a_stranger_is_identified_and_pinged_and_refused_for_the_rest_on_quic() {
    a_stranger_is_identified_and_pinged_and_refused_for_the_rest("/ip4/127.0.0.1/udp/0/quic-v1").await;
}

/// Until that many pings were answered; whether the connection is still there then.
async fn pinged(stock: &mut Swarm<Stock>, times: usize) -> bool {
    let mut answered = 0;
    while answered < times {
        match stock.select_next_some().await {
            SwarmEvent::Behaviour(StockEvent::Ping(ping::Event { result: Ok(_), .. })) => answered += 1,
            SwarmEvent::ConnectionClosed { .. } => return false,
            _ => {}
        }
    }
    true
}

#[tokio::test]
async fn a_stranger_that_always_has_something_to_do_is_hung_up_on_when_its_time_is_over() {
    let (ours, address, _) = ours("/ip4/127.0.0.1/tcp/0").await;
    let mut stock = stock_that_pings(ping::Config::new().with_interval(Duration::from_millis(20)));
    stock.dial(address).unwrap();
    assert!(pinged(&mut stock, 2).await);
    // From now on time passes when the test says so. While something blocks, it does not by itself.
    let (goes_on, waits) = std::sync::mpsc::channel::<()>();
    let blocked = tokio::task::spawn_blocking(move || waits.recv());
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!(pinged(&mut stock, 5).await, "it may stay for 30 s");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert!(!pinged(&mut stock, 200).await, "it pings on and on");
    assert_eq!(ours.peers(), []);
    drop(goes_on);
    assert!(blocked.await.unwrap().is_err());
}

#[tokio::test]
async fn who_does_not_know_the_handshake_is_no_node() {
    let (ours, ..) = ours("/ip4/127.0.0.1/tcp/0").await;
    let mut stock = stock();
    stock.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = stock.select_next_some().await {
            break address;
        }
    };
    let run = tokio::spawn(async move {
        loop {
            stock.select_next_some().await;
        }
    });
    let met = ours.connect(None, &[address]).await;
    assert!(matches!(met, Err(ConnectError::Handshake(_))), "{met:?}");
    assert_eq!(ours.peers(), []);
    run.abort();
}
