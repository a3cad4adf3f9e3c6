//! Those who want to do harm.

use tokio::net::UdpSocket;

use super::*;

/// The first packet of a call, as far as can be seen without the keys of its connection id.
pub(super) fn initial(rng: &mut impl rand::Rng) -> Vec<u8> {
    let mut packet = vec![0xc0 | rng.random_range(0..16_u8), 0, 0, 0, 1];
    for _ in 0..2 {
        packet.push(8);
        packet.extend(rng.random::<[u8; 8]>());
    }
    // No token; so long.
    packet.extend([0, 0x44, 0x90]);
    packet.resize_with(1_200, || rng.random());
    packet
}

/// Whether a datagram is a retry (RFC 9000, 17.2.5).
fn is_retry(datagram: &[u8]) -> bool {
    datagram[0] & 0xf0 == 0xf0 && datagram[1..5] == [0, 0, 0, 1]
}

/// Begins calls from this address, as many as wanted, and counts the answers that ask for a proof of it.
async fn floods(from: &str, to: SocketAddr, calls: usize) -> usize {
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    let (mut retries, mut answer) = (0, [0; 2_000]);
    for _ in 0..calls {
        let packet = initial(&mut rand::rng());
        socket.send_to(&packet, to).await.unwrap();
        tokio::task::yield_now().await;
        while let Ok(len) = socket.try_recv(&mut answer) {
            assert!(len < packet.len(), "an answer is no more than what was sent");
            retries += usize::from(is_retry(&answer[..len]));
        }
    }
    retries
}

#[tokio::test]
async fn who_floods_with_first_packets_is_asked_for_a_proof_and_honest_peers_are_served() {
    let (mut a, b) = (Peer::new(), Peer::listening("/ip4/127.0.0.1/udp/0/quic-v1").await);
    let (to, at, id) = (b.port(), b.at[0].clone(), b.id);
    let mut comes = b.run();
    let mut retries = 0;
    while retries < 20 {
        retries += floods("127.0.0.1", to, 50).await;
    }
    // Of one subnet, four are let in at once, and one a second.
    let mut let_in = 0;
    while let Ok((_, made)) = comes.try_recv() {
        assert!(made.is_err());
        let_in += 1;
    }
    assert!(let_in <= 4 + 20, "{let_in}");
    // An honest one of the same subnet proves where it is, and is let in.
    let flooding = async {
        loop {
            floods("127.0.0.1", to, 10).await;
        }
    };
    let talking = async {
        let (_, mut ours) = a.call(&at, id).await.unwrap();
        let mut theirs = loop {
            if let (_, Ok((peer, theirs))) = comes.recv().await.unwrap() {
                assert_eq!(peer, a.id);
                break theirs;
            }
        };
        talks(&mut ours, &mut theirs).await;
    };
    tokio::select! {
        () = flooding => {}
        () = talking => {}
    }
}

#[tokio::test]
async fn garbage_is_passed_over() {
    let (mut a, b) = (Peer::new(), Peer::listening("/ip4/127.0.0.1/udp/0/quic-v1").await);
    let (to, at, id) = (b.port(), b.at[0].clone(), b.id);
    let mut comes = b.run();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut rng = rand::rng();
    for len in [0, 1, 4, 5, 6, 20, 21, 64, 1_199, 1_200, 1_201, 9_000] {
        for first in [0, 0x40, 0x80, 0xc0, 0xd0, 0xe0, 0xf0, 0xff] {
            let mut garbage = vec![0; len];
            rng.fill(&mut garbage[..]);
            if let Some(byte) = garbage.first_mut() {
                *byte = first;
            }
            socket.send_to(&garbage, to).await.unwrap();
            // The same, as of the version that is spoken.
            if len > 5 {
                garbage[1..5].copy_from_slice(&[0, 0, 0, 1]);
                socket.send_to(&garbage, to).await.unwrap();
            }
        }
    }
    let (_, mut ours) = a.call(&at, id).await.unwrap();
    let mut theirs = loop {
        if let (_, Ok((_, theirs))) = comes.recv().await.unwrap() {
            break theirs;
        }
    };
    talks(&mut ours, &mut theirs).await;
}

/// The hello takes two datagrams. Of those who call from here the first one arrives, and nothing else.
async fn stops_after_its_first_packet(to: SocketAddr) -> UdpSocket {
    let (near, far) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let mut caller = Peer::new();
    let making = caller.call(&multiaddr(near.local_addr().unwrap()), Peer::new().id);
    let mut packet = [0; 2_000];
    tokio::select! {
        made = making => panic!("{made:?}"),
        received = near.recv(&mut packet) => {
            far.send_to(&packet[..received.unwrap()], to).await.unwrap();
        }
    }
    far
}

#[tokio::test]
async fn who_stops_in_the_handshake_is_given_up_and_its_place_is_free_again() {
    let mut b = Peer::listening("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let _silent = stops_after_its_first_packet(b.port()).await;
    let Event::Incoming { upgrade, .. } = b.next().await else { panic!() };
    let free = b.transport.admission.free();
    let made = upgrade.await;
    assert!(matches!(made, Err(QuicError::TimedOut)), "{made:?}");
    assert_eq!(b.transport.admission.free(), free + 1);
}

#[tokio::test]
async fn nothing_is_computed_for_who_is_turned_away() {
    let (mut a, mut b) = (Peer::new(), Peer::listening("/ip4/127.0.0.1/udp/0/quic-v1").await);
    let making = a.call(&b.at[0], b.id);
    let turned_away = async {
        let Event::Incoming { upgrade, .. } = b.next().await else { panic!() };
        // As libp2p does when a limit is reached.
        drop(upgrade);
    };
    let (made, ()) = tokio::join!(making, turned_away);
    let refused = made.unwrap_err();
    assert!(
        matches!(refused, QuicError::Connection(quinn::ConnectionError::ConnectionClosed(_))),
        "{refused:?}"
    );
}
