//! The member's side: the coordinator as if it were here.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use daa_compute::RunConfig;
use daa_compute::checkpoint::Checkpoint;
use daa_compute::codec::Residual;
use daa_compute::commitment::{Commitment, Round};
use daa_compute::evidence::Evidence;
use daa_compute::protocol::{Finding, Run, RunTerms};
use daa_core::action::Authorized;
use daa_core::artifact::Artifacts;
use daa_core::clock::Clock;
use daa_core::digest::Digest;
use daa_core::id::{AgentId, StreamId};
use daa_net::rpc::CallOptions;
use daa_net::transfer::ArtifactSource;
use daa_net::{Node, NodeId};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::artifacts::Fetching;
use super::follow::Follower;
use super::link::{Link, PATIENCE, Pauses, declined};
use super::wire::{Audit, AuditRequest, Commit, CommitRequest, Follow, FollowRequest, Join, JoinRequest};
use super::wire::{Reveal, RevealRequest, Taken};
use crate::swarm::access::RunAccess;
use crate::swarm::economics::{Economics, run_name};
use crate::swarm::error::SwarmError;
use crate::swarm::view::RunView;

/// What a [`RemoteCoordinator`] is made of.
#[derive(Clone, Debug)]
pub struct RemoteParts {
    /// What the members have agreed on. A coordinator of another run is refused.
    pub config: RunConfig,
    /// What the run costs and earns, as the members have agreed.
    pub economics: Economics,
    /// Which agent this is.
    pub agent: AgentId,
    /// The node that it is. It must be [connected](Node::connect) to the coordinator once, or know where it is.
    pub node: Node,
    /// The node of the coordinator.
    pub coordinator: NodeId,
    /// Where this member keeps its own artefacts, and those that it has fetched. They are shared with every node that this one
    /// lets in and that knows their digests.
    pub artifacts: Arc<dyn Artifacts>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The coordinator of a run, on another node. Cheap to clone; the run is followed as long as there is a clone.
///
/// It believes the coordinator no more than it must: the view is made here of the run's events, which have to fit together from the
/// terms that were agreed on; artefacts are what their digests say.
///
/// A call waits while the coordinator cannot be reached, for ten minutes at most, and asks again under the same key: it is done once.
#[derive(Clone)]
pub struct RemoteCoordinator {
    inner: Arc<Inner>,
}

struct Inner {
    config: RunConfig,
    economics: Economics,
    link: Link,
    stream: StreamId,
    artifacts: Arc<dyn Artifacts>,
    view: watch::Receiver<Arc<RunView>>,
    failure: watch::Receiver<Option<Arc<SwarmError>>>,
    follower: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl RemoteCoordinator {
    /// Follows the run to where it stands, and from then on.
    ///
    /// # Errors
    /// [`SwarmError::Declined`] when the coordinator has another run, or this agent is another node to it;
    /// [`SwarmError::WrongHistory`], [`SwarmError::History`]; [`SwarmError::Unanswered`] when it cannot be reached for ten
    /// minutes.
    ///
    /// # Cancel safety
    /// Then nothing is followed.
    pub async fn connect(parts: RemoteParts) -> Result<Self, SwarmError> {
        let RemoteParts { config, economics, agent, node, coordinator, artifacts: local, clock } = parts;
        config.check()?;
        economics.check(&config)?;
        // What everybody can make is not fetched.
        let initial = config.initial()?;
        local.put(initial.encode().into()).await?;
        local.put(Residual::zero(initial.layout().clone()).encode().into()).await?;
        let genesis = Checkpoint::genesis(config.run_id(), initial).store(&*local).await?;
        let run = Run::new(RunTerms::new(&config, genesis)?);
        let mut view = RunView::default();
        view.begin(run.latest(), run.terms().zero_residual);

        node.share(Arc::new(ArtifactSource::new(local.clone())));
        let link = Link { node, coordinator, clock, run: config.run_id(), agent };
        let (tell, view) = watch::channel(Arc::new(view));
        let mut follower = Follower { link: link.clone(), run, view: tell, local: local.clone() };
        follower.catch_up().await?;
        let (failed, failure) = watch::channel(None);
        let follower = tokio::spawn(follower.follow(failed)).abort_handle();
        let artifacts = Arc::new(Fetching { local, link: link.clone() });
        let stream = StreamId::new(format!("run/{}", run_name(&config)?))?;
        let inner = Inner { config, economics, link, stream, artifacts, view, failure, follower };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Waits until the view has so many events.
    async fn see(&self, version: u64) -> Result<Arc<RunView>, SwarmError> {
        let mut view = self.inner.view.clone();
        tokio::select! {
            biased;
            seen = view.wait_for(|view| view.version >= version) => {
                if let Ok(seen) = seen {
                    return Ok(seen.clone());
                }
            }
            error = self.failed() => return Err(SwarmError::Lost(error)),
        }
        // The run is not followed any more: it has ended, or else why is known or about to be.
        let last = self.view();
        if last.finished { Ok(last) } else { Err(SwarmError::Lost(self.failed().await)) }
    }

    /// What became of a request, once that can be seen here.
    async fn done(
        &self,
        taken: Taken,
        subject: Option<&Commitment>,
        round: Round,
    ) -> Result<Bytes, SwarmError> {
        self.see(taken.version).await?;
        match taken.refused {
            0 => Ok(taken.finding),
            _ => Err(taken.refusal(&self.inner.link.agent, subject, round)),
        }
    }

    fn own(&self, permit: &Authorized) -> Result<(), SwarmError> {
        if permit.actor() == &self.inner.link.agent {
            return Ok(());
        }
        Err(SwarmError::NotYours { agent: permit.actor().clone() })
    }

    async fn report(
        &self,
        permit: &Authorized,
        commitment: &Commitment,
        evidence: Bytes,
        withheld: bool,
    ) -> Result<Bytes, SwarmError> {
        self.own(permit)?;
        let request =
            AuditRequest { of: self.inner.link.of(), commitment: json(commitment)?, evidence, withheld };
        let taken = self.inner.link.insist::<Audit>(&request).await?;
        self.done(taken, Some(commitment), commitment.round).await
    }
}

#[async_trait]
impl RunAccess for RemoteCoordinator {
    fn view(&self) -> Arc<RunView> {
        self.inner.view.borrow().clone()
    }

    fn watch(&self) -> watch::Receiver<Arc<RunView>> {
        self.inner.view.clone()
    }

    fn config(&self) -> &RunConfig {
        &self.inner.config
    }

    fn economics(&self) -> &Economics {
        &self.inner.economics
    }

    fn stream(&self) -> &StreamId {
        &self.inner.stream
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.link.clock
    }

    fn artifacts(&self) -> &Arc<dyn Artifacts> {
        &self.inner.artifacts
    }

    async fn latest(&self) -> Result<Arc<RunView>, SwarmError> {
        let link = &self.inner.link;
        let (until, mut pauses) = (link.clock.now() + PATIENCE, Pauses::new());
        loop {
            let request = FollowRequest { of: link.of(), after: self.view().version, wait_millis: 0 };
            let error = match link.ask::<Follow>(&request, CallOptions::default()).await {
                Ok(answer) => return self.see(answer.head).await,
                Err(error) => error,
            };
            if let Some(declined) = declined(&error) {
                return Err(declined);
            }
            if link.clock.now() >= until {
                return Err(SwarmError::Unanswered(error));
            }
            pauses.pause(&*link.clock).await;
        }
    }

    async fn failed(&self) -> Arc<SwarmError> {
        let mut failure = self.inner.failure.clone();
        match failure.wait_for(Option::is_some).await.ok().and_then(|failed| (*failed).clone()) {
            Some(error) => error,
            // It was followed to its end.
            None => std::future::pending().await,
        }
    }

    async fn join(&self, permit: &Authorized, shard: Digest) -> Result<(), SwarmError> {
        self.own(permit)?;
        let request = JoinRequest { of: self.inner.link.of(), shard: bytes(shard) };
        let taken = self.inner.link.insist::<Join>(&request).await?;
        self.done(taken, None, Round(0)).await.map(drop)
    }

    async fn commit(&self, permit: &Authorized, commitment: Commitment) -> Result<(), SwarmError> {
        self.own(permit)?;
        let request = CommitRequest { of: self.inner.link.of(), commitment: json(&commitment)? };
        let taken = self.inner.link.insist::<Commit>(&request).await?;
        self.done(taken, None, commitment.round).await.map(drop)
    }

    async fn reveal(&self, permit: &Authorized, round: Round, update: Digest) -> Result<(), SwarmError> {
        self.own(permit)?;
        let request = RevealRequest { of: self.inner.link.of(), round: round.0, update: bytes(update) };
        let taken = self.inner.link.insist::<Reveal>(&request).await?;
        self.done(taken, None, round).await.map(drop)
    }

    async fn audited(
        &self,
        permit: &Authorized,
        commitment: &Commitment,
        accusation: Option<Evidence>,
    ) -> Result<Finding, SwarmError> {
        let evidence = accusation.map(|evidence| evidence.encode()).transpose()?.unwrap_or_default();
        let finding = self.report(permit, commitment, evidence, false).await?;
        serde_json::from_slice(&finding)
            .map_err(|error| SwarmError::Declined { reason: format!("its finding is none: {error}") })
    }

    async fn withheld(&self, permit: &Authorized, commitment: &Commitment) -> Result<(), SwarmError> {
        self.report(permit, commitment, Bytes::new(), true).await.map(drop)
    }
}

fn bytes(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(digest.as_bytes())
}

fn json(commitment: &Commitment) -> Result<Bytes, SwarmError> {
    let written = serde_json::to_vec(commitment).map(Bytes::from);
    written.map_err(|error| SwarmError::Declined { reason: error.to_string() })
}

impl fmt::Debug for RemoteCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Link { agent, coordinator, .. } = &self.inner.link;
        f.debug_struct("RemoteCoordinator")
            .field("agent", agent)
            .field("coordinator", coordinator)
            .finish_non_exhaustive()
    }
}
