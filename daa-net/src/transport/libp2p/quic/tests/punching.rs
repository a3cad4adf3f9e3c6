//! Holes in NATs.

use super::*;

const HERE: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

#[tokio::test]
async fn both_call_at_once_and_the_one_that_plays_the_listener_is_called() {
    let (mut a, mut b) = (Peer::listening(HERE).await, Peer::listening(HERE).await);
    let awaited = a.dial(&b.at[0], Some(b.id), Role::Listener, PortUse::Reuse).unwrap();
    let making = b.dial(&a.at[0], Some(a.id), Role::Dialer, PortUse::Reuse).unwrap();
    let (a_id, b_id) = (a.id, b.id);
    let (mut of_a, mut of_b) = (a.run(), b.run());
    let (awaited, made) = tokio::join!(awaited, making);
    let ((caller, mut theirs), (called, mut ours)) = (awaited.unwrap(), made.unwrap());
    assert_eq!((caller, called), (b_id, a_id));
    talks(&mut ours, &mut theirs).await;
    // It is one connection, and nobody else has come.
    assert!(of_a.try_recv().is_err() && of_b.try_recv().is_err());
}

#[tokio::test]
async fn noise_goes_from_the_port_that_listens_until_the_call_comes() {
    let mut a = Peer::listening(HERE).await;
    let there = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (at, peer) = (multiaddr(there.local_addr().unwrap()), Peer::new().id);
    let awaited = a.dial(&at, Some(peer), Role::Listener, PortUse::New).unwrap();
    let mut heard = Vec::new();
    tokio::select! {
        made = awaited => panic!("{made:?}"),
        () = async {
            for _ in 0..3 {
                let mut noise = [0; 2_000];
                let (len, from) = there.recv_from(&mut noise).await.unwrap();
                assert_eq!((len, from), (64, a.port()));
                heard.push(noise);
            }
        } => {}
    }
    assert!(heard[0] != heard[1] && heard[1] != heard[2]);
}

#[tokio::test]
async fn a_hole_needs_a_port_a_peer_and_a_place_of_its_own() {
    let (mut a, b) = (Peer::new(), Peer::listening(HERE).await);
    let nowhere = a.dial(&b.at[0], Some(b.id), Role::Listener, PortUse::Reuse);
    assert!(matches!(nowhere, Err(Failure::Other(QuicError::NoListener))));
    a.listen(HERE).await;
    let nobody = a.dial(&b.at[0], None, Role::Listener, PortUse::Reuse);
    assert!(matches!(nobody, Err(Failure::MultiaddrNotSupported(_))));
    let first = a.dial(&b.at[0], Some(b.id), Role::Listener, PortUse::Reuse).unwrap();
    let second = a.dial(&b.at[0], Some(b.id), Role::Listener, PortUse::Reuse);
    assert!(matches!(second, Err(Failure::Other(QuicError::Punching(_)))));
    drop(first);
    a.dial(&b.at[0], Some(b.id), Role::Listener, PortUse::Reuse).unwrap();
}

#[tokio::test]
async fn somebody_else_who_calls_from_there_is_not_the_one() {
    let (mut a, mut b, other) = (Peer::listening(HERE).await, Peer::listening(HERE).await, Peer::new());
    let awaited = a.dial(&b.at[0], Some(other.id), Role::Listener, PortUse::Reuse).unwrap();
    let making = b.dial(&a.at[0], Some(a.id), Role::Dialer, PortUse::Reuse).unwrap();
    let b_id = b.id;
    let _runs = (a.run(), b.run());
    let (awaited, _) = tokio::join!(awaited, making);
    let refused = awaited.unwrap_err();
    assert!(
        matches!(refused, QuicError::Refused(Refused::WrongPeer { expected, found }) if expected == other.id && found == b_id)
    );
}

#[tokio::test]
async fn a_call_from_a_made_up_address_does_not_keep_the_peer_out() {
    let (mut a, mut b) = (Peer::listening(HERE).await, Peer::listening(HERE).await);
    let awaited = a.dial(&b.at[0], Some(b.id), Role::Listener, PortUse::Reuse).unwrap();
    // From the port of the peer, before it calls.
    let socket = b.transport.listeners[0].socket().unwrap();
    for _ in 0..50 {
        // It is full now and then.
        let _ = socket.send_to(&hostile::initial(&mut rand::rng()), a.port());
    }
    let making = b.dial(&a.at[0], Some(a.id), Role::Dialer, PortUse::Reuse).unwrap();
    let b_id = b.id;
    let _runs = (a.run(), b.run());
    let (awaited, _made) = tokio::join!(awaited, making);
    assert_eq!(awaited.unwrap().0, b_id);
}
