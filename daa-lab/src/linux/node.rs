//! One node: a process that does what the lab tells it on its standard input.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daa_crypto::CryptoSuite;
use daa_net::auth::Auth;
use daa_net::record::{Service, Tier};
use daa_net::rpc::CallOptions;
use daa_net::transport::Transport as _;
use daa_net::transport::libp2p::{Libp2pOptions, Libp2pTransport, Reachability};
use daa_net::{
    MemberState, Node, NodeDiscovery as _, NodeId, NodeIdentity, NodeOptions, Topology, TopologyOptions,
};
use tokio::sync::mpsc;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::failure::Failure;
use super::message::{Answer, Ask, Kind, Order, Part, Reached, Say, Status, Way};

const ECHO: &str = "lab/echo/1";
/// What every node of the lab offers.
const SERVICE: &str = "lab/echo";
/// How often a node is called before it counts as unreachable, how long each time, and how long in between.
const TRIES: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(500);
/// How many lines wait in each direction.
const LINES: usize = 64;

type Anything = Box<dyn std::error::Error + Send + Sync>;

/// Runs a node until its input ends.
pub(crate) fn run(part: &str) -> Result<ExitCode, Failure> {
    let said = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = said.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(log).init();
    let part = serde_json::from_str(part).map_err(|error| Failure::node("a node", error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::io("the runtime"))?;
    runtime.block_on(live(part)).map_err(|error| Failure::node("a node", error))?;
    Ok(ExitCode::SUCCESS)
}

/// The node, and the transport below it, which knows how others are connected.
#[derive(Clone)]
struct Own {
    node: Node,
    transport: Arc<Libp2pTransport>,
}

async fn live(part: Part) -> Result<(), Anything> {
    let (says, said) = mpsc::channel(LINES);
    let (ordered, mut orders) = mpsc::channel(LINES);
    std::thread::spawn(move || speak(said));
    std::thread::spawn(move || listen(&ordered));
    let own = start(&part).await?;
    let addresses = own.transport.addresses().iter().map(ToString::to_string).collect();
    says.send(Say::Ready { node: own.node.id().to_string(), addresses }).await?;
    while let Some(line) = orders.recv().await {
        let (order, own, says) = (serde_json::from_str::<Order>(&line)?, own.clone(), says.clone());
        tokio::spawn(async move {
            let answer = own.answer(order.ask).await;
            let answer = answer.unwrap_or_else(|error| Answer::Failed { why: error.to_string() });
            // The lab may have ended.
            let _ = says.send(Say::Answer { id: order.id, answer }).await;
        });
    }
    own.node.leave().await;
    Ok(())
}

/// Writes what the node says, a line each, as long as somebody reads it.
fn speak(mut said: mpsc::Receiver<Say>) {
    let mut out = std::io::stdout();
    while let Some(say) = said.blocking_recv() {
        let Ok(mut line) = serde_json::to_vec(&say) else { return };
        line.push(b'\n');
        if out.write_all(&line).is_err() || out.flush().is_err() {
            return;
        }
    }
}

/// Hands over what the lab says, until it has ended.
fn listen(ordered: &mpsc::Sender<String>) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        if ordered.blocking_send(line).is_err() {
            return;
        }
    }
}

async fn start(part: &Part) -> Result<Own, Anything> {
    let suite = CryptoSuite::new();
    let auth = Auth::new(suite.clone(), NodeIdentity::generate(&suite)?, "nat-lab".parse()?);
    let port = part.port;
    let options = Libp2pOptions::new()
        .listening_on(format!("/ip4/0.0.0.0/udp/{port}/quic-v1").parse()?)
        .listening_on(format!("/ip4/0.0.0.0/tcp/{port}").parse()?);
    let options = match part.kind {
        Kind::Hub => options.relaying(),
        Kind::Leaf => options,
        Kind::Local => options.lan_only(),
    };
    let transport = Arc::new(Libp2pTransport::start(auth.clone(), options).await?);
    // With twenty nodes a mesh costs less, and a ring nearly as little: what is to be seen here is how leaves lose a hub.
    let topology = TopologyOptions::default().always(Topology::Hierarchical);
    let options = NodeOptions::new().offering(SERVICE.parse()?).with_topology(topology);
    let options = if part.kind == Kind::Hub { options.with_tier(Tier::RegionalHub) } else { options };
    let node = Node::start(&auth, transport.clone(), options).await?;
    node.serve(ECHO, async |request| Ok(request.body));
    Ok(Own { node, transport })
}

impl Own {
    async fn answer(&self, ask: Ask) -> Result<Answer, Anything> {
        match ask {
            Ask::Join { addresses } => {
                let addresses: Result<Vec<_>, _> = addresses.iter().map(|text| text.parse()).collect();
                self.node.join(&addresses?).await?;
                Ok(Answer::Done)
            }
            Ask::Status => Ok(Answer::Status(self.status())),
            Ask::Reach { node } => Ok(Answer::Reached(self.reach(node.parse()?).await?)),
            Ask::Find => {
                let service: Service = SERVICE.parse()?;
                let found = self.node.discover_nodes(&service).await?;
                let nodes = found.iter().map(|found| found.record.node().to_string()).collect();
                Ok(Answer::Found { nodes })
            }
        }
    }

    fn status(&self) -> Status {
        let is_alive = |state| state == MemberState::Alive;
        let members = self.node.members().into_iter().filter(|member| is_alive(member.state));
        let peers = self.transport.peers().into_iter();
        Status {
            addresses: self.node.addresses().iter().map(ToString::to_string).collect(),
            is_public: match self.transport.reachability() {
                Reachability::Public => Some(true),
                Reachability::Private => Some(false),
                _ => None,
            },
            alive: members.map(|member| member.node.to_string()).collect(),
            neighbours: self.node.neighbours().iter().map(ToString::to_string).collect(),
            ways: peers.filter_map(|peer| Some((peer.to_string(), self.way(peer)?))).collect(),
        }
    }

    fn way(&self, node: NodeId) -> Option<Way> {
        if self.transport.address_of(&node).is_some() {
            Some(Way::Direct)
        } else {
            self.transport.peers().contains(&node).then_some(Way::Relayed)
        }
    }

    async fn reach(&self, node: NodeId) -> Result<Reached, Anything> {
        let before = self.way(node);
        let began = Instant::now();
        let mut tries = 1;
        while let Err(error) = self.echo(node).await {
            if tries == TRIES {
                return Err(error);
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
        let first = began.elapsed().as_secs_f64() * 1e3;
        let began = Instant::now();
        self.echo(node).await?;
        let again = began.elapsed().as_secs_f64() * 1e3;
        Ok(Reached { before, after: self.way(node), first, again, tries })
    }

    async fn echo(&self, node: NodeId) -> Result<(), Anything> {
        let options = CallOptions::default().within(PATIENCE);
        let answer = self.node.call(node, ECHO, "are you there?".into(), options).await?;
        if answer == "are you there?" { Ok(()) } else { Err("something else came back".into()) }
    }
}
