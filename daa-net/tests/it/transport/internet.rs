//! What holds for nodes on libp2p.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daa_crypto::FrameCipher;
use daa_net::stream::{Protocol, StreamOptions};
use daa_net::transport::libp2p::{
    ConnectionLimits, Libp2pOptions, Libp2pTransport, Reachability, RelayLimits,
};
use daa_net::transport::{ConnectError, Transport, TransportError, TransportEvent};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol as Part;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{auth, connected, stream};

const HELLO: Protocol = Protocol::new("/test/hello/1");

async fn start(options: Libp2pOptions) -> Libp2pTransport {
    Libp2pTransport::start(auth(), options).await.unwrap()
}

fn on(address: &str) -> Libp2pOptions {
    Libp2pOptions::new().listening_on(address.parse().unwrap())
}

fn port(address: &Multiaddr) -> u16 {
    let port = |part| match part {
        Part::Tcp(port) | Part::Udp(port) => Some(port),
        _ => None,
    };
    address.iter().find_map(port).unwrap()
}

/// Which cipher and group a server agreed to, from what it said in the clear (RFC 8446, 4.1.3 and 4.2.8).
fn agreed(said: &[u8]) -> Option<(u16, u16)> {
    let at = said.windows(6).position(|head| head[..3] == [0x16, 3, 3] && head[5] == 2)?;
    let hello = &said[at + 5 + 4..];
    // Version, random, session id, cipher suite, compression.
    let session = usize::from(hello[34]);
    let mut rest = &hello[35 + session..];
    let cipher = u16::from_be_bytes([rest[0], rest[1]]);
    rest = &rest[3..];
    let end = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
    rest = &rest[2..2 + end];
    while rest.len() >= 4 {
        let (kind, len) =
            (u16::from_be_bytes([rest[0], rest[1]]), usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        if kind == 51 {
            return Some((cipher, u16::from_be_bytes([rest[4], rest[5]])));
        }
        rest = &rest[4 + len..];
    }
    None
}

#[tokio::test]
async fn tls_between_nodes_agrees_on_a_post_quantum_group_and_a_cipher_that_is_fast_here() {
    let b = start(on("/ip4/127.0.0.1/tcp/0")).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = port(&b.addresses()[0]);
    let here = proxy.local_addr().unwrap().port();
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    tokio::spawn(async move {
        let (mut near, _) = proxy.accept().await.unwrap();
        let mut far = TcpStream::connect(("127.0.0.1", there)).await.unwrap();
        let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.split(), far.split());
        let back = async {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = from_far.read(&mut bytes).await {
                heard.lock().unwrap().extend_from_slice(&bytes[..len]);
                to_near.write_all(&bytes[..len]).await.unwrap();
            }
        };
        let _ = tokio::join!(copy(&mut from_near, &mut to_far), back);
    });
    let a = start(Libp2pOptions::new()).await;
    let address = format!("/ip4/127.0.0.1/tcp/{here}").parse().unwrap();
    a.connect(Some(b.node()), &[address]).await.unwrap();
    // TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256.
    let has_aes = FrameCipher::supported().contains(&FrameCipher::Aes256Gcm);
    let cipher = if has_aes { 0x1302 } else { 0x1303 };
    // X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem).
    assert_eq!(agreed(&said.lock().unwrap()), Some((cipher, 0x11ec)));
}

#[tokio::test]
async fn who_cannot_be_called_is_reached_through_a_relay() {
    let relay = start(on("/ip4/127.0.0.1/udp/0/quic-v1").relaying()).await;
    let hidden = start(Libp2pOptions::new()).await;
    assert!(matches!(hidden.listen_through(relay.node()).await, Err(TransportError::NotConnected { .. })));
    hidden.connect(Some(relay.node()), &relay.addresses()).await.unwrap();
    hidden.listen_through(relay.node()).await.unwrap();
    while hidden.addresses().is_empty() {
        hidden.next().await.unwrap();
    }
    let addresses = hidden.addresses();
    assert!(addresses[0].iter().any(|part| matches!(part, Part::P2pCircuit)), "{addresses:?}");

    let caller = start(Libp2pOptions::new()).await;
    assert_eq!(caller.connect(Some(hidden.node()), &addresses).await.unwrap(), hidden.node());
    // Where it is was not seen, and that is said.
    let at = caller.address_of(&hidden.node()).unwrap();
    assert!(at.iter().any(|part| matches!(part, Part::P2pCircuit)), "{at}");
    let mut ours = caller.open(hidden.node(), HELLO, StreamOptions::default()).await.unwrap();
    ours.write_all(b"hello").await.unwrap();
    ours.shutdown().await.unwrap();
    loop {
        if let TransportEvent::Stream(mut theirs) = hidden.next().await.unwrap() {
            assert_eq!(theirs.peer(), caller.node());
            let mut text = String::new();
            theirs.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "hello");
            break;
        }
    }
}

/// The ports of the relays that a node says listen for it.
fn relays_of(node: &Libp2pTransport) -> BTreeSet<u16> {
    let is_relayed = |address: &Multiaddr| address.iter().any(|part| matches!(part, Part::P2pCircuit));
    node.addresses().iter().filter(|address| is_relayed(address)).map(port).collect()
}

async fn has_relays(node: &Libp2pTransport, are: impl Fn(&BTreeSet<u16>) -> bool) -> BTreeSet<u16> {
    loop {
        let relays = relays_of(node);
        if are(&relays) {
            return relays;
        }
        node.next().await.unwrap();
    }
}

#[tokio::test]
async fn who_cannot_be_called_has_relays_by_itself_and_another_one_when_one_goes() {
    let mut relays = Vec::new();
    for _ in 0..3 {
        relays.push(start(on("/ip4/127.0.0.1/udp/0/quic-v1").relaying()).await);
    }
    let hidden = start(Libp2pOptions::new()).await;
    for relay in &relays {
        hidden.connect(Some(relay.node()), &relay.addresses()).await.unwrap();
    }
    let used = has_relays(&hidden, |relays| relays.len() == 2).await;
    let lost = relays.iter().position(|relay| used.contains(&port(&relay.addresses()[0]))).unwrap();
    let lost = relays.remove(lost);
    let gone = port(&lost.addresses()[0]);
    lost.close().await;
    let left: BTreeSet<u16> = relays.iter().map(|relay| port(&relay.addresses()[0])).collect();
    assert!(!left.contains(&gone));
    has_relays(&hidden, |relays| *relays == left).await;

    let caller = start(Libp2pOptions::new()).await;
    assert_eq!(caller.connect(Some(hidden.node()), &hidden.addresses()).await.unwrap(), hidden.node());
    assert_eq!(caller.address_of(&hidden.node()), None);
    assert_ne!(hidden.reachability(), Reachability::Public);
    assert_eq!(relays[0].reachability(), Reachability::Public);
}

#[tokio::test]
async fn who_cannot_be_called_learns_it_from_whom_it_called() {
    let open = start(on("/ip4/127.0.0.1/udp/0/quic-v1")).await;
    let hidden = start(Libp2pOptions::new()).await;
    hidden.connect(Some(open.node()), &open.addresses()).await.unwrap();
    let tried = async {
        while hidden.reachability() == Reachability::Unknown {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), tried).await.expect("nobody tries to call it");
    assert_eq!(hidden.reachability(), Reachability::Private);
}

#[tokio::test]
async fn a_relay_serves_as_many_as_it_may() {
    let limits = RelayLimits::default().with_nodes(1).with_circuits(1, 1);
    let small = start(on("/ip4/127.0.0.1/udp/0/quic-v1").relaying_within(limits)).await;
    let large = start(on("/ip4/127.0.0.1/udp/0/quic-v1").relaying()).await;
    let (of_small, of_large) = (port(&small.addresses()[0]), port(&large.addresses()[0]));
    let first = start(Libp2pOptions::new()).await;
    first.connect(Some(small.node()), &small.addresses()).await.unwrap();
    has_relays(&first, |relays| relays.contains(&of_small)).await;
    // There is no place for another one.
    let second = start(Libp2pOptions::new().through_relays(1)).await;
    second.connect(Some(small.node()), &small.addresses()).await.unwrap();
    second.connect(Some(large.node()), &large.addresses()).await.unwrap();
    assert_eq!(has_relays(&second, |relays| !relays.is_empty()).await, BTreeSet::from([of_large]));
    // Nor for a second connection.
    let callers = [start(Libp2pOptions::new()).await, start(Libp2pOptions::new()).await];
    callers[0].connect(Some(first.node()), &first.addresses()).await.unwrap();
    let refused = callers[1].connect(Some(first.node()), &first.addresses()).await;
    assert!(matches!(refused, Err(ConnectError::Unreachable(_))), "{refused:?}");
}

#[tokio::test]
async fn who_does_not_relay_says_so() {
    let plain = start(on("/ip4/127.0.0.1/udp/0/quic-v1")).await;
    let hidden = start(Libp2pOptions::new()).await;
    hidden.connect(Some(plain.node()), &plain.addresses()).await.unwrap();
    let listening = hidden.listen_through(plain.node()).await;
    let waits = tokio::time::timeout(Duration::from_secs(2), async {
        while hidden.addresses().is_empty() {
            hidden.next().await.unwrap();
        }
    });
    assert!(listening.is_err() || waits.await.is_err());
    assert_eq!(hidden.addresses(), []);
}

#[tokio::test]
async fn strangers_take_no_more_than_their_share_of_connections() {
    let limits = ConnectionLimits::default().with_unproved(8, 3).with_per_subnet(6);
    let node = start(on("/ip4/127.0.0.1/tcp/0").with_limits(limits)).await;
    let port = port(&node.addresses()[0]);
    // They connect, and say nothing.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    // Those that are turned away are closed before anything is said; the others are waited for by the node, for ten seconds.
    let looks = silent.into_iter().map(|mut stream| async move {
        let mut byte = [0; 1];
        let looked = tokio::time::timeout(Duration::from_secs(4), stream.read(&mut byte)).await;
        (!matches!(looked, Ok(Ok(0) | Err(_)))).then_some(stream)
    });
    let left: Vec<_> = futures_util::future::join_all(looks).await.into_iter().flatten().collect();
    assert!((1..=3).contains(&left.len()), "{} are left", left.len());
    // When they are gone there is room for honest ones, up to the limit of their subnet.
    drop(left);
    let mut honest = Vec::new();
    let mut refused = 0;
    for _ in 0..8 {
        let peer = start(Libp2pOptions::new()).await;
        let mut tries = 0;
        let met = loop {
            match peer.connect(Some(node.node()), &node.addresses()).await {
                Err(_) if honest.len() < 6 && tries < 50 => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                met => break met,
            }
        };
        match met {
            Ok(_) => honest.push(peer),
            Err(_) => refused += 1,
        }
    }
    assert_eq!((honest.len(), refused), (6, 2));
}

#[tokio::test]
async fn many_who_want_the_same_node_at_once_do_not_stand_in_each_others_way() {
    let node = start(on("/ip4/127.0.0.1/tcp/0")).await;
    let caller = start(Libp2pOptions::new()).await;
    let addresses = node.addresses();
    let calls = (0..100).map(|_| caller.connect(Some(node.node()), &addresses));
    for met in futures_util::future::join_all(calls).await {
        assert_eq!(met.unwrap(), node.node());
    }
}

#[tokio::test]
async fn a_node_of_the_local_network_is_reached_though_it_is_elsewhere_too() {
    let node = start(Libp2pOptions::loopback()).await;
    let mut addresses = node.addresses();
    let Some(Part::P2p(peer)) = addresses[0].iter().last() else { panic!("{addresses:?}") };
    let far: Multiaddr = "/ip4/203.0.113.9/udp/4001/quic-v1".parse().unwrap();
    addresses.push(far.with(Part::P2p(peer)));
    let local = start(Libp2pOptions::new().lan_only()).await;
    local.connect(Some(node.node()), &addresses).await.unwrap();
}

#[tokio::test]
async fn a_node_of_the_local_network_stays_in_it() {
    let local = start(on("/ip4/127.0.0.1/udp/0/quic-v1").lan_only()).await;
    let far = "/ip4/203.0.113.9/udp/4001/quic-v1".parse().unwrap();
    let met = local.connect(None, &[far]).await;
    assert!(matches!(met, Err(ConnectError::Limit(_))), "{met:?}");
    let other = start(Libp2pOptions::loopback()).await;
    local.connect(Some(other.node()), &other.addresses()).await.unwrap();
}

/// Whoever is behind a relay may be anywhere, though the relay is of the local network.
#[tokio::test]
async fn a_node_of_the_local_network_is_not_reached_through_a_relay_and_reaches_nobody_through_one() {
    let relay = start(on("/ip4/127.0.0.1/udp/0/quic-v1").relaying()).await;
    let behind = async |options| {
        let hidden = start(options).await;
        hidden.connect(Some(relay.node()), &relay.addresses()).await.unwrap();
        hidden.listen_through(relay.node()).await.unwrap();
        while hidden.addresses().is_empty() {
            hidden.next().await.unwrap();
        }
        hidden
    };
    let (open, local) = (behind(Libp2pOptions::new()).await, behind(Libp2pOptions::new().lan_only()).await);
    let far = start(Libp2pOptions::new()).await;
    let met = far.connect(Some(local.node()), &local.addresses()).await;
    assert!(met.is_err(), "{met:?}");
    assert_eq!(far.connect(Some(open.node()), &open.addresses()).await.unwrap(), open.node());
    let met = local.connect(Some(open.node()), &open.addresses()).await;
    assert!(matches!(met, Err(ConnectError::Limit(_))), "{met:?}");
    assert_eq!(local.peers(), [relay.node()]);
}

#[tokio::test]
async fn what_cannot_be_listened_on_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    for address in [format!("/ip4/127.0.0.1/tcp/{port}"), "/memory/7".to_owned()] {
        let started = Libp2pTransport::start(auth(), on(&address)).await;
        assert!(matches!(started, Err(TransportError::Listen { .. })), "{address}: {started:?}");
    }
}

/// The test calls itself with the variable set.
#[tokio::test]
async fn the_keys_of_connections_are_written_into_no_file() {
    const CHILD: &str = "DAA_NET_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let node = start(all_carriers()).await;
        for address in node.addresses() {
            let peer = start(Libp2pOptions::new()).await;
            peer.connect(Some(node.node()), &[address]).await.unwrap();
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "transport::internet::the_keys_of_connections_are_written_into_no_file";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let child =
        child.args(["--exact", name]).env(CHILD, "1").env("SSLKEYLOGFILE", folder.path().join("keys"));
    let output = child.output().unwrap();
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "{output:?}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn all_carriers() -> Libp2pOptions {
    ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"]
        .into_iter()
        .fold(Libp2pOptions::new(), |options, address| options.listening_on(address.parse().unwrap()))
}

#[tokio::test]
async fn quic_tcp_and_websocket_lead_to_the_same_node() {
    let node = start(all_carriers()).await;
    assert_eq!(node.addresses().len(), 3);
    for address in node.addresses() {
        let peer = start(Libp2pOptions::new()).await;
        peer.connect(Some(node.node()), std::slice::from_ref(&address)).await.unwrap();
        connected(&node, peer.node()).await;
        let mut ours = peer.open(node.node(), HELLO, StreamOptions::default()).await.unwrap();
        ours.write_all(address.to_string().as_bytes()).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut text = String::new();
        stream(&node).await.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, address.to_string());
        peer.close().await;
        crate::support::disconnected(&node, peer.node()).await;
    }
}
