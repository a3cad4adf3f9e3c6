//! Where peers listen, and from where they call.

use super::*;

#[tokio::test]
async fn addresses_are_those_of_quic_and_nothing_else() {
    let peer = Keypair::generate_ed25519().public().to_peer_id();
    let with_peer = format!("/ip6/2001:db8::1/udp/4001/quic-v1/p2p/{peer}");
    for (text, expected) in [
        ("/ip4/192.0.2.1/udp/4001/quic-v1", Some(("192.0.2.1:4001", None))),
        (with_peer.as_str(), Some(("[2001:db8::1]:4001", Some(peer)))),
        ("/ip4/192.0.2.1/udp/4001", None),
        ("/ip4/192.0.2.1/udp/4001/quic", None),
        ("/ip4/192.0.2.1/tcp/4001/quic-v1", None),
        ("/dns4/a.example/udp/4001/quic-v1", None),
        ("/ip4/192.0.2.1/udp/4001/quic-v1/webtransport", None),
        (&format!("/ip4/192.0.2.1/udp/4001/quic-v1/p2p/{peer}/p2p-circuit"), None),
        ("", None),
    ] {
        let address: Multiaddr = text.parse().unwrap();
        let parsed = parse(&address);
        assert_eq!(parsed, expected.map(|(ip, peer)| (ip.parse().unwrap(), peer)), "{text}");
        if let Some((ip, None)) = parsed {
            assert_eq!(multiaddr(ip), address);
        }
    }
    let mut a = Peer::new();
    for nowhere in ["/ip4/0.0.0.0/udp/1/quic-v1", "/ip6/::/udp/1/quic-v1", "/ip4/192.0.2.1/udp/0/quic-v1"] {
        let made = a.dial(&nowhere.parse().unwrap(), None, Role::Dialer, PortUse::Reuse);
        assert!(matches!(made, Err(Failure::MultiaddrNotSupported(_))), "{nowhere}");
    }
}

#[tokio::test]
async fn who_listens_everywhere_tells_where_that_is_in_each_family_by_itself() {
    let mut a = Peer::new();
    let id = ListenerId::next();
    a.transport.listen_on(id, "/ip4/0.0.0.0/udp/0/quic-v1".parse().unwrap()).unwrap();
    while !a.at.iter().any(|at| parse(at).unwrap().0.ip().is_loopback()) {
        let Event::NewAddress { listener_id, listen_addr } = a.next().await else { panic!() };
        assert_eq!(listener_id, id);
        assert!(parse(&listen_addr).unwrap().0.is_ipv4());
        a.at.push(listen_addr);
    }
    let port = a.port().port();
    let six = ListenerId::next();
    a.transport.listen_on(six, format!("/ip6/::/udp/{port}/quic-v1").parse().unwrap()).unwrap();
    loop {
        let Event::NewAddress { listener_id, listen_addr } = a.next().await else { panic!() };
        let (at, _) = parse(&listen_addr).unwrap();
        assert_eq!((at.is_ipv6(), at.port()), (listener_id == six, port));
        assert!(!matches!(at, SocketAddr::V6(at) if at.ip().is_unicast_link_local()));
        if at.is_ipv6() && at.ip().is_loopback() {
            break;
        }
    }
}

#[tokio::test]
async fn what_is_taken_cannot_be_listened_on() {
    let mut a = Peer::listening("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let again = a.at[0].clone();
    assert!(matches!(
        a.transport.listen_on(ListenerId::next(), again),
        Err(Failure::Other(QuicError::Io(_)))
    ));
    let other = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    let listening = a.transport.listen_on(ListenerId::next(), other);
    assert!(matches!(listening, Err(Failure::MultiaddrNotSupported(_))));
}

#[tokio::test]
async fn who_listens_calls_from_that_port_unless_another_one_is_asked_for() {
    let mut a = Peer::listening("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let b = Peer::listening("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let reused = a.call(&b.at[0], b.id);
    let new = a.dial(&b.at[0], Some(b.id), Role::Dialer, PortUse::New).unwrap();
    let ours = a.at[0].clone();
    let mut comes = b.run();
    let (_first, (from, _)) = (reused.await.unwrap(), comes.recv().await.unwrap());
    assert_eq!(from, ours);
    let (_second, (from, _)) = (new.await.unwrap(), comes.recv().await.unwrap());
    assert_ne!(from, ours);
}

#[tokio::test]
async fn who_listens_only_to_this_machine_calls_others_from_elsewhere() {
    let a = Peer::listening("/ip4/127.0.0.1/udp/0/quic-v1").await;
    for (remote, reaches) in [("127.0.0.9:1", true), ("192.0.2.1:1", false), ("[::1]:1", false)] {
        assert_eq!(a.transport.listener_for(&remote.parse().unwrap()).is_some(), reaches, "{remote}");
    }
}

#[tokio::test]
async fn who_listens_no_more_keeps_its_connections() {
    let (mut a, mut b) = (Peer::new(), Peer::new());
    let id = b.listen("/ip4/127.0.0.1/udp/0/quic-v1").await;
    let making = a.call(&b.at[0], b.id);
    let theirs = async {
        let Event::Incoming { upgrade, .. } = b.next().await else { panic!() };
        upgrade.await.unwrap()
    };
    let (ours, (_, mut theirs)) = tokio::join!(making, theirs);
    let (_, mut ours) = ours.unwrap();
    assert!(b.transport.remove_listener(id));
    assert!(
        matches!(b.next().await, Event::ListenerClosed { listener_id, reason: Ok(()) } if listener_id == id)
    );
    assert!(!b.transport.remove_listener(id));
    talks(&mut ours, &mut theirs).await;
    talks(&mut theirs, &mut ours).await;
    let mut late = a.call(&b.at[0], b.id);
    tokio::select! {
        made = &mut late => panic!("{made:?}"),
        () = async { for _ in 0..20 { talks(&mut ours, &mut theirs).await; } } => {}
    }
}
