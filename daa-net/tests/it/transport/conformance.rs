//! What holds on every transport.

use std::time::Duration;

use daa_net::auth::{Access, HandshakeError};
use daa_net::stream::{Protocol, StreamOptions};
use daa_net::transport::{ConnectError, TransportError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{World, auth, auth_of, disconnected, identity, stream};

const ECHO: Protocol = Protocol::new("/test/echo/1");

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

pub(super) async fn bytes_go_both_ways_in_order(world: World) {
    let (a, b) = world.pair().await;
    let whole = pattern(1_000_000);
    let sent = whole.clone();
    let mut ours = a.open(b.node(), ECHO, StreamOptions::default()).await.unwrap();
    assert_eq!((ours.peer(), ours.protocol()), (b.node(), &ECHO));
    let write = tokio::spawn(async move {
        let mut at = 0;
        for len in [0, 1, 2, 65_535, 65_536, 65_537, 200_000].into_iter().cycle() {
            let part = &sent[at..(at + len).min(sent.len())];
            ours.write_all(part).await.unwrap();
            at += part.len();
            if at == sent.len() {
                break;
            }
        }
        ours.shutdown().await.unwrap();
        let mut back = Vec::new();
        ours.read_to_end(&mut back).await.unwrap();
        back
    });
    let mut theirs = stream(&*b).await;
    assert_eq!((theirs.peer(), theirs.protocol()), (a.node(), &ECHO));
    let mut came = Vec::new();
    theirs.read_to_end(&mut came).await.unwrap();
    assert!(came == whole);
    theirs.write_all(&came).await.unwrap();
    theirs.shutdown().await.unwrap();
    assert!(write.await.unwrap() == whole);
}

pub(super) async fn what_was_written_before_the_end_is_not_lost(world: World) {
    let (a, b) = world.pair().await;
    for len in [0, 1, 65_536, 300_000] {
        let mut ours = a.open(b.node(), ECHO, StreamOptions::default()).await.unwrap();
        let (whole, sent) = (pattern(len), pattern(len));
        let write = tokio::spawn(async move {
            ours.write_all(&sent).await.unwrap();
            ours.shutdown().await.unwrap();
            assert!(ours.write_all(b"more").await.is_err());
            ours
        });
        let mut came = Vec::new();
        stream(&*b).await.read_to_end(&mut came).await.unwrap();
        assert!(came == whole);
        drop(write.await.unwrap());
    }
}

pub(super) async fn a_stream_that_was_dropped_does_not_look_finished(world: World) {
    let (a, b) = world.pair().await;
    let mut ours = a.open(b.node(), ECHO, StreamOptions::default()).await.unwrap();
    ours.write_all(b"half of ").await.unwrap();
    ours.flush().await.unwrap();
    let mut theirs = stream(&*b).await;
    let mut came = [0; 8];
    theirs.read_exact(&mut came).await.unwrap();
    drop(ours);
    let mut rest = Vec::new();
    assert!(theirs.read_to_end(&mut rest).await.is_err());
    assert!(rest.is_empty());
}

pub(super) async fn who_does_not_read_slows_only_its_own_stream(world: World) {
    let (a, b) = world.pair().await;
    let mut stuck = a.open(b.node(), ECHO, StreamOptions::default().bulk()).await.unwrap();
    let writes = tokio::spawn(async move {
        let part = pattern(1 << 16);
        let mut written = 0_usize;
        // Until the other side has no more room.
        while tokio::time::timeout(Duration::from_secs(1), stuck.write_all(&part)).await.is_ok() {
            written += part.len();
            assert!(written < 256 << 20, "nothing held it back");
        }
        stuck
    });
    let not_read = stream(&*b).await;
    let stuck = writes.await.unwrap();
    let mut other = a.open(b.node(), ECHO, StreamOptions::default()).await.unwrap();
    other.write_all(b"hello").await.unwrap();
    other.shutdown().await.unwrap();
    let mut text = String::new();
    stream(&*b).await.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
    drop((stuck, not_read));
}

pub(super) async fn streams_end_with_their_connection(world: World) {
    let (a, b) = world.pair().await;
    let mut ours = a.open(b.node(), ECHO, StreamOptions::default()).await.unwrap();
    ours.write_all(b"hello").await.unwrap();
    ours.flush().await.unwrap();
    let mut theirs = stream(&*b).await;
    a.disconnect(b.node()).await;
    disconnected(&*a, b.node()).await;
    disconnected(&*b, a.node()).await;
    assert_eq!((a.peers(), b.peers()), (vec![], vec![]));
    let mut came = Vec::new();
    assert!(theirs.read_to_end(&mut came).await.is_err());
    assert!(ours.read_to_end(&mut came).await.is_err());
    let opened = a.open(b.node(), ECHO, StreamOptions::default()).await;
    assert!(matches!(opened, Err(TransportError::NotConnected { node }) if node == b.node()));
    // And again.
    a.connect(Some(b.node()), &b.addresses()).await.unwrap();
    assert_eq!(a.peers(), [b.node()]);
}

pub(super) async fn only_the_expected_node_will_do(world: World) {
    let (a, b, c) = (world.join(auth()).await, world.join(auth()).await, world.join(auth()).await);
    let met = a.connect(Some(c.node()), &b.addresses()).await;
    assert!(matches!(met, Err(ConnectError::Handshake(_))), "{met:?}");
    assert_eq!((a.peers(), b.peers()), (vec![], vec![]));
    // Whoever is there.
    assert_eq!(a.connect(None, &b.addresses()).await.unwrap(), b.node());
    assert!(matches!(a.connect(Some(a.node()), &a.addresses()).await, Err(ConnectError::Itself)));
    assert!(matches!(a.connect(Some(c.node()), &[]).await, Err(ConnectError::NoAddress)));
}

pub(super) async fn other_networks_and_those_that_are_denied_stay_out(world: World) {
    let a = world.join(auth()).await;
    let stranger = world.join(auth_of(&identity(), "other")).await;
    let met = stranger.connect(Some(a.node()), &a.addresses()).await;
    assert!(matches!(met, Err(ConnectError::Handshake(HandshakeError::Auth(_)))), "{met:?}");

    let denied = auth();
    let strict = world.join(auth().with_access(Access::everybody().without(denied.node()))).await;
    let denied = world.join(denied).await;
    let met = denied.connect(Some(strict.node()), &strict.addresses()).await;
    // The initiator has its session before it is turned away: it may see a connection, and loses it.
    if met.is_ok() {
        disconnected_at_last(&denied, strict.node()).await;
    }
    assert_eq!((a.peers(), strict.peers()), (vec![], vec![]));
}

async fn disconnected_at_last(transport: &daa_net::transport::SharedTransport, node: daa_net::NodeId) {
    use daa_net::transport::TransportEvent;
    loop {
        if matches!(transport.next().await.unwrap(), TransportEvent::Disconnected(found) if found == node) {
            return;
        }
    }
}

pub(super) async fn who_is_connected_is_not_called_again(world: World) {
    let (a, b) = world.pair().await;
    for _ in 0..3 {
        assert_eq!(a.connect(Some(b.node()), &b.addresses()).await.unwrap(), b.node());
    }
    assert_eq!(a.peers(), [b.node()]);
    assert_eq!(b.peers(), [a.node()]);
}

pub(super) async fn both_may_call_at_once(world: World) {
    let (a, b) = (world.join(auth()).await, world.join(auth()).await);
    let (to_b, to_a) = (b.addresses(), a.addresses());
    let (first, second) = tokio::join!(a.connect(Some(b.node()), &to_b), b.connect(Some(a.node()), &to_a));
    assert_eq!((first.unwrap(), second.unwrap()), (b.node(), a.node()));
    crate::support::connected(&*a, b.node()).await;
    crate::support::connected(&*b, a.node()).await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        let mut ours = from.open(to.node(), ECHO, StreamOptions::default()).await.unwrap();
        ours.write_all(b"hello").await.unwrap();
        ours.shutdown().await.unwrap();
        let mut text = String::new();
        stream(&**to).await.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
    }
}

pub(super) async fn unsealed_streams_carry_the_same_bytes(world: World) {
    let (a, b) = world.pair().await;
    let options = StreamOptions::default().bulk().unsealed();
    let mut ours = a.open(b.node(), ECHO, options).await.unwrap();
    let whole = pattern(500_000);
    let sent = whole.clone();
    let write = tokio::spawn(async move {
        ours.write_all(&sent).await.unwrap();
        ours.shutdown().await.unwrap();
        ours
    });
    let mut theirs = stream(&*b).await;
    assert_eq!(theirs.options(), options);
    let mut came = Vec::new();
    theirs.read_to_end(&mut came).await.unwrap();
    assert!(came == whole);
    drop(write.await.unwrap());
}

pub(super) async fn there_are_so_many_streams_and_no_more(world: World) {
    let (a, b) = world.pair().await;
    let mut held = Vec::new();
    let busy = loop {
        match a.open(b.node(), ECHO, StreamOptions::default()).await {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
    };
    assert!(matches!(busy, TransportError::Busy { node } if node == b.node()), "{busy:?}");
    assert_eq!(held.len(), 128);
    held.pop();
    let mut one = a.open(b.node(), ECHO, StreamOptions::default()).await.unwrap();
    one.write_all(b"one").await.unwrap();
    one.shutdown().await.unwrap();
    let mut text = String::new();
    stream(&*b).await.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "one");
}

pub(super) async fn a_closed_transport_says_so(world: World) {
    let (a, b) = world.pair().await;
    let waits = {
        let b = b.clone();
        tokio::spawn(async move { while b.next().await.is_some() {} })
    };
    tokio::task::yield_now().await;
    b.close().await;
    waits.await.unwrap();
    disconnected(&*a, b.node()).await;
    assert_eq!(b.addresses(), []);
    assert!(a.connect(Some(b.node()), &b.addresses()).await.is_err());
}
