//! Bytes between two nodes on this machine, beside raw quinn in the same run. Target: bulk at 90 % of it or more.
//!
//! All of it is in one process, sender and receiver included, and the rounds take turns. Raw quinn has its defaults, and TLS with
//! AWS-LC. Sealed streams encrypt once more on top of that, which is what they are for; bulk that is verified against its hash goes
//! unsealed.

use std::sync::Arc;
use std::time::Instant;

use daa_crypto::CryptoSuite;
use daa_net::auth::Auth;
use daa_net::rpc::CallOptions;
use daa_net::stream::{Protocol, StreamOptions};
use daa_net::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use daa_net::transport::{Transport, TransportEvent};
use daa_net::{Node, NodeIdentity, NodeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::line::{Better, Line};

const BULK: Protocol = Protocol::new("/bench/bulk/1");
const MIB: usize = 1 << 20;
const TOTAL: usize = 256 * MIB;
const ROUNDS: usize = 7;
const CALLS: usize = 2_000;

pub(crate) fn run() -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let quic = Pair::new("/ip4/127.0.0.1/udp/0/quic-v1").await;
        let tcp = Pair::new("/ip4/127.0.0.1/tcp/0").await;
        let raw = Raw::new().await;
        let sealed = StreamOptions::default().bulk();
        let mut rates = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            rates[0].push(raw.bulk().await);
            rates[1].push(quic.bulk(sealed.unsealed()).await);
            rates[2].push(quic.bulk(sealed).await);
            rates[3].push(tcp.bulk(sealed).await);
        }
        let [raw, unsealed, sealed, over_tcp] = rates.map(median);
        let line = |metric: &str, ours: f64| {
            Line::alone("transport", metric, "MB/s", ours).beside("raw quinn", raw, Better::Higher)
        };
        vec![
            line("bulk, QUIC, unsealed", unsealed),
            line("bulk, QUIC, sealed", sealed),
            line("bulk, TCP, sealed", over_tcp),
            Line::alone(
                "transport",
                "request and answer of 100 bytes, QUIC, sealed, median",
                "us",
                requests().await,
            ),
        ]
    })
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn auth() -> Auth {
    let suite = CryptoSuite::new();
    let identity = NodeIdentity::generate(&suite).expect("an identity");
    Auth::new(suite, identity, "bench".parse().expect("a name"))
}

/// Two nodes that are connected.
struct Pair(Libp2pTransport, Arc<Libp2pTransport>);

impl Pair {
    async fn new(listen: &str) -> Self {
        let start = async |options| Libp2pTransport::start(auth(), options).await.expect("a transport");
        let a = start(Libp2pOptions::new()).await;
        let b = start(Libp2pOptions::new().listening_on(listen.parse().expect("an address"))).await;
        a.connect(Some(b.node()), &b.addresses()).await.expect("a connection");
        Self(a, Arc::new(b))
    }

    /// Megabytes a second.
    async fn bulk(&self, options: StreamOptions) -> f64 {
        let to = self.1.clone();
        let receive = tokio::spawn(async move {
            loop {
                if let Some(TransportEvent::Stream(mut stream)) = to.next().await {
                    return drain(&mut stream).await;
                }
            }
        });
        let began = Instant::now();
        let mut stream = self.0.open(self.1.node(), BULK, options).await.expect("a stream");
        let part = vec![7; MIB];
        for _ in 0..TOTAL / MIB {
            stream.write_all(&part).await.expect("room");
        }
        stream.shutdown().await.expect("an end");
        assert_eq!(receive.await.expect("a receiver"), TOTAL);
        TOTAL as f64 / began.elapsed().as_secs_f64() / 1e6
    }
}

async fn drain(stream: &mut (impl AsyncReadExt + Unpin)) -> usize {
    let (mut part, mut all) = (vec![0; MIB], 0);
    while let len @ 1.. = stream.read(&mut part).await.expect("bytes") {
        all += len;
    }
    all
}

/// Two endpoints of quinn that are connected.
struct Raw(quinn::Connection, quinn::Connection, [quinn::Endpoint; 2]);

impl Raw {
    async fn new() -> Self {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let (cert, secret) = (key.cert.der().clone(), key.signing_key.serialize_der());
        let server = quinn::ServerConfig::with_single_cert(
            vec![cert.clone()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(secret).into(),
        );
        let local = "127.0.0.1:0".parse().expect("an address");
        let server = quinn::Endpoint::server(server.expect("a server"), local).expect("a socket");
        let mut client = quinn::Endpoint::client(local).expect("a socket");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(cert).expect("a root");
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_early_data = true;
        let config = quinn::crypto::rustls::QuicClientConfig::try_from(config).expect("a cipher for QUIC");
        client.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
        let connecting =
            client.connect(server.local_addr().expect("an address"), "localhost").expect("a call");
        let accepting = async { server.accept().await.expect("a call").await.expect("a connection") };
        let (ours, theirs) = tokio::join!(connecting, accepting);
        Self(ours.expect("a connection"), theirs, [client, server])
    }

    async fn bulk(&self) -> f64 {
        let to = self.1.clone();
        let receive = tokio::spawn(async move { drain(&mut to.accept_uni().await.expect("a stream")).await });
        let began = Instant::now();
        let mut stream = self.0.open_uni().await.expect("a stream");
        let part = vec![7; MIB];
        for _ in 0..TOTAL / MIB {
            stream.write_all(&part).await.expect("room");
        }
        stream.finish().expect("an end");
        assert_eq!(receive.await.expect("a receiver"), TOTAL);
        debug_assert_eq!(self.2.len(), 2);
        TOTAL as f64 / began.elapsed().as_secs_f64() / 1e6
    }
}

/// Microseconds from a request to its answer.
async fn requests() -> f64 {
    let node = async |listen: Libp2pOptions| {
        let auth = auth();
        let transport = Libp2pTransport::start(auth.clone(), listen).await.expect("a transport");
        Node::start(&auth, Arc::new(transport), NodeOptions::new()).await.expect("a node")
    };
    let listening =
        Libp2pOptions::new().listening_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().expect("an address"));
    let (a, b) = (node(Libp2pOptions::new()).await, node(listening).await);
    b.serve("echo/1", async |request| Ok(request.body));
    let to = a.join(&b.addresses()).await.expect("a node");
    let mut all = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        a.call(to, "echo/1", vec![7; 100].into(), CallOptions::default()).await.expect("an answer");
        all.push(began.elapsed().as_secs_f64() * 1e6);
    }
    median(all)
}
