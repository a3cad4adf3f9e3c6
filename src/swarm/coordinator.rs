//! The coordinator: the round protocol, on an event store, with the money that follows from it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use daa_compute::checkpoint::Checkpoint;
use daa_compute::codec::{Residual, SparseUpdate};
use daa_compute::commitment::{Commitment, Round};
use daa_compute::dataset::Shard;
use daa_compute::protocol::{Effect, Event, Input, Refusal, Run, RunTerms, Stage};
use daa_compute::{ComputeBackend, RunConfig};
use daa_core::action::Authorized;
use daa_core::artifact::Artifacts;
use daa_core::clock::Clock;
use daa_core::digest::Digest;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, StreamWrite, Version,
};
use daa_core::id::{AgentId, EventKind, StreamId};
use daa_economy::Ledger;
use tokio::sync::{Mutex, watch};

use super::bookkeeping::Bookkeeping;
use super::economics::{Economics, run_name};
use super::error::SwarmError;
use super::view::RunView;

/// The kind that the events of a run are stored under.
pub const EVENT_KIND: &str = "run.progressed.v1";

/// How often an append is tried again when the ledger moved meanwhile.
const MAX_CONFLICTS: u32 = 32;

/// What a coordinator is made of. The ledger must be on the same store.
#[derive(Clone, Debug)]
pub struct CoordinatorParts {
    /// What the members agree on.
    pub config: RunConfig,
    /// What the run costs and earns.
    pub economics: Economics,
    /// Where the history goes.
    pub store: Arc<dyn EventStore>,
    /// Where models, updates and evidence go.
    pub artifacts: Arc<dyn Artifacts>,
    /// Where the money is.
    pub ledger: Ledger,
    /// On what accusations are rechecked.
    pub backend: Arc<dyn ComputeBackend>,
    /// The time, for deadlines.
    pub clock: Arc<dyn Clock>,
    /// How long a stage of a round waits for a member that does not answer before a quorum suffices.
    pub stage_timeout: Duration,
    /// A round that may not close before [`Coordinator::release`], so that something can be made to happen in it.
    pub hold: Option<Round>,
}

/// Drives one training run. Cheap to clone; clones are the same coordinator.
///
/// # Contract
/// - What a member does to the run needs an [`Authorized`] action of its own: only the gate makes one.
/// - Every input is durable, with all that follows from it and all money that this moves, before the call returns.
/// - Every call may be repeated after a crash: an input that was taken before is refused as a duplicate and changes
///   nothing.
/// - What somebody else wrote to the run, or an append that was not confirmed, is read and taken in before an input
///   is decided on again.
///
/// # Cancel safety
/// A dropped call has taken the input wholly or not at all, and the coordinator stays usable.
#[derive(Clone, Debug)]
pub struct Coordinator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) parts: CoordinatorParts,
    pub(super) stream: StreamId,
    books: Bookkeeping,
    state: Mutex<State>,
    view: watch::Sender<Arc<RunView>>,
    failure: watch::Sender<Option<Arc<SwarmError>>>,
    /// The round that may not close yet, if any.
    pub(super) held: watch::Sender<Option<Round>>,
}

#[derive(Debug)]
struct State {
    run: Run,
    version: Version,
}

impl Coordinator {
    /// Begins the run of `parts`, or takes it up where an earlier process left it.
    ///
    /// # Errors
    /// [`SwarmError`] when a store fails, or holds a history that does not fit together.
    pub async fn open(parts: CoordinatorParts) -> Result<Self, SwarmError> {
        parts.config.check()?;
        parts.economics.check(&parts.config)?;
        let initial = parts.config.initial()?;
        parts.artifacts.put(initial.encode().into()).await?;
        parts.artifacts.put(Residual::zero(initial.layout().clone()).encode().into()).await?;
        let genesis = Checkpoint::genesis(parts.config.run_id(), initial).store(&*parts.artifacts).await?;
        let name = run_name(&parts.config)?;
        let stream = StreamId::new(format!("run/{name}"))?;
        let books = Bookkeeping::new(name, parts.economics.clone(), &parts.ledger)?;
        let mut run = Run::new(RunTerms::new(&parts.config, genesis)?);
        let mut view = RunView::default();
        view.begin(run.latest(), run.terms().zero_residual);
        let version = replay(&*parts.store, &stream, Version::EMPTY, &mut run, &mut view).await?;
        parts.ledger.update(|change, now| books.endow_pool(change, parts.config.rounds, now)).await?;
        let state = Mutex::new(State { run, version });
        let (view, failure) = (watch::Sender::new(Arc::new(view)), watch::Sender::new(None));
        let held = watch::Sender::new(parts.hold);
        let inner = Arc::new(Inner { parts, stream, books, state, view, failure, held });
        let coordinator = Self { inner };
        let pending = coordinator.inner.state.lock().await.run.pending();
        coordinator.perform(pending);
        Ok(coordinator)
    }

    /// What everybody may know of the run.
    #[must_use]
    pub fn view(&self) -> Arc<RunView> {
        self.inner.view.borrow().clone()
    }

    /// The view, and each change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<RunView>> {
        self.inner.view.subscribe()
    }

    /// What the members agree on.
    #[must_use]
    pub fn config(&self) -> &RunConfig {
        &self.inner.parts.config
    }

    /// What the run costs and earns.
    #[must_use]
    pub fn economics(&self) -> &Economics {
        self.inner.books.economics()
    }

    /// The stream that the run is written to.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.inner.stream
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.parts.clock
    }

    pub(super) fn artifacts(&self) -> &Arc<dyn Artifacts> {
        &self.inner.parts.artifacts
    }

    /// An agent joins with a shard, and locks its stake in the same append. It takes part from the next round on.
    ///
    /// The shard must be in the artefact store and fit the model: otherwise nobody could audit the member.
    ///
    /// # Errors
    /// [`SwarmError::Missing`], [`SwarmError::Wire`] or [`SwarmError::Compute`] for a shard that cannot be used;
    /// [`SwarmError::Refused`] when the agent is a member or was ejected; [`SwarmError::Rejected`] without the stake.
    pub async fn join(&self, permit: &Authorized, shard: Digest) -> Result<(), SwarmError> {
        self.take_in(permit.actor(), shard).await
    }

    /// [`Self::join`] of an agent that has proved who it is.
    pub(super) async fn take_in(&self, agent: &AgentId, shard: Digest) -> Result<(), SwarmError> {
        let parts = &self.inner.parts;
        let missing = SwarmError::Missing { what: "shard", digest: shard };
        let bytes = parts.artifacts.get(&shard).await?.ok_or(missing)?;
        let loaded = parts.backend.load_shard(&Shard::decode(&bytes)?).await?;
        parts.backend.unload_shard(&loaded).await;
        self.take(Input::Join { agent: agent.clone(), shard }).await
    }

    /// The first round may open, as soon as there are enough members. Repeating it has no effect.
    ///
    /// # Errors
    /// [`SwarmError`] of the stores.
    pub async fn start(&self) -> Result<(), SwarmError> {
        match self.take(Input::Start).await {
            Err(SwarmError::Refused(Refusal::OutOfTurn | Refusal::Ended)) => Ok(()),
            done => done,
        }
    }

    /// Declares a member dead: nobody waits for it any longer. It is not paid for what it did not do, and not
    /// slashed. Repeating it has no effect.
    ///
    /// # Errors
    /// [`SwarmError`] of the stores.
    pub async fn lost(&self, agent: AgentId) -> Result<(), SwarmError> {
        match self.take(Input::Dead { agent }).await {
            Err(SwarmError::Refused(Refusal::NotLive { .. } | Refusal::Ejected { .. } | Refusal::Ended)) => {
                Ok(())
            }
            done => done,
        }
    }

    /// A member commits to its update of the open round.
    ///
    /// # Errors
    /// [`SwarmError::NotYours`] for somebody else's commitment; [`SwarmError::OtherPath`] when it was not computed as
    /// this coordinator computes, so that nobody here could audit it; [`SwarmError::Refused`] when it is not its turn, or a
    /// field is not what the run fixes.
    pub async fn commit(&self, permit: &Authorized, commitment: Commitment) -> Result<(), SwarmError> {
        self.take_commitment(permit.actor(), commitment).await
    }

    /// [`Self::commit`] of an agent that has proved who it is.
    pub(super) async fn take_commitment(
        &self,
        agent: &AgentId,
        commitment: Commitment,
    ) -> Result<(), SwarmError> {
        if commitment.agent != *agent {
            return Err(SwarmError::NotYours { agent: agent.clone() });
        }
        let expected = self.inner.parts.backend.path();
        if commitment.path != expected {
            return Err(SwarmError::OtherPath { found: commitment.path, expected });
        }
        self.take(Input::Commit(commitment)).await
    }

    /// A member reveals its update, which must be in the artefact store. It is read, measured and decoded first.
    ///
    /// # Errors
    /// [`SwarmError::Missing`] when the update is not there, [`SwarmError::Wire`] when it does not decode,
    /// [`SwarmError::Refused`] when it is not what was committed.
    pub async fn reveal(&self, permit: &Authorized, round: Round, update: Digest) -> Result<(), SwarmError> {
        self.take_update(permit.actor(), round, update).await
    }

    /// [`Self::reveal`] of an agent that has proved who it is.
    pub(super) async fn take_update(
        &self,
        agent: &AgentId,
        round: Round,
        update: Digest,
    ) -> Result<(), SwarmError> {
        let parts = &self.inner.parts;
        let missing = SwarmError::Missing { what: "update", digest: update };
        let bytes = parts.artifacts.get(&update).await?.ok_or(missing)?;
        SparseUpdate::decode(parts.backend.layout(), &parts.config.codec, &bytes)?;
        self.take(Input::Reveal { agent: agent.clone(), round, update, len: bytes.len() as u64 }).await
    }

    /// Lets the round that was held by [`CoordinatorParts::hold`] close.
    pub fn release(&self) {
        self.inner.held.send_replace(None);
    }

    /// Waits until the run has ended.
    ///
    /// # Errors
    /// What made the run impossible to go on with.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn finished(&self) -> Result<(), Arc<SwarmError>> {
        let mut view = self.watch();
        tokio::select! {
            error = self.failed() => Err(error),
            _ = view.wait_for(|view| view.finished) => Ok(()),
        }
    }

    /// What made the run impossible to go on with, as soon as something does.
    pub(super) async fn failed(&self) -> Arc<SwarmError> {
        let mut failure = self.inner.failure.subscribe();
        // The sender lives as long as this coordinator.
        match failure.wait_for(Option::is_some).await.ok().and_then(|failed| (*failed).clone()) {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }

    /// Whether the protocol would take an input now. It may be otherwise a moment later.
    ///
    /// # Errors
    /// [`Refusal`] if not.
    #[cfg(feature = "net")]
    pub(super) async fn would_take(&self, input: Input) -> Result<(), Refusal> {
        let mut run = self.inner.state.lock().await.run.clone();
        run.step(input).map(drop)
    }

    pub(super) fn fail(&self, error: SwarmError) {
        self.inner.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(Arc::new(error));
            }
            first
        });
    }

    /// Takes an input: decides, makes durable, tells everybody, and performs what follows.
    pub(super) async fn take(&self, input: Input) -> Result<(), SwarmError> {
        let coordinator = self.clone();
        // On a task of its own: whoever gives up waiting must not leave the state behind the store.
        let taken = tokio::spawn(async move { coordinator.take_whole(input).await });
        taken.await.map_err(|error| SwarmError::Panicked { message: error.to_string() })?
    }

    async fn take_whole(&self, input: Input) -> Result<(), SwarmError> {
        let inner = &self.inner;
        let mut state = inner.state.lock().await;
        for _ in 0..MAX_CONFLICTS {
            let mut run = state.run.clone();
            let step = run.step(input.clone())?;
            let before = self.view();
            let Some(after) = self.record(&step.events, state.version, &before).await? else {
                self.catch_up(&mut state).await?;
                continue;
            };
            state.version = Version::new(state.version.get() + step.events.len() as u64);
            state.run = run;
            let obsolete = before.referenced().difference(&after.referenced()).copied().collect();
            inner.view.send_replace(Arc::new(after));
            drop(state);
            self.perform(step.effects);
            self.discard(obsolete).await;
            return Ok(());
        }
        Err(SwarmError::Contended { tries: MAX_CONFLICTS })
    }

    /// Takes in what stands in the run's stream beyond what this coordinator knows.
    async fn catch_up(&self, state: &mut State) -> Result<(), SwarmError> {
        let mut view = RunView::clone(&self.view());
        let (store, stream) = (&*self.inner.parts.store, &self.inner.stream);
        state.version = replay(store, stream, state.version, &mut state.run, &mut view).await?;
        self.inner.view.send_replace(Arc::new(view));
        Ok(())
    }

    /// Makes events and their money durable in one append, and returns the view with them; `None` when the run's
    /// stream is further than `version`.
    async fn record(
        &self,
        events: &[Event],
        version: Version,
        before: &RunView,
    ) -> Result<Option<RunView>, SwarmError> {
        let inner = &self.inner;
        let now = inner.parts.clock.now();
        let kind = EventKind::new(EVENT_KIND)?;
        let new: Result<Vec<NewEvent>, _> =
            events.iter().map(|event| NewEvent::json(kind.clone(), now, event)).collect();
        let write = StreamWrite::new(inner.stream.clone(), ExpectedVersion::Exact(version), new?);
        for _ in 0..MAX_CONFLICTS {
            let mut change = inner.parts.ledger.begin().await?;
            let mut view = before.clone();
            for event in events {
                inner.books.book(&mut change, event, &view, now)?;
                view.apply(event);
            }
            let mut batch = Batch::new().with(write.clone());
            batch.writes.extend(change.writes());
            match inner.parts.store.append(batch).await {
                Ok(_) => {
                    change.confirm();
                    return Ok(Some(view));
                }
                Err(AppendError::Conflict { stream, .. }) if stream == inner.stream => return Ok(None),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SwarmError::Contended { tries: MAX_CONFLICTS })
    }

    /// Performs effects. Training, revealing and auditing are the members' own duty, which the view tells them.
    fn perform(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Aggregate { round, base, updates } => {
                    let coordinator = self.clone();
                    tokio::spawn(async move { coordinator.aggregate(round, base, updates).await });
                }
                Effect::Timer { round, stage } => self.arm(round, stage),
                _ => {}
            }
        }
    }

    /// Lets a quorum suffice when a stage takes too long.
    fn arm(&self, round: Round, stage: Stage) {
        let coordinator = self.clone();
        tokio::spawn(async move {
            let clock = coordinator.inner.parts.clock.clone();
            let late = clock.sleep(coordinator.inner.parts.stage_timeout);
            tokio::select! {
                () = coordinator.stage_ended(round, stage) => return,
                () = late => {}
            }
            // Refused when the stage ended at the same moment: then there is nothing left to do.
            if let Err(error) = coordinator.take(Input::Deadline { round, stage }).await {
                tracing::debug!(round = round.0, %error, "deadline");
            }
        });
    }

    async fn stage_ended(&self, round: Round, stage: Stage) {
        let mut view = self.watch();
        loop {
            let now = view.borrow_and_update().clone();
            let open = now.open.as_ref().is_some_and(|open| open.round == round && open.stage == Some(stage));
            // The sender lives as long as this coordinator.
            if now.finished || !open || view.changed().await.is_err() {
                return;
            }
        }
    }

    /// Removes artefacts that no event needs any more. One that stays behind costs space and nothing else.
    async fn discard(&self, obsolete: BTreeSet<Digest>) {
        for digest in obsolete {
            if let Err(error) = self.inner.parts.artifacts.remove(&digest).await {
                tracing::debug!(%digest, %error, "an artefact was not removed");
            }
        }
    }

    pub(super) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

/// Brings run and view from `version` to the end of the history; returns its length.
async fn replay(
    store: &dyn EventStore,
    stream: &StreamId,
    mut version: Version,
    run: &mut Run,
    view: &mut RunView,
) -> Result<Version, SwarmError> {
    loop {
        let page = store.read_stream(stream, version, PageSize::default()).await?;
        let Some(last) = page.last() else { return Ok(version) };
        version = last.version;
        for recorded in &page {
            let event: Event = recorded.json()?;
            run.apply(&event)?;
            view.apply(&event);
        }
    }
}
