//! What the coordinator takes from whom, and what a member sees of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daa_compute::codec::Residual;
use daa_compute::commitment::Round;
use daa_compute::dataset::{Digits, Shard};
use daa_compute::evidence::Evidence;
use daa_compute::inner::InnerConfig;
use daa_compute::model::{DigitsNet, ModelSpec};
use daa_compute::protocol::Finding;
use daa_compute::replay::Replayed;
use daa_compute::worker::Submission;
use daa_compute::{BurnBackend, LocalWorker, RunConfig};
use daa_core::artifact::{Artifacts, MemoryArtifacts};
use daa_core::clock::SystemClock;
use daa_core::digest::Digest;
use daa_core::event::{EventStore, MemoryEventStore};
use daa_core::id::AgentId;
use daa_crypto::CryptoSuite;
use daa_economy::Ledger;
use daa_net::auth::Auth;
use daa_net::rpc::{CallError, CallOptions, Method, Status};
use daa_net::transfer::ArtifactSource;
use daa_net::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use daa_net::transport::{MemoryNetwork, Multiaddr, SharedTransport};
use daa_net::{Node, NodeIdentity, NodeOptions};

use super::wire::{
    self, Audit, AuditRequest, Commit, CommitRequest, Follow, FollowRequest, Join, JoinRequest,
};
use super::wire::{Of, Reveal, RevealRequest, Taken};
use super::{Admission, RemoteCoordinator, RemoteParts, RunHost};
use crate::swarm::{Coordinator, CoordinatorParts, Economics, RunAccess, SwarmError};

/// Long enough for a slow machine.
const PATIENT: Duration = Duration::from_secs(60);

fn config(seed: u64) -> RunConfig {
    let mut config = RunConfig::digits(seed);
    config.rounds = 3;
    config.model = ModelSpec::Digits(DigitsNet { channels: 2, hidden: 4 });
    config.inner = InnerConfig::new(1, 4, 1e-3);
    config.protocol.audit_share = 1.0;
    config
}

fn shard(label: u8) -> Shard {
    let line = format!("{}{label}\n", "3,".repeat(64));
    Shard::Digits(Digits::parse_csv(line.repeat(8).as_bytes()).unwrap())
}

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

/// What a coordinator keeps.
#[derive(Clone)]
struct House {
    store: Arc<dyn EventStore>,
    artifacts: Arc<dyn Artifacts>,
    identity: NodeIdentity,
    suite: CryptoSuite,
}

impl House {
    fn new() -> Self {
        let suite = CryptoSuite::new();
        let identity = NodeIdentity::generate(&suite).unwrap();
        Self {
            store: Arc::new(MemoryEventStore::new()),
            artifacts: Arc::new(MemoryArtifacts::new()),
            identity,
            suite,
        }
    }

    async fn coordinator(&self) -> Coordinator {
        let (config, clock) = (config(1), Arc::new(SystemClock::new()));
        let parts = CoordinatorParts {
            config,
            economics: Economics::standard(&config).unwrap().with_own_books(),
            store: self.store.clone(),
            artifacts: self.artifacts.clone(),
            ledger: Ledger::open(self.store.clone(), clock.clone()).await.unwrap(),
            backend: Arc::new(BurnBackend::flex(config.model).unwrap()),
            clock,
            stage_timeout: Duration::from_secs(3_600),
            hold: None,
        };
        Coordinator::open(parts).await.unwrap()
    }

    fn auth(&self) -> Auth {
        Auth::new(self.suite.clone(), self.identity.clone(), "test".parse().unwrap())
    }

    async fn host(&self, network: &MemoryNetwork, admission: Admission) -> (Coordinator, RunHost) {
        let (coordinator, auth) = (self.coordinator().await, self.auth());
        let node = start(&auth, Arc::new(network.join(auth.clone()))).await;
        (coordinator.clone(), RunHost::serve(coordinator, node, admission))
    }
}

async fn start(auth: &Auth, transport: SharedTransport) -> Node {
    Node::start(auth, transport, NodeOptions::new()).await.unwrap()
}

/// A node that may be an agent.
struct Peer {
    node: Node,
    artifacts: Arc<dyn Artifacts>,
    name: AgentId,
}

impl Peer {
    async fn new(network: &MemoryNetwork, name: &str, host: &RunHost) -> Self {
        let suite = CryptoSuite::new();
        let auth = Auth::new(suite.clone(), NodeIdentity::generate(&suite).unwrap(), "test".parse().unwrap());
        let node = start(&auth, Arc::new(network.join(auth.clone()))).await;
        node.connect(host.node().id(), &host.node().addresses()).await.unwrap();
        let artifacts: Arc<dyn Artifacts> = Arc::new(MemoryArtifacts::new());
        node.share(Arc::new(ArtifactSource::new(artifacts.clone())));
        Self { node, artifacts, name: agent(name) }
    }

    fn of(&self, run: u64) -> Option<Of> {
        let run = Bytes::copy_from_slice(config(run).run_id().0.as_bytes());
        Some(Of { run, agent: self.name.to_string() })
    }

    async fn ask<M: Method>(&self, host: &RunHost, request: M::Request) -> Result<M::Response, CallError> {
        let options = CallOptions::default().within(PATIENT);
        self.node.ask::<M>(host.node().id(), &request, options).await
    }

    async fn join(&self, host: &RunHost, shard: &Shard) -> Result<Taken, CallError> {
        let shard = Bytes::copy_from_slice(Digest::of(&shard.encode()).as_bytes());
        self.ask::<Join>(host, JoinRequest { of: self.of(1), shard }).await
    }

    /// Joins with a shard that is there.
    async fn joins(&self, host: &RunHost) {
        self.artifacts.put(shard(1).encode()).await.unwrap();
        let taken = self.join(host, &shard(1)).await.unwrap();
        assert_eq!(taken.refused, 0, "{taken:?}");
    }

    async fn commit(&self, host: &RunHost, work: &Submission) -> Result<Taken, CallError> {
        let commitment = serde_json::to_vec(&work.commitment).unwrap().into();
        self.ask::<Commit>(host, CommitRequest { of: self.of(1), commitment }).await
    }

    async fn reveal(&self, host: &RunHost, update: Digest) -> Result<Taken, CallError> {
        let update = Bytes::copy_from_slice(update.as_bytes());
        self.ask::<Reveal>(host, RevealRequest { of: self.of(1), round: 0, update }).await
    }

    async fn remote(&self, host: &RunHost, run: u64) -> Result<RemoteCoordinator, SwarmError> {
        let config = config(run);
        RemoteCoordinator::connect(RemoteParts {
            config,
            economics: Economics::standard(&config).unwrap().with_own_books(),
            agent: self.name.clone(),
            node: self.node.clone(),
            coordinator: host.node().id(),
            artifacts: self.artifacts.clone(),
            clock: Arc::new(SystemClock::new()),
        })
        .await
    }
}

fn status(answer: Result<impl std::fmt::Debug, CallError>) -> Status {
    match answer {
        Err(CallError::Refused(refusal)) => refusal.status,
        other => panic!("{other:?}"),
    }
}

/// What a member computes in the first round.
async fn work(name: &AgentId) -> Submission {
    let config = config(1);
    let backend = BurnBackend::flex(config.model).unwrap();
    let shard = backend.load_shard_blocking(&shard(1)).unwrap();
    let worker = LocalWorker::new(Arc::new(backend), config, name.clone(), shard);
    let base = config.initial().unwrap();
    let residual = Residual::zero(base.layout().clone());
    worker.round(&base, &residual, Round(0)).await.unwrap()
}

#[tokio::test]
async fn an_agent_is_the_node_that_joined_first_also_after_a_restart_of_the_coordinator() {
    let (network, house) = (MemoryNetwork::new(), House::new());
    let (coordinator, host) = house.host(&network, Admission::Anybody).await;
    let (owner, thief) =
        (Peer::new(&network, "agent-1", &host).await, Peer::new(&network, "agent-1", &host).await);
    owner.joins(&host).await;
    assert!(coordinator.view().members.contains_key(&owner.name));
    let before = coordinator.view().version;

    thief.artifacts.put(shard(2).encode()).await.unwrap();
    let theft = work(&owner.name).await;
    for attempt in 0..2 {
        assert_eq!(status(thief.join(&host, &shard(2)).await), Status::Denied, "{attempt}");
        assert_eq!(status(thief.commit(&host, &theft).await), Status::Denied);
        assert_eq!(status(thief.reveal(&host, theft.commitment.update).await), Status::Denied);
        let follow = FollowRequest { of: thief.of(1), after: 0, wait_millis: 0 };
        assert_eq!(status(thief.ask::<Follow>(&host, follow).await), Status::Denied);
        let refused = thief.remote(&host, 1).await.unwrap_err();
        assert!(matches!(refused, SwarmError::Declined { .. }), "{refused:?}");
    }
    assert_eq!(
        house.artifacts.get(&Digest::of(&shard(2).encode())).await.unwrap(),
        None,
        "nothing is fetched"
    );

    host.node().leave().await;
    let (coordinator, host) = house.host(&network, Admission::Anybody).await;
    assert_eq!(coordinator.view().version, before);
    for peer in [&owner, &thief] {
        peer.node.connect(host.node().id(), &host.node().addresses()).await.unwrap();
    }
    assert_eq!(status(thief.join(&host, &shard(2)).await), Status::Denied);
    let again = owner.join(&host, &shard(1)).await.unwrap();
    assert!(matches!(again.refusal(&owner.name, None, Round(0)), SwarmError::Refused(_)));
    assert_eq!(coordinator.view().version, before, "nothing has changed");
}

#[tokio::test]
async fn only_those_who_are_listed_take_part_where_there_is_a_list() {
    let (network, house) = (MemoryNetwork::new(), House::new());
    let (_, host) = house.host(&network, Admission::Listed).await;
    let (one, other) =
        (Peer::new(&network, "agent-1", &host).await, Peer::new(&network, "agent-1", &host).await);
    one.artifacts.put(shard(1).encode()).await.unwrap();
    assert_eq!(status(one.join(&host, &shard(1)).await), Status::Denied);
    host.list(one.name.clone(), one.node.id());
    assert_eq!(status(other.join(&host, &shard(1)).await), Status::Denied);
    one.joins(&host).await;
    // What is settled stays.
    host.list(one.name.clone(), other.node.id());
    assert_eq!(status(other.join(&host, &shard(1)).await), Status::Denied);
}

#[tokio::test]
async fn a_round_goes_over_the_network_and_whatever_comes_twice_counts_once() {
    let (network, house) = (MemoryNetwork::new(), House::new());
    let (coordinator, host) = house.host(&network, Admission::Anybody).await;
    let peer = Peer::new(&network, "agent-1", &host).await;

    // A shard that is not handed over is not taken, and neither is one that is none.
    let missing = peer.join(&host, &shard(1)).await.unwrap();
    assert!(missing.refused == 1 && missing.reason.contains("shard"), "{missing:?}");
    let nonsense = peer.artifacts.put("no shard".into()).await.unwrap();
    let request = JoinRequest { of: peer.of(1), shard: Bytes::copy_from_slice(nonsense.as_bytes()) };
    assert_eq!(peer.ask::<Join>(&host, request).await.unwrap().refused, 1);
    assert!(coordinator.view().members.is_empty());
    assert_eq!(house.artifacts.get(&nonsense).await.unwrap(), None, "nonsense is not kept");

    peer.joins(&host).await;
    assert_eq!(peer.join(&host, &shard(1)).await.unwrap().refused, 2);
    coordinator.start().await.unwrap();
    let work = work(&peer.name).await;
    let taken = peer.commit(&host, &work).await.unwrap();
    assert_eq!(taken.refused, 0, "{taken:?}");
    assert_eq!(taken.version, coordinator.view().version);
    assert_eq!(peer.commit(&host, &work).await.unwrap().refused, 3);

    // The update and the residual have to be there; and the update is the one that was committed.
    let update = work.commitment.update;
    let unmade = peer.reveal(&host, Digest::of(b"another")).await.unwrap();
    assert_eq!(unmade.refused, 1, "{unmade:?}");
    assert_eq!(peer.reveal(&host, update).await.unwrap().refused, 1);
    peer.artifacts.put(work.bytes.clone()).await.unwrap();
    let alone = peer.reveal(&host, update).await.unwrap();
    assert!(alone.refused == 1 && alone.reason.contains("residual"), "{alone:?}");
    peer.artifacts.put(work.residual.encode().into()).await.unwrap();
    assert_eq!(peer.reveal(&host, update).await.unwrap().refused, 0);
    assert_eq!(peer.reveal(&host, update).await.unwrap().refused, 3);

    let mut view = coordinator.watch();
    tokio::time::timeout(PATIENT, view.wait_for(|view| view.closed == 1)).await.unwrap().unwrap();
    // Later it is still a repetition, and no error.
    assert_eq!(peer.commit(&host, &work).await.unwrap().refused, 3);
    assert_eq!(peer.reveal(&host, update).await.unwrap().refused, 3);
    assert_eq!(coordinator.view().members[&peer.name].accepted, [Round(0)]);
}

#[tokio::test]
async fn nobody_is_ejected_on_the_word_of_an_auditor() {
    let (network, house) = (MemoryNetwork::new(), House::new());
    let (coordinator, host) = house.host(&network, Admission::Anybody).await;
    let peers = [Peer::new(&network, "agent-1", &host).await, Peer::new(&network, "agent-2", &host).await];
    for peer in &peers {
        peer.joins(&host).await;
    }
    coordinator.start().await.unwrap();
    let mut works = Vec::new();
    for peer in &peers {
        let work = work(&peer.name).await;
        assert_eq!(peer.commit(&host, &work).await.unwrap().refused, 0);
        peer.artifacts.put(work.bytes.clone()).await.unwrap();
        peer.artifacts.put(work.residual.encode().into()).await.unwrap();
        works.push(work);
    }
    for (peer, work) in peers.iter().zip(&works) {
        assert_eq!(peer.reveal(&host, work.commitment.update).await.unwrap().refused, 0);
    }
    let mut view = coordinator.watch();
    tokio::time::timeout(PATIENT, view.wait_for(|view| view.closed == 1)).await.unwrap().unwrap();
    let audit = |peer: &Peer, work: &Submission, evidence: Bytes, withheld| AuditRequest {
        of: peer.of(1),
        commitment: serde_json::to_vec(&work.commitment).unwrap().into(),
        evidence,
        withheld,
    };
    // Of two, each audits the other, and not itself.
    let own = audit(&peers[0], &works[0], Bytes::new(), false);
    assert_eq!(peers[0].ask::<Audit>(&host, own).await.unwrap().refused, 1);

    // All that is said to be withheld is here.
    let lie = audit(&peers[0], &works[1], Bytes::new(), true);
    assert_eq!(peers[0].ask::<Audit>(&host, lie).await.unwrap().refused, 0);
    assert!(!coordinator.view().members[&peers[1].name].guilty);

    // Evidence of one thing is none of another.
    let replayed = Replayed { update: Digest::of(b"one"), residual_after: Digest::of(b"another") };
    let (commitment, path) = (works[1].commitment.clone(), works[1].commitment.path.clone());
    let evidence = Evidence { commitment, config: config(1), replayed, path };
    let lie = audit(&peers[1], &works[0], evidence.encode().unwrap(), false);
    assert_eq!(peers[1].ask::<Audit>(&host, lie).await.unwrap().refused, 1);
    // And what the bits do not bear out is none at all.
    let evidence = Evidence { commitment: works[0].commitment.clone(), ..evidence };
    let lie = audit(&peers[1], &works[0], evidence.encode().unwrap(), false);
    let answer = peers[1].ask::<Audit>(&host, lie).await.unwrap();
    assert_eq!(serde_json::from_slice::<Finding>(&answer.finding).unwrap(), Finding::Honest);
    assert!(coordinator.view().members.values().all(|member| !member.guilty));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let (network, house) = (MemoryNetwork::new(), House::new());
    let (coordinator, host) = house.host(&network, Admission::Anybody).await;
    let peer = Peer::new(&network, "agent-1", &host).await;
    peer.joins(&host).await;
    let before = coordinator.view().version;
    let commit = |of, commitment: Vec<u8>| CommitRequest { of, commitment: commitment.into() };
    for (request, expected) in [
        (commit(None, vec![]), Status::Invalid),
        (commit(peer.of(1), b"{}".to_vec()), Status::Invalid),
        (commit(peer.of(1), vec![b' '; wire::MAX_COMMITMENT + 1]), Status::Invalid),
        (commit(peer.of(2), vec![]), Status::Denied),
        (commit(peer.of(1).map(|of| Of { agent: "a b".to_owned(), ..of }), vec![]), Status::Invalid),
        (commit(peer.of(1).map(|of| Of { agent: "agent-2".to_owned(), ..of }), vec![]), Status::Denied),
    ] {
        assert_eq!(status(peer.ask::<Commit>(&host, request.clone()).await), expected, "{request:?}");
    }
    let ahead = FollowRequest { of: peer.of(1), after: before + 1, wait_millis: 0 };
    assert_eq!(status(peer.ask::<Follow>(&host, ahead).await), Status::Invalid);
    let join = JoinRequest { of: peer.of(1), shard: vec![0; 31].into() };
    assert_eq!(status(peer.ask::<Join>(&host, join).await), Status::Invalid);
    let commitment: Bytes = serde_json::to_vec(&work(&peer.name).await.commitment).unwrap().into();
    let audit = |evidence: &'static [u8], withheld| AuditRequest {
        of: peer.of(1),
        commitment: commitment.clone(),
        evidence: evidence.into(),
        withheld,
    };
    assert_eq!(status(peer.ask::<Audit>(&host, audit(b"none", false)).await), Status::Invalid);
    // Nobody asked for these.
    assert_eq!(peer.ask::<Audit>(&host, audit(b"", false)).await.unwrap().refused, 4);
    assert_eq!(peer.ask::<Audit>(&host, audit(b"", true)).await.unwrap().refused, 4);
    assert_eq!(coordinator.view().version, before);
}

#[tokio::test]
async fn a_member_sees_what_the_coordinator_sees_and_refuses_another_run() {
    let (network, house) = (MemoryNetwork::new(), House::new());
    let (coordinator, host) = house.host(&network, Admission::Anybody).await;
    let peer = Peer::new(&network, "agent-1", &host).await;
    let remote = peer.remote(&host, 1).await.unwrap();
    assert!(remote.view().members.is_empty());
    peer.joins(&host).await;
    coordinator.start().await.unwrap();
    let seen = remote.latest().await.unwrap();
    let there = coordinator.view();
    assert_eq!((seen.version, seen.latest), (there.version, there.latest));
    assert_eq!(seen.duty(&peer.name), there.duty(&peer.name));
    assert_eq!(seen.referenced(), there.referenced());

    // Artefacts of the coordinator are here when they are asked for.
    let digest = house.artifacts.put("of the house".into()).await.unwrap();
    assert_eq!(remote.artifacts().get(&digest).await.unwrap().unwrap(), "of the house");
    assert_eq!(peer.artifacts.get(&digest).await.unwrap().unwrap(), "of the house");
    assert_eq!(remote.artifacts().get(&Digest::of(b"nowhere")).await.unwrap(), None);

    let refused = peer.remote(&host, 2).await.unwrap_err();
    assert!(matches!(refused, SwarmError::Declined { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_member_goes_on_when_the_coordinator_comes_back() {
    let house = House::new();
    let host_at = async |listen: Multiaddr| {
        let auth = house.auth();
        let options = Libp2pOptions::new().listening_on(listen);
        // The port may be taken a little longer by who had it before.
        let transport = tokio::time::timeout(PATIENT, async {
            loop {
                match Libp2pTransport::start(auth.clone(), options.clone()).await {
                    Ok(transport) => return Arc::new(transport),
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        let transport = transport.await.unwrap();
        let coordinator = house.coordinator().await;
        (coordinator.clone(), RunHost::serve(coordinator, start(&auth, transport).await, Admission::Anybody))
    };
    let (_, host) = host_at("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()).await;
    // Without the transport's own name, which is another one after each start.
    let at = host.node().addresses()[0].to_string();
    let at: Multiaddr = at.split("/p2p/").next().unwrap().parse().unwrap();
    let suite = CryptoSuite::new();
    let auth = Auth::new(suite.clone(), NodeIdentity::generate(&suite).unwrap(), "test".parse().unwrap());
    let transport = Arc::new(Libp2pTransport::start(auth.clone(), Libp2pOptions::new()).await.unwrap());
    let artifacts: Arc<dyn Artifacts> = Arc::new(MemoryArtifacts::new());
    let peer = Peer { node: start(&auth, transport).await, artifacts, name: agent("agent-1") };
    peer.node.connect(host.node().id(), std::slice::from_ref(&at)).await.unwrap();
    let remote = peer.remote(&host, 1).await.unwrap();
    peer.joins(&host).await;

    host.node().leave().await;
    drop(host);
    let (coordinator, host) = host_at(at).await;
    coordinator.start().await.unwrap();
    // It is followed again, by itself.
    let mut view = remote.watch();
    let version = coordinator.view().version;
    let seen = tokio::time::timeout(PATIENT, view.wait_for(|view| view.version >= version)).await;
    assert!(seen.unwrap().unwrap().open.is_some());
    assert_eq!(peer.join(&host, &shard(1)).await.unwrap().refused, 2);
}
