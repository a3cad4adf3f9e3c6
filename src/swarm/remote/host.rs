//! The coordinator's side: answers members over the network.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use daa_compute::commitment::{Commitment, Round};
use daa_compute::evidence::Evidence;
use daa_compute::protocol::{self, Finding, Input};
use daa_core::digest::Digest;
use daa_core::event::{PageSize, Version};
use daa_core::fault::{Reaction, Retry};
use daa_core::id::AgentId;
use daa_net::rpc::{Method, Refusal, Status};
use daa_net::transfer::{ArtifactSource, FetchError, FetchOptions, MemorySink, PeerEnd};
use daa_net::{Node, NodeId};
use tokio::sync::Semaphore;

use super::seats::Seats;
use super::wire::{self, Audit, AuditRequest, Commit, CommitRequest, Follow, FollowRequest, FollowResponse};
use super::wire::{Join, JoinRequest, Of, Reveal, RevealRequest, Taken};
use crate::swarm::coordinator::Coordinator;
use crate::swarm::error::SwarmError;

/// The most bytes of a member's shard.
const MAX_SHARD: u64 = 64 << 20;
/// How many artefacts of members are fetched at a time, each in memory.
const FETCHES: usize = 4;
/// How many requests wait at a time for something to happen in the run.
const FOLLOWERS: usize = 512;
/// How long a request may wait for that.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How many events an answer has at most.
const EVENTS: usize = 256;

/// Who may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// Every node that has proved its key: an agent is the node that joins first under its name.
    Anybody,
    /// Only agents that were [listed](RunHost::list), each as the node that was listed for it.
    Listed,
}

/// Answers the members of a run on a node of the network.
///
/// # Contract
/// - An agent is one node for the whole run: the one that first joined under its name. That is durable with the run.
/// - Joins, commitments, updates and verdicts of an agent are taken from that node only, and one at a time.
/// - What they name is fetched from the member, bounded in size, before it is taken; and nothing is fetched that the
///   protocol would not take. An update is not asked for before it may be revealed.
///
/// It answers as long as it is held.
#[derive(Clone, Debug)]
pub struct RunHost {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    coordinator: Coordinator,
    node: Node,
    admission: Admission,
    seats: Seats,
    listed: Mutex<BTreeMap<AgentId, NodeId>>,
    /// Of whom something is being taken.
    busy: Mutex<BTreeSet<AgentId>>,
    fetches: Semaphore,
    followers: Semaphore,
}

/// The turn of an agent, until it is dropped.
struct InTurn<'a> {
    busy: &'a Mutex<BTreeSet<AgentId>>,
    agent: AgentId,
}

impl Drop for InTurn<'_> {
    fn drop(&mut self) {
        locked(self.busy).remove(&self.agent);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::new(Status::Invalid, reason)
}

fn denied(reason: impl Into<String>) -> Refusal {
    Refusal::new(Status::Denied, reason)
}

fn later(reason: impl Into<String>) -> Refusal {
    Refusal::new(Status::Unavailable, reason)
}

/// What went wrong here is not for the peer to know; that it may ask again is.
fn failed(error: &SwarmError) -> Refusal {
    tracing::warn!(%error, "a request of a member was not answered");
    later("the coordinator could not do it now")
}

impl RunHost {
    /// Answers on `node` for `coordinator`, and shares its artefacts with every node that knows their digests.
    #[must_use]
    pub fn serve(coordinator: Coordinator, node: Node, admission: Admission) -> Self {
        let parts = &coordinator.inner().parts;
        let run = coordinator.stream().as_str().trim_start_matches("run/").to_owned();
        let seats = Seats::new(parts.store.clone(), parts.clock.clone(), run);
        node.share(Arc::new(ArtifactSource::new(parts.artifacts.clone())));
        let inner = Arc::new(Inner {
            coordinator,
            node,
            admission,
            seats,
            listed: Mutex::default(),
            busy: Mutex::default(),
            fetches: Semaphore::new(FETCHES),
            followers: Semaphore::new(FOLLOWERS),
        });
        inner.answer::<Follow, _>(|host, from, request| async move { host.follow(from, request).await });
        inner.answer::<Join, _>(|host, from, request| async move { host.join(from, request).await });
        inner.answer::<Commit, _>(|host, from, request| async move { host.commit(from, request).await });
        inner.answer::<Reveal, _>(|host, from, request| async move { host.reveal(from, request).await });
        inner.answer::<Audit, _>(|host, from, request| async move { host.audit(from, request).await });
        Self { inner }
    }

    /// From now on this agent may join as this node. What is settled is not changed by it.
    pub fn list(&self, agent: AgentId, node: NodeId) {
        locked(&self.inner.listed).insert(agent, node);
    }

    /// The node on which it answers.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.inner.node
    }
}

impl Inner {
    /// The node holds the answers, and they must not hold the node.
    fn answer<M: Method, F>(
        self: &Arc<Self>,
        answer: impl Fn(Arc<Self>, NodeId, M::Request) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<M::Response, Refusal>> + Send + 'static,
    {
        let (host, answer) = (Arc::downgrade(self), Arc::new(answer));
        self.node.answer::<M, _>(move |from, request| {
            let (host, answer) = (Weak::upgrade(&host), answer.clone());
            async move {
                match host {
                    Some(host) => answer(host, from, request).await,
                    None => Err(later("nobody coordinates this run here any more")),
                }
            }
        });
    }

    /// The agent that a request is of, and the node that it is settled to be.
    async fn agent(&self, of: Option<Of>) -> Result<(AgentId, Option<NodeId>), Refusal> {
        let of = of.ok_or_else(|| invalid("whom it is of is missing"))?;
        if *of.run != *self.coordinator.config().run_id().0.as_bytes() {
            return Err(denied("this is another run"));
        }
        let agent = AgentId::new(of.agent).map_err(|error| invalid(error.to_string()))?;
        let node = self.seats.of(&agent).await.map_err(|error| failed(&error))?;
        Ok((agent, node))
    }

    /// Whether a node may join as an agent that is settled to be `node`, if it is.
    fn may_join(&self, agent: &AgentId, node: Option<NodeId>, from: NodeId) -> Result<(), Refusal> {
        let is_let_in = match (node, self.admission) {
            (Some(node), _) => node == from,
            (None, Admission::Anybody) => true,
            (None, Admission::Listed) => locked(&self.listed).get(agent) == Some(&from),
        };
        if is_let_in { Ok(()) } else { Err(denied(format!("{agent} is another node"))) }
    }

    /// The agent that a request is of, if it comes from its node.
    async fn member(&self, of: Option<Of>, from: NodeId) -> Result<AgentId, Refusal> {
        match self.agent(of).await? {
            (agent, Some(node)) if node == from => Ok(agent),
            (agent, _) => Err(denied(format!("{agent} is another node"))),
        }
    }

    fn turn(&self, agent: &AgentId) -> Result<InTurn<'_>, Refusal> {
        if !locked(&self.busy).insert(agent.clone()) {
            return Err(later("something of this agent is being taken"));
        }
        Ok(InTurn { busy: &self.busy, agent: agent.clone() })
    }

    async fn follow(&self, from: NodeId, request: FollowRequest) -> Result<FollowResponse, Refusal> {
        let (agent, node) = self.agent(request.of).await?;
        self.may_join(&agent, node, from)?;
        let Ok(_place) = self.followers.try_acquire() else { return Err(later("too many follow the run")) };
        let coordinator = &self.coordinator;
        let mut view = coordinator.watch();
        let wait = Duration::from_millis(request.wait_millis.into()).min(LONGEST_WAIT);
        tokio::select! {
            // The sender lives in the coordinator that this holds.
            _ = view.wait_for(|view| view.version > request.after) => {}
            () = coordinator.clock().sleep(wait) => {}
        }
        // Nobody sees an event before the coordinator itself acts on it.
        let head = coordinator.view().version;
        if request.after > head {
            return Err(invalid(format!("the run has {head} events, not {}", request.after)));
        }
        let (store, after) = (&coordinator.inner().parts.store, Version::new(request.after));
        let page = store.read_stream(coordinator.stream(), after, PageSize::new(EVENTS)).await;
        let page = page.map_err(|error| failed(&error.into()))?;
        let (mut events, mut bytes) = (Vec::new(), 0);
        for event in page {
            if event.version.get() > head || bytes >= wire::ENOUGH_EVENTS {
                break;
            }
            bytes += event.payload.len();
            events.push(event.payload);
        }
        Ok(FollowResponse { events, head })
    }

    async fn join(&self, from: NodeId, request: JoinRequest) -> Result<Taken, Refusal> {
        let (agent, node) = self.agent(request.of).await?;
        self.may_join(&agent, node, from)?;
        let shard = wire::digest(&request.shard).ok_or_else(|| invalid("a digest has 32 bytes"))?;
        let _turn = self.turn(&agent)?;
        let input = Input::Join { agent: agent.clone(), shard };
        if let Err(refusal) = self.coordinator.would_take(input).await {
            return self.answered(Err(refusal.into()));
        }
        let is_new = match self.fetch("shard", shard, from, MAX_SHARD).await? {
            Ok(is_new) => is_new,
            Err(answer) => return Ok(answer),
        };
        let seat = self.seats.take(&agent, from).await.map_err(|error| failed(&error))?;
        if seat != from {
            return Err(denied(format!("{agent} is another node")));
        }
        let joined = self.coordinator.take_in(&agent, shard).await;
        if joined.is_err() && is_new && !self.coordinator.view().referenced().contains(&shard) {
            // Or else whoever joins with nonsense fills the disk.
            let removed = self.coordinator.inner().parts.artifacts.remove(&shard).await;
            removed.map_err(|error| failed(&error.into()))?;
        }
        self.answered(joined.map(|()| None))
    }

    async fn commit(&self, from: NodeId, request: CommitRequest) -> Result<Taken, Refusal> {
        let agent = self.member(request.of, from).await?;
        let commitment = commitment(&request.commitment)?;
        let _turn = self.turn(&agent)?;
        let view = self.coordinator.view();
        let committed = view.open.as_ref().and_then(|open| open.committed.get(&agent));
        // It comes again when its answer was lost, perhaps a stage later.
        if committed == Some(&commitment) || view.is_accepted(&agent, commitment.round) {
            return self.answered(Err(protocol::Refusal::Duplicate { agent }.into()));
        }
        self.answered(self.coordinator.take_commitment(&agent, commitment).await.map(|()| None))
    }

    async fn reveal(&self, from: NodeId, request: RevealRequest) -> Result<Taken, Refusal> {
        let agent = self.member(request.of, from).await?;
        let update = wire::digest(&request.update).ok_or_else(|| invalid("a digest has 32 bytes"))?;
        let (coordinator, round) = (&self.coordinator, Round(request.round));
        let _turn = self.turn(&agent)?;
        let view = coordinator.view();
        let open = view.open.as_ref().filter(|open| open.round == round);
        if open.is_some_and(|open| open.revealed.contains(&agent)) || view.is_accepted(&agent, round) {
            return self.answered(Err(protocol::Refusal::Duplicate { agent }.into()));
        }
        // How long it is will be known when it is here.
        let input = Input::Reveal { agent: agent.clone(), round, update, len: 0 };
        if let Err(refusal) = coordinator.would_take(input).await {
            return self.answered(Err(refusal.into()));
        }
        let view = coordinator.view();
        let committed = view.open.as_ref().and_then(|open| open.committed.get(&agent));
        // The residual is the member's own, and whoever audits its next round will need it.
        let residual = committed.map(|commitment| commitment.residual_after);
        let layout = coordinator.inner().parts.backend.layout();
        let longest = daa_compute::codec::max_bytes(layout, &coordinator.config().codec) as u64;
        let mut wanted = vec![("update", update, longest)];
        wanted.extend(residual.map(|digest| ("residual", digest, layout.len() as u64 * 4 + 1_024)));
        for (what, digest, longest) in wanted {
            if let Err(answer) = self.fetch(what, digest, from, longest).await? {
                return Ok(answer);
            }
        }
        self.answered(coordinator.take_update(&agent, round, update).await.map(|()| None))
    }

    async fn audit(&self, from: NodeId, request: AuditRequest) -> Result<Taken, Refusal> {
        let agent = self.member(request.of, from).await?;
        let commitment = commitment(&request.commitment)?;
        let _turn = self.turn(&agent)?;
        if request.withheld {
            let absent = self.coordinator.take_absence(&agent, &commitment).await;
            return self.answered(absent.map(|()| None));
        }
        let evidence = Some(&request.evidence).filter(|bytes| !bytes.is_empty());
        let evidence = evidence.map(|bytes| Evidence::decode(bytes)).transpose();
        let evidence = evidence.map_err(|error| invalid(error.to_string()))?;
        self.answered(self.coordinator.take_verdict(&agent, &commitment, evidence).await.map(Some))
    }

    /// What is said of what became of a request.
    fn answered(&self, done: Result<Option<Finding>, SwarmError>) -> Result<Taken, Refusal> {
        let version = self.coordinator.view().version;
        match done {
            Ok(finding) => {
                let finding = finding.map(|finding| serde_json::to_vec(&finding)).transpose();
                let finding = finding.map_err(|_| later("the finding cannot be written"))?;
                let finding = finding.map(Bytes::from).unwrap_or_default();
                Ok(Taken { version, refused: 0, reason: String::new(), finding })
            }
            Err(SwarmError::Refused(refusal)) => Ok(Taken {
                version,
                refused: wire::number(&refusal),
                reason: refusal.to_string(),
                finding: Bytes::new(),
            }),
            Err(error) if error.retry() == Retry::Never => Ok(declined(version, error.to_string())),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Fetches an artefact from a member, unless it is here, and says whether it was not; what to answer where the member does not have
    /// it, or lies.
    async fn fetch(
        &self,
        what: &'static str,
        digest: Digest,
        from: NodeId,
        max_size: u64,
    ) -> Result<Result<bool, Taken>, Refusal> {
        let artifacts = &self.coordinator.inner().parts.artifacts;
        match artifacts.open(&digest).await {
            Ok(Some(_)) => return Ok(Ok(false)),
            Ok(None) => {}
            Err(error) => return Err(failed(&error.into())),
        }
        let Ok(_place) = self.fetches.acquire().await else {
            return Err(later("nothing is fetched any more"));
        };
        let (sink, options) = (MemorySink::new(), FetchOptions::default().with_max_size(max_size));
        if let Err(error) = self.node.fetch(digest, &[from], &sink, options).await {
            let version = self.coordinator.view().version;
            return match end(&error, from) {
                Some(end @ (PeerEnd::Missing | PeerEnd::TooLarge { .. } | PeerEnd::Misbehaved(_))) => {
                    Ok(Err(declined(version, format!("the {what} cannot be had from its owner: {end}"))))
                }
                _ => Err(later(format!("the {what} was not handed over"))),
            };
        }
        artifacts.put(sink.into_bytes().into()).await.map_err(|error| failed(&error.into()))?;
        Ok(Ok(true))
    }
}

fn end(error: &FetchError, from: NodeId) -> Option<&PeerEnd> {
    match error {
        FetchError::NoPeer { peers } => peers.get(&from)?.ended.as_ref(),
        _ => None,
    }
}

fn declined(version: u64, reason: String) -> Taken {
    Taken { version, refused: 1, reason, finding: Bytes::new() }
}

fn commitment(bytes: &[u8]) -> Result<Commitment, Refusal> {
    if bytes.len() > wire::MAX_COMMITMENT {
        return Err(invalid("this is too long for a commitment"));
    }
    serde_json::from_slice(bytes).map_err(|_| invalid("this is no commitment"))
}
