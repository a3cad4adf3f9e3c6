//! A flood on real sockets: what it costs who is flooded, and whether honest peers are served meanwhile.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use daa_net::rpc::CallOptions;
use daa_net::stream::{Protocol, StreamOptions};
use daa_net::transport::Transport as _;
use daa_net::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use daa_net::{Node, NodeId, NodeOptions};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol as Part;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::auth;

const VICTIM: &str = "DAA_NET_TEST_VICTIM";
const NAME: &str = "transport::flood::who_is_flooded_holds_little_and_serves_others";
const FLOOD: Duration = Duration::from_secs(5);
/// What the flood may cost: connections, streams and requests that are bounded each by itself.
const MEMORY: u64 = 200 << 20;

async fn node(options: Libp2pOptions) -> Node {
    let auth = auth();
    let transport = Libp2pTransport::start(auth.clone(), options).await.unwrap();
    Node::start(&auth, Arc::new(transport), NodeOptions::new()).await.unwrap()
}

/// The one that is flooded, in a process of its own: says where it is, and serves until nobody listens to it any more.
async fn victim() {
    let node = node(Libp2pOptions::loopback()).await;
    node.serve("echo/1", async |request| Ok(request.body));
    let addresses: Vec<_> = node.addresses().iter().map(ToString::to_string).collect();
    println!("\nVICTIM {} {}", node.id(), addresses.join(" "));
    std::io::stdout().flush().unwrap();
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()).unwrap()).await.unwrap();
}

struct Victim {
    process: Child,
    node: NodeId,
    addresses: Vec<Multiaddr>,
}

impl Victim {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture", "--include-ignored"]).env(VICTIM, "1");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.find_map(|line| line.unwrap().strip_prefix("VICTIM ").map(str::to_owned)).unwrap();
        // What it says from now on is not read, and must have somewhere to go.
        std::thread::spawn(move || lines.for_each(drop));
        let mut words = line.split(' ');
        let node = words.next().unwrap().parse().unwrap();
        Self { process, node, addresses: words.map(|word| word.parse().unwrap()).collect() }
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).unwrap()
    }

    /// The most memory that it ever had.
    fn peak(&self) -> u64 {
        let status = self.read("status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// Hundredths of a second of a processor that it used.
    fn worked(&self) -> u64 {
        let stat = self.read("stat");
        let after = stat.rsplit(')').next().unwrap();
        after.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    fn port(&self) -> u16 {
        let port = |address: &Multiaddr| {
            address.iter().find_map(|part| if let Part::Tcp(port) = part { Some(port) } else { None })
        };
        self.addresses.iter().find_map(port).unwrap()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What is done to the victim, until it is over.
#[derive(Default)]
struct Flood {
    is_over: AtomicBool,
    connections: AtomicU64,
    messages: AtomicU64,
}

impl Flood {
    fn is_one(&self) -> bool {
        self.connections.load(Ordering::Relaxed) > 100 && self.messages.load(Ordering::Relaxed) > 100
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Connects, says something that is no protocol, and goes.
    async fn knock(&self, port: u16) {
        while self.goes_on() {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
                let _ = stream.write_all(&[7; 64]).await;
                self.connections.fetch_add(1, Ordering::Relaxed);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Proves itself, and says garbage until it is hung up on; again and again.
    async fn babble(&self, victim: &Victim) {
        let hostile = Libp2pTransport::start(auth(), Libp2pOptions::new()).await.unwrap();
        let control = Protocol::new("/daa/control/1");
        while self.goes_on() {
            if hostile.connect(Some(victim.node), &victim.addresses).await.is_err() {
                continue;
            }
            self.connections.fetch_add(1, Ordering::Relaxed);
            let opened = hostile.open(victim.node, control.clone(), StreamOptions::default()).await;
            let Ok(mut stream) = opened else { continue };
            let mut garbage = vec![3; 4 + (100 << 10)];
            garbage[..4].copy_from_slice(&(100_u32 << 10).to_be_bytes());
            while self.goes_on() && stream.write_all(&garbage).await.is_ok() {
                self.messages.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Begins as many requests as it may, and ends none.
    async fn begin_requests(&self, victim: &Victim) {
        let hostile = Libp2pTransport::start(auth(), Libp2pOptions::new()).await.unwrap();
        let mut streams = Vec::new();
        while self.goes_on() {
            let _ = hostile.connect(Some(victim.node), &victim.addresses).await;
            let opened =
                hostile.open(victim.node, Protocol::new("/daa/rpc/1"), StreamOptions::default()).await;
            if let Ok(mut stream) = opened {
                // It is refused, or left to wait.
                let _ = stream.write_u32(1 << 20).await;
                let sent = tokio::time::timeout(Duration::from_millis(50), async {
                    stream.write_all(&vec![7; 1 << 20]).await?;
                    stream.flush().await
                });
                let _ = sent.await;
                streams.push(stream);
                self.messages.fetch_add(1, Ordering::Relaxed);
            } else {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if streams.len() > 512 {
                streams.clear();
            }
        }
    }
}

/// By itself, because it takes the machine: `cargo test -p daa-net --test it -- --ignored --nocapture flood`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes the machine for some seconds"]
async fn who_is_flooded_holds_little_and_serves_others() {
    if std::env::var_os(VICTIM).is_some() {
        return victim().await;
    }
    let victim = Arc::new(Victim::start());
    let honest = node(Libp2pOptions::new()).await;
    honest.join(&victim.addresses).await.unwrap();
    let options = CallOptions::default().within(Duration::from_secs(60));
    let ask = async || {
        let began = Instant::now();
        let body = bytes::Bytes::from_static(b"hello");
        assert_eq!(honest.call(victim.node, "echo/1", body.clone(), options).await.unwrap(), body);
        began.elapsed()
    };
    ask().await;
    let (memory, work, began) = (victim.peak(), victim.worked(), Instant::now());

    let flood = Arc::new(Flood::default());
    let mut hostile = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (flood, port) = (flood.clone(), victim.port());
        hostile.spawn(async move { flood.knock(port).await });
    }
    for _ in 0..4 {
        let (flood, victim) = (flood.clone(), victim.clone());
        hostile.spawn(async move { flood.babble(&victim).await });
    }
    for _ in 0..2 {
        let (flood, victim) = (flood.clone(), victim.clone());
        hostile.spawn(async move { flood.begin_requests(&victim).await });
    }
    let mut took = Vec::new();
    // On a slow machine it takes longer until it is one.
    while began.elapsed() < FLOOD || !flood.is_one() {
        took.push(ask().await);
    }
    flood.is_over.store(true, Ordering::Relaxed);
    while hostile.join_next().await.is_some() {}

    let (memory, work) = (victim.peak() - memory, victim.worked() - work);
    took.sort();
    println!(
        "{} connections and {} messages in {:?}: {} MiB and {work} hundredths of a second of a processor more; {} requests of an honest peer, \
         the slowest of 95 of 100 took {:?}, the slowest {:?}",
        flood.connections.load(Ordering::Relaxed),
        flood.messages.load(Ordering::Relaxed),
        began.elapsed(),
        memory >> 20,
        took.len(),
        took[took.len() * 95 / 100],
        took[took.len() - 1],
    );
    assert!(memory < MEMORY, "{} MiB", memory >> 20);
}
