//! The gate: the only maker of [`Authorized`].

use std::sync::Arc;
use std::time::Duration;

use super::authorized::Permit;
use super::checkpoint::Checkpoints;
use super::context::Context;
use super::ending::{CallError, Ending, ask, call};
use super::error::GateError;
use super::executor::{Effect, Executor, Outcome, Reconciled};
use super::in_flight::InFlight;
use super::journal::{ActionEvent, ActionState, ActionStatus, OpenActions};
use super::patience::Patience;
use super::policy::{DenyAll, Policy};
use super::pursuit::{Again, granted};
use super::request::{Action, ActionError, RESERVED_IDS, stream_of};
use super::salt::SaltKey;
use super::treasury::{NoSpending, Treasury};
use crate::clock::Clock;
use crate::event::{AppendError, EventStore, PageSize, Version};
use crate::id::{ActionId, StreamId};

/// An action that took effect.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Performed {
    /// What it brought about.
    pub outcome: Outcome,
    /// Whether the outcome was recorded by an earlier call, so that this one performed nothing.
    pub replayed: bool,
}

/// The one gate that every effect passes.
///
/// ```
/// # use std::sync::Arc;
/// # use daa_core::action::*;
/// # use daa_core::clock::SystemClock;
/// # use daa_core::event::MemoryEventStore;
/// # async fn example(executors: Executors, rules: Arc<dyn Policy>) -> Result<(), Box<dyn std::error::Error>> {
/// let gate = Gate::builder(Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()))
///     .with_policy(rules)
///     .build();
/// let action = Action::new("greet-1".try_into()?, "greet".try_into()?, "alice".try_into()?)?;
/// let performed = gate.submit(action, Context::new(), &executors).await?;
/// println!("{}", performed.outcome.output);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Gate {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) treasury: Arc<dyn Treasury>,
    pub(super) permit_ttl: Duration,
    pub(super) salts: Option<SaltKey>,
    pub(super) in_flight: InFlight,
    /// Whether it takes ids that are reserved.
    reserved: bool,
    checkpoints: Checkpoints,
}

/// Puts a [`Gate`] together.
#[derive(Debug)]
pub struct GateBuilder {
    gate: Gate,
}

impl GateBuilder {
    /// The rules. Without them everything is denied.
    #[must_use]
    pub fn with_policy(mut self, policy: Arc<dyn Policy>) -> Self {
        self.gate.policy = policy;
        self
    }

    /// The money. Without it every action that may cost something is refused.
    #[must_use]
    pub fn with_treasury(mut self, treasury: Arc<dyn Treasury>) -> Self {
        self.gate.treasury = treasury;
        self
    }

    /// How long a [`Permit`] can be used; by default one minute.
    #[must_use]
    pub const fn with_permit_ttl(mut self, ttl: Duration) -> Self {
        self.gate.permit_ttl = ttl;
        self
    }

    /// Writes a salt beside the content of every event, so that an audit log can publish digests of it and the content
    /// can still be erased. Without it none are written.
    #[must_use]
    pub fn with_salts(mut self, key: SaltKey) -> Self {
        self.gate.salts = Some(key);
        self
    }

    /// The gate.
    #[must_use]
    pub fn build(self) -> Gate {
        self.gate
    }
}

enum Opened {
    Fresh(ActionStatus),
    Exists(ActionStatus),
}

impl Gate {
    /// Starts with what a gate cannot do without.
    #[must_use]
    pub fn builder(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>) -> GateBuilder {
        GateBuilder {
            gate: Self {
                store,
                clock,
                policy: Arc::new(DenyAll),
                treasury: Arc::new(NoSpending),
                permit_ttl: Duration::from_secs(60),
                salts: None,
                in_flight: InFlight::default(),
                reserved: false,
                checkpoints: Checkpoints::default(),
            },
        }
    }

    /// The same gate for what emits actions in the name of rules: it takes ids that begin with
    /// [`RESERVED_IDS`](super::RESERVED_IDS). How long a chain of causes is stands in these ids, so nobody else may use them,
    /// and least of all whoever names an agent or a run.
    #[must_use]
    pub fn reserved(&self) -> Self {
        Self { reserved: true, ..self.clone() }
    }

    /// Whether an action may be asked for here.
    pub(super) fn check(&self, action: &Action) -> Result<(), ActionError> {
        self.check_id(action.id())?;
        action.check()
    }

    pub(super) fn check_id(&self, id: &ActionId) -> Result<(), ActionError> {
        if !self.reserved && id.as_str().starts_with(RESERVED_IDS) {
            return Err(ActionError::Reserved { id: id.clone() });
        }
        Ok(())
    }

    /// Asks for permission, to be used later by [`Self::perform`].
    ///
    /// # Errors
    /// [`GateError`]: withheld by the rules, refused by the treasury, an id that was used before, or a store
    /// that is not available. Nothing is permitted then.
    ///
    /// # Cancel safety
    /// A dropped call may leave the action permitted and its cost reserved until it is
    /// [recovered](Self::reconcile).
    pub async fn authorize(&self, action: Action, context: Context) -> Result<Permit, GateError> {
        match self.open(&action, &context, false).await? {
            Opened::Fresh(status) => Ok(Permit { status }),
            Opened::Exists(status) => match status.state {
                ActionState::Withheld(verdict) => Err(GateError::withheld(status.digest, verdict)),
                ActionState::Refused(refusal) => Err(GateError::Refused(refusal)),
                _ => Err(GateError::IdUsed { id: status.action.id().clone() }),
            },
        }
    }

    /// Performs what was permitted.
    ///
    /// # Errors
    /// [`GateError::Expired`] when the permit is too old. [`GateError::Denied`] or [`GateError::Escalated`] when the policy does
    /// not [stand by it](super::PolicyMemory::uphold) any more; the permission is ended then, and nothing happened. Otherwise as
    /// [`Self::submit`].
    ///
    /// # Cancel safety
    /// As [`Self::submit`].
    pub async fn perform(&self, permit: Permit, executor: &dyn Executor) -> Result<Performed, GateError> {
        let _flight = self.in_flight.begin(permit.action().id())?;
        let context = permit.status.context.clone();
        self.resume(permit.status, &context, executor).await
    }

    /// Asks for permission and performs the action at once. Safe to repeat: an action that already took effect
    /// returns its recorded outcome, one that was interrupted is reconciled first, one that was withheld stays
    /// withheld. So a restarted program may simply submit its actions again. The rules are asked again before an
    /// interrupted action is attempted once more, if the time of its permission has passed or they do not
    /// [stand by it](super::PolicyMemory::uphold) any more. While another call on
    /// this gate or a clone of it performs the same id, the answer is [`GateError::InProgress`].
    ///
    /// # Errors
    /// [`GateError`], which says whether an effect may have taken place.
    ///
    /// # Cancel safety
    /// A dropped call leaves the action as it would be after a crash: at worst attempted without an outcome, to
    /// be reconciled by the next call with the same id, or by [`Self::reconcile`].
    pub async fn submit(
        &self,
        action: Action,
        context: Context,
        executor: &dyn Executor,
    ) -> Result<Performed, GateError> {
        let _flight = self.in_flight.begin(action.id())?;
        match self.open(&action, &context, true).await? {
            Opened::Fresh(status) => self.run(status, executor).await,
            Opened::Exists(status) => self.resume(status, &context, executor).await,
        }
    }

    /// Where an action stands; `None` when it was never asked for, or its decision was erased.
    ///
    /// # Errors
    /// [`GateError`] when the store cannot be read, or holds something else in the action's stream.
    pub async fn status(&self, id: &ActionId) -> Result<Option<ActionStatus>, GateError> {
        let stream = stream_of(id)?;
        let mut status = self.checkpoint(id, &stream).await?;
        let mut after = status.as_ref().map_or(Version::EMPTY, |status| status.version);
        loop {
            let page = self.store.read_stream(&stream, after, PageSize::default()).await?;
            let Some(last) = page.last() else { break };
            after = last.version;
            for recorded in &page {
                if let Some(event) = ActionEvent::read(recorded)? {
                    status = ActionStatus::after(status, event, recorded.version);
                }
            }
        }
        self.checkpoints.note(id, status.as_ref());
        Ok(status)
    }

    /// Where an action stood when its long stream was last read, unless that was erased since.
    async fn checkpoint(&self, id: &ActionId, stream: &StreamId) -> Result<Option<ActionStatus>, GateError> {
        let Some(status) = self.checkpoints.of(id) else { return Ok(None) };
        let before = Version::new(status.version.get().saturating_sub(1));
        let page = self.store.read_stream(stream, before, PageSize::new(1)).await?;
        let stands = page.first().is_some_and(|event| event.version == status.version && !event.is_erased());
        Ok(stands.then_some(status))
    }

    /// The actions without a last word: permitted, attempted or uncertain. Reads the whole log; to follow it,
    /// keep an [`OpenActions`].
    ///
    /// # Errors
    /// [`GateError`] when the store cannot be read.
    pub async fn open_actions(&self) -> Result<Vec<ActionStatus>, GateError> {
        let mut open = OpenActions::new();
        open.catch_up(&*self.store).await?;
        Ok(open.iter().cloned().collect())
    }

    /// Brings an action to its end whose performer is gone: an unused permit expires, an attempt without an
    /// outcome is reconciled through the executor and never repeated. Returns where the action stands then; it
    /// is still open only when the executor cannot tell what became of it.
    ///
    /// Must not be called while another process performs the action. While this one does, through this gate or a
    /// clone of it, the answer is [`GateError::InProgress`].
    ///
    /// # Errors
    /// [`GateError`] when the store is not available, the action was never asked for or is being performed.
    ///
    /// # Cancel safety
    /// Safe; call it again.
    pub async fn reconcile(&self, id: &ActionId, executor: &dyn Executor) -> Result<ActionStatus, GateError> {
        let _flight = self.in_flight.begin(id)?;
        let status = self.status(id).await?.ok_or_else(|| GateError::Unknown { id: id.clone() })?;
        match status.state {
            ActionState::Permitted => {
                self.close(Ending::expired(status)).await?;
            }
            ActionState::Attempted | ActionState::Uncertain(_) => match ask(executor, &status.action).await {
                Reconciled::Completed(outcome) => {
                    self.close(Ending::completed(status, outcome).0).await?;
                }
                Reconciled::NotFound => {
                    self.close(Ending::not_found(status)).await?;
                }
                Reconciled::Unknown => {}
            },
            _ => return Ok(status),
        }
        self.status(id).await?.ok_or_else(|| GateError::Unknown { id: id.clone() })
    }

    /// Decides, reserves, and makes both durable.
    async fn open(&self, action: &Action, context: &Context, attempt: bool) -> Result<Opened, GateError> {
        let stream = action.stream()?;
        let mut patience = Patience::of(action.id().as_str());
        loop {
            let mut transaction = self.transaction();
            let status = transaction.decide(action, context, None, None, attempt).await?;
            match transaction.commit(Vec::new()).await {
                Ok(()) => return granted(status).map(Opened::Fresh),
                Err(AppendError::Conflict { stream: at, .. }) if at == stream => {
                    let status = self.status(action.id()).await?;
                    let status = status.ok_or_else(|| GateError::IdUsed { id: action.id().clone() })?;
                    if status.digest != action.digest() {
                        return Err(GateError::IdUsed { id: action.id().clone() });
                    }
                    return Ok(Opened::Exists(status));
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            if !patience.again(&*self.clock).await {
                return Err(GateError::Contended { tries: patience.lost() });
            }
        }
    }

    /// Goes on with an action from wherever it stands.
    async fn resume(
        &self,
        status: ActionStatus,
        context: &Context,
        executor: &dyn Executor,
    ) -> Result<Performed, GateError> {
        match status.state {
            ActionState::Permitted => self.attempt(status, executor).await,
            ActionState::Attempted | ActionState::Uncertain(_) => match ask(executor, &status.action).await {
                Reconciled::Completed(outcome) => self.succeed(status, outcome).await,
                Reconciled::NotFound => {
                    let status = self.attempt_after(status, context, None).await?;
                    self.run(status, executor).await
                }
                Reconciled::Unknown => Err(GateError::Unresolved { id: status.action.id().clone() }),
            },
            ActionState::Succeeded(outcome) => Ok(Performed { outcome, replayed: true }),
            ActionState::Withheld(verdict) => Err(GateError::withheld(status.digest, verdict)),
            ActionState::Refused(refusal) => Err(GateError::Refused(refusal)),
            ActionState::Failed(error) => Err(GateError::FailedBefore { error }),
            ActionState::Expired => Err(GateError::Expired { id: status.action.id().clone() }),
        }
    }

    async fn attempt(&self, status: ActionStatus, executor: &dyn Executor) -> Result<Performed, GateError> {
        let now = self.clock.now();
        let id = status.action.id().clone();
        if now > status.expires {
            self.close(Ending::expired(status)).await?;
            return Err(GateError::Expired { id });
        }
        match self.attempt_again(status).await? {
            Again::Attempted(status) => self.run(status, executor).await,
            Again::Withdrawn(status, verdict) => {
                let digest = status.digest;
                self.close(Ending::expired(status)).await?;
                Err(GateError::withheld(digest, *verdict))
            }
        }
    }

    /// Calls the executor. The attempt is durable.
    async fn run(&self, status: ActionStatus, executor: &dyn Executor) -> Result<Performed, GateError> {
        let (ending, result) = call(Box::new(status), executor, None).await;
        self.finish(ending, result).await
    }

    async fn succeed(&self, status: ActionStatus, outcome: Outcome) -> Result<Performed, GateError> {
        let (ending, result) = Ending::completed(status, outcome);
        self.finish(ending, result).await
    }

    async fn finish(
        &self,
        ending: Ending,
        result: Result<Outcome, CallError>,
    ) -> Result<Performed, GateError> {
        match result {
            Ok(outcome) => self.close_succeeded(ending, outcome).await,
            Err(error) => {
                self.close(ending).await?;
                Err(match error {
                    CallError::NoEffect(source) => GateError::Failed(source),
                    CallError::Output(error) => error.into(),
                    CallError::Execute(source) if source.effect() == Effect::None => {
                        GateError::Failed(source)
                    }
                    CallError::Execute(source) => GateError::Uncertain(source),
                })
            }
        }
    }

    async fn close_succeeded(&self, ending: Ending, outcome: Outcome) -> Result<Performed, GateError> {
        match self.close(ending).await? {
            None => Ok(Performed { outcome, replayed: false }),
            Some(ActionState::Succeeded(recorded)) => Ok(Performed { outcome: recorded, replayed: true }),
            Some(_) => Ok(Performed { outcome, replayed: false }),
        }
    }

    /// Writes how an action ended, together with what that does to its reservation. When somebody else wrote
    /// the end first, nothing is written, and that end is returned.
    pub(super) async fn close(&self, ending: Ending) -> Result<Option<ActionState>, GateError> {
        let status = &ending.status;
        let stream = status.action.stream()?;
        let mut patience = Patience::of(status.action.id().as_str());
        loop {
            let mut transaction = self.transaction();
            match transaction.conclude(&ending).await {
                Ok(()) => {}
                Err(GateError::Refused(refusal)) => {
                    // Whoever ended the action first has ended its reservation too.
                    drop(transaction);
                    let ended = self.status(status.action.id()).await?.map(|status| status.state);
                    return ended.filter(|state| !state.is_open()).map(Some).ok_or(refusal.into());
                }
                Err(error) => return Err(error),
            }
            match transaction.commit(Vec::new()).await {
                Ok(()) => return Ok(None),
                Err(AppendError::Conflict { stream: at, .. }) if at == stream => {
                    return Ok(self.status(status.action.id()).await?.map(|status| status.state));
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            if !patience.again(&*self.clock).await {
                return Err(GateError::Contended { tries: patience.lost() });
            }
        }
    }
}
