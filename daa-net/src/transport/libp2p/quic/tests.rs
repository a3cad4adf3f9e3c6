use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures_util::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use libp2p::core::muxing::StreamMuxerExt as _;
use libp2p::identity::Keypair;
use rand::RngExt as _;
use tokio::sync::mpsc;

use super::connection::QuicStream;
use super::*;

mod hostile;
mod places;
mod punching;
mod stock;

/// A transport that is not run yet.
struct Peer {
    id: PeerId,
    transport: QuicTransport,
    strangers: Strangers,
    at: Vec<Multiaddr>,
}

impl Peer {
    fn new() -> Self {
        let key = Keypair::generate_ed25519();
        let strangers = Strangers::default();
        let transport = QuicTransport::new(Tls::new(&key).unwrap(), strangers.clone()).unwrap();
        Self { id: key.public().to_peer_id(), transport, strangers, at: Vec::new() }
    }

    async fn listening(address: &str) -> Self {
        let mut peer = Self::new();
        peer.listen(address).await;
        peer
    }

    /// Listens, and waits for the first address.
    async fn listen(&mut self, address: &str) -> ListenerId {
        let id = ListenerId::next();
        self.transport.listen_on(id, address.parse().unwrap()).unwrap();
        match self.next().await {
            Event::NewAddress { listener_id, listen_addr } if listener_id == id => self.at.push(listen_addr),
            other => panic!("{other:?}"),
        }
        id
    }

    async fn next(&mut self) -> Event<Making, QuicError> {
        poll_fn(|cx| Pin::new(&mut self.transport).poll(cx)).await
    }

    fn call(&mut self, at: &Multiaddr, peer: PeerId) -> Making {
        self.dial(at, Some(peer), Role::Dialer, PortUse::Reuse).unwrap()
    }

    fn dial(
        &mut self,
        at: &Multiaddr,
        peer: Option<PeerId>,
        role: Role,
        port_use: PortUse,
    ) -> Result<Making, Failure<QuicError>> {
        let address = peer.into_iter().fold(at.clone(), |at, peer| at.with(Part::P2p(peer)));
        self.transport.dial(address, DialOpts { role, port_use })
    }

    fn port(&self) -> SocketAddr {
        parse(&self.at[0]).unwrap().0
    }

    /// Runs it, and lets everybody in: with the address from which they called.
    fn run(mut self) -> mpsc::UnboundedReceiver<(Multiaddr, Made)> {
        let (came, comes) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while !came.is_closed() {
                if let Event::Incoming { upgrade, send_back_addr, .. } = self.next().await {
                    let came = came.clone();
                    tokio::spawn(async move { came.send((send_back_addr, upgrade.await)) });
                }
            }
        });
        comes
    }
}

/// The other end of the first connection.
async fn met(comes: &mut mpsc::UnboundedReceiver<(Multiaddr, Made)>) -> (PeerId, QuicConnection) {
    comes.recv().await.unwrap().1.unwrap()
}

async fn open(connection: &mut QuicConnection) -> QuicStream {
    poll_fn(|cx| connection.poll_outbound_unpin(cx)).await.unwrap()
}

async fn taken(connection: &mut QuicConnection) -> QuicStream {
    poll_fn(|cx| connection.poll_inbound_unpin(cx)).await.unwrap()
}

/// Bytes go both ways.
async fn talks(one: &mut QuicConnection, other: &mut QuicConnection) {
    let mut ours = open(one).await;
    ours.write_all(b"hello").await.unwrap();
    ours.close().await.unwrap();
    ours.close().await.unwrap();
    let (mut theirs, mut text) = (taken(other).await, String::new());
    theirs.read_to_string(&mut text).await.unwrap();
    theirs.write_all(text.to_uppercase().as_bytes()).await.unwrap();
    theirs.close().await.unwrap();
    text.clear();
    ours.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "HELLO");
}

#[tokio::test]
async fn peers_meet_and_talk() {
    for address in ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip6/::1/udp/0/quic-v1"] {
        let (mut a, b) = (Peer::new(), Peer::listening(address).await);
        let making = a.call(&b.at[0], b.id);
        let (a_id, b_id) = (a.id, b.id);
        let mut comes = b.run();
        let (found, mut ours) = making.await.unwrap();
        let (called, mut theirs) = met(&mut comes).await;
        assert_eq!((found, called), (b_id, a_id));
        talks(&mut ours, &mut theirs).await;
        talks(&mut theirs, &mut ours).await;
        poll_fn(|cx| ours.poll_close_unpin(cx)).await.unwrap();
        let end = poll_fn(|cx| theirs.poll_inbound_unpin(cx)).await;
        assert!(
            matches!(end, Err(QuicError::Connection(quinn::ConnectionError::ApplicationClosed(_)))),
            "{end:?}"
        );
    }
}

#[tokio::test]
async fn only_the_expected_peer_will_do() {
    let (mut a, b, other) = (Peer::new(), Peer::listening("/ip4/127.0.0.1/udp/0/quic-v1").await, Peer::new());
    let making = a.call(&b.at[0], other.id);
    let mut comes = b.run();
    let refused = making.await.unwrap_err();
    assert!(refused.to_string().contains(&other.id.to_string()), "{refused}");
    assert!(matches!(comes.recv().await.unwrap().1, Err(QuicError::Connection(_))));
}

#[tokio::test]
async fn a_stranger_has_little_room_until_it_has_proved_itself() {
    let (mut a, b) = (Peer::new(), Peer::listening("/ip4/127.0.0.1/udp/0/quic-v1").await);
    let making = a.call(&b.at[0], b.id);
    let (strangers, id) = (b.strangers.clone(), a.id);
    let mut comes = b.run();
    let ((_, mut ours), (_, mut theirs)) = (making.await.unwrap(), met(&mut comes).await);
    let mut streams = Vec::new();
    for _ in 0..strangers::STRANGER_STREAMS {
        streams.push(open(&mut ours).await);
    }
    let one_more = poll_fn(|cx| Poll::Ready(ours.poll_outbound_unpin(cx).is_ready())).await;
    assert!(!one_more);
    let (mut sent, part) = (0, [7; 1024]);
    // What nobody reads stops at the window.
    while let Some(len) = poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut streams[0]).poll_write(cx, &part) {
            Poll::Ready(len) => Some(len.unwrap()),
            Poll::Pending => None,
        })
    })
    .await
    {
        sent += len;
    }
    assert_eq!(sent, strangers::STRANGER_WINDOW as usize);
    let _unread = taken(&mut theirs).await;

    strangers.proved(&id);
    streams[0].write_all(&part).await.unwrap();
    streams.push(open(&mut ours).await);
}

/// What a server of QUIC hears from who calls.
#[derive(Debug)]
struct Heard(mpsc::UnboundedSender<(Vec<rustls::CipherSuite>, Vec<rustls::NamedGroup>, Option<String>)>);

impl rustls::server::ResolvesServerCert for Heard {
    fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let groups = hello.named_groups().unwrap_or_default().to_vec();
        let name = hello.server_name().map(str::to_owned);
        self.0.send((hello.cipher_suites().to_vec(), groups, name)).unwrap();
        None
    }
}

#[tokio::test]
async fn who_calls_asks_for_the_post_quantum_group_and_its_fast_cipher_and_names_nobody() {
    use daa_crypto::FrameCipher;
    use rustls::{CipherSuite, NamedGroup};

    let (heard, mut hears) = mpsc::unbounded_channel();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Heard(heard)));
    let crypto = Arc::new(quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap());
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Endpoint::server(quinn::ServerConfig::with_crypto(crypto), local).unwrap();
    let mut a = Peer::new();
    let making =
        a.dial(&multiaddr(server.local_addr().unwrap()), None, Role::Dialer, PortUse::Reuse).unwrap();
    let answering = async { server.accept().await.unwrap().await };
    let (refused, _) = tokio::join!(making, answering);
    assert!(refused.is_err());
    let (ciphers, groups, name) = hears.recv().await.unwrap();
    let aes = CipherSuite::TLS13_AES_256_GCM_SHA384;
    let is_fast = FrameCipher::supported().contains(&FrameCipher::Aes256Gcm);
    let first = if is_fast { aes } else { CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 };
    assert_eq!(
        (ciphers[0], groups, name),
        (first, vec![NamedGroup::X25519MLKEM768, NamedGroup::X25519], None)
    );
}
