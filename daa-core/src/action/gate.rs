//! The gate: the only maker of [`Authorized`].

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::GateError;
use super::executor::{Effect, ExecuteError, Executor, Outcome, Reconciled};
use super::journal::{ActionEvent, ActionState, ActionStatus, OpenActions};
use super::policy::{Decision, DenyAll, Policy, Request, Verdict};
use super::request::{Action, Context, check_value, stream_of};
use super::treasury::{NoSpending, Treasury, TreasuryChange};
use crate::amount::Money;
use crate::clock::{Clock, Timestamp};
use crate::digest::Digest;
use crate::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, StreamWrite, Version,
};
use crate::failure_text::{error_text, panic_text};
use crate::id::{ActionId, ActionKind, AgentId};

/// How often an append is tried again when another writer was faster.
const MAX_CONFLICTS: u32 = 32;

/// An action that may be performed, in the hands of the executor that performs it.
///
/// Only the [`Gate`] makes one, after the rules permitted the action, its cost was reserved, and the decision
/// and the attempt became durable. It cannot be cloned, stored or made by other code:
///
/// ```compile_fail
/// let forged = daa_core::action::Authorized { };
/// ```
#[derive(Debug)]
pub struct Authorized {
    action: Action,
    digest: Digest,
    ruleset: Digest,
    attempt: u32,
}

impl Authorized {
    /// The action.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.action
    }

    /// The idempotency key of the effect.
    #[must_use]
    pub const fn id(&self) -> &ActionId {
        self.action.id()
    }

    /// What kind of action it is.
    #[must_use]
    pub const fn kind(&self) -> &ActionKind {
        self.action.kind()
    }

    /// Who wants it.
    #[must_use]
    pub const fn actor(&self) -> &AgentId {
        self.action.actor()
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Value {
        self.action.params()
    }

    /// The parameters as a type of the executor's own.
    ///
    /// # Errors
    /// [`ExecuteError::Rejected`] when they are not of this type.
    pub fn params_as<T: DeserializeOwned>(&self) -> Result<T, ExecuteError> {
        T::deserialize(self.action.params()).map_err(ExecuteError::rejected)
    }

    /// The digest of the action that was permitted.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The content hash of the rules that permitted it.
    #[must_use]
    pub const fn ruleset(&self) -> Digest {
        self.ruleset
    }

    /// Which attempt this is, from 1. Beyond the first, an earlier attempt took no effect.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// Permission for one action, once, until it expires. Spent by [`Gate::perform`].
#[derive(Debug)]
#[must_use = "what was reserved for it stays reserved until the permit is performed or recovered"]
pub struct Permit {
    status: ActionStatus,
}

impl Permit {
    /// The action that is permitted.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.status.action
    }

    /// When the permission ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.status.expires
    }
}

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
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    policy: Arc<dyn Policy>,
    treasury: Arc<dyn Treasury>,
    permit_ttl: Duration,
    in_flight: InFlight,
}

/// The actions that this gate and its clones are performing or reconciling.
///
/// The journal alone cannot tell an attempt that is under way from one whose performer is gone: reconciling the
/// former would find no effect yet, and repeat it.
#[derive(Clone, Debug, Default)]
struct InFlight(Arc<Mutex<HashSet<ActionId>>>);

/// Keeps others away from an action until it is dropped.
struct Flight {
    all: InFlight,
    id: ActionId,
}

impl InFlight {
    fn begin(&self, id: &ActionId) -> Result<Flight, GateError> {
        let fresh = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        if fresh {
            return Ok(Flight { all: self.clone(), id: id.clone() });
        }
        Err(GateError::IdUsed { id: id.clone() })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
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

    /// The gate.
    #[must_use]
    pub fn build(self) -> Gate {
        self.gate
    }
}

/// Whether the decision and the first attempt are one append.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Now,
    Later,
}

enum Opened {
    Fresh(ActionStatus),
    Exists(ActionStatus),
}

/// What the treasury does when an action ends.
enum Settlement {
    Spend(Money),
    GiveBack,
    Keep,
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
                in_flight: InFlight::default(),
            },
        }
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
        match self.open(action, context, Attempt::Later).await? {
            Opened::Fresh(status) => Ok(Permit { status }),
            Opened::Exists(status) => match status.state {
                ActionState::Withheld(verdict) => Err(GateError::withheld(verdict)),
                ActionState::Refused(refusal) => Err(GateError::Refused(refusal)),
                _ => Err(GateError::IdUsed { id: status.action.id().clone() }),
            },
        }
    }

    /// Performs what was permitted.
    ///
    /// # Errors
    /// [`GateError::Expired`] when the permit is too old; otherwise as [`Self::submit`].
    ///
    /// # Cancel safety
    /// As [`Self::submit`].
    pub async fn perform(&self, permit: Permit, executor: &dyn Executor) -> Result<Performed, GateError> {
        let _flight = self.in_flight.begin(permit.action().id())?;
        self.resume(permit.status, executor).await
    }

    /// Asks for permission and performs the action at once. Safe to repeat: an action that already took effect
    /// returns its recorded outcome, one that was interrupted is reconciled first, one that was withheld stays
    /// withheld. So a restarted program may simply submit its actions again. While another call on this gate or
    /// a clone of it performs the same id, the answer is [`GateError::IdUsed`].
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
        match self.open(action, context, Attempt::Now).await? {
            Opened::Fresh(status) => self.run(status, executor).await,
            Opened::Exists(status) => self.resume(status, executor).await,
        }
    }

    /// Where an action stands; `None` when it was never asked for, or its decision was erased.
    ///
    /// # Errors
    /// [`GateError`] when the store cannot be read, or holds something else in the action's stream.
    pub async fn status(&self, id: &ActionId) -> Result<Option<ActionStatus>, GateError> {
        let events = self.store.read_stream(&stream_of(id)?, Version::EMPTY, PageSize::default()).await?;
        let mut status = None;
        for recorded in &events {
            if let Some(event) = ActionEvent::read(recorded)? {
                status = ActionStatus::after(status, event, recorded.version);
            }
        }
        Ok(status)
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
    /// clone of it, the answer is [`GateError::IdUsed`].
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
                self.close(status, ActionEvent::Expired, Settlement::GiveBack).await?;
            }
            ActionState::Attempted | ActionState::Uncertain(_) => match ask(executor, &status.action).await {
                Reconciled::Completed(outcome) => {
                    self.succeed(status, outcome).await?;
                }
                Reconciled::NotFound => {
                    let error = "no effect was found when the action was reconciled".to_owned();
                    self.close(status, ActionEvent::Failed { error }, Settlement::GiveBack).await?;
                }
                Reconciled::Unknown => {}
            },
            _ => return Ok(status),
        }
        self.status(id).await?.ok_or_else(|| GateError::Unknown { id: id.clone() })
    }

    /// Decides, reserves, and makes both durable.
    async fn open(&self, action: Action, context: Context, attempt: Attempt) -> Result<Opened, GateError> {
        action.check()?;
        context.check()?;
        let stream = action.stream()?;
        let digest = action.digest();
        for _ in 0..MAX_CONFLICTS {
            let now = self.clock.now();
            let verdict = self.policy.decide(&Request::new(&action, &context, now));
            let (change, event) = self.decide(&action, digest, &context, verdict, now).await?;
            let permitted = matches!(event, ActionEvent::Permitted { .. });
            let mut events = vec![event.to_new(now)?];
            let mut status = ActionStatus::after(None, event, Version::new(1));
            if permitted && attempt == Attempt::Now {
                let attempted = ActionEvent::Attempted { attempt: 1 };
                events.push(attempted.to_new(now)?);
                status = ActionStatus::after(status, attempted, Version::new(2));
            }
            let write = StreamWrite::new(stream.clone(), ExpectedVersion::NO_STREAM, events);
            match self.append(write, change).await {
                Ok(()) => {
                    let status = status.ok_or_else(|| GateError::Unknown { id: action.id().clone() })?;
                    return opened(status);
                }
                Err(AppendError::Conflict { stream: at, .. }) if at == stream => {
                    let status = self.status(action.id()).await?;
                    let status = status.ok_or_else(|| GateError::IdUsed { id: action.id().clone() })?;
                    if status.digest != digest {
                        return Err(GateError::IdUsed { id: action.id().clone() });
                    }
                    return Ok(Opened::Exists(status));
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(GateError::Contended { tries: MAX_CONFLICTS })
    }

    async fn decide(
        &self,
        action: &Action,
        digest: Digest,
        context: &Context,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<(Option<Box<dyn TreasuryChange>>, ActionEvent), GateError> {
        let (action, context) = (action.clone(), context.clone());
        if verdict.decision != Decision::Permit {
            return Ok((None, ActionEvent::Withheld { action, digest, context, verdict }));
        }
        let expires = now + self.permit_ttl;
        if action.max_cost().is_none() {
            let reservation = None;
            let event = ActionEvent::Permitted { action, digest, context, verdict, reservation, expires };
            return Ok((None, event));
        }
        let mut change = self.treasury.begin().await?;
        match change.reserve(&action, now) {
            Ok(reservation) => {
                let reservation = Some(reservation);
                let event = ActionEvent::Permitted { action, digest, context, verdict, reservation, expires };
                Ok((Some(change), event))
            }
            Err(refusal) => Ok((None, ActionEvent::Refused { action, digest, context, verdict, refusal })),
        }
    }

    async fn append(
        &self,
        write: StreamWrite,
        change: Option<Box<dyn TreasuryChange>>,
    ) -> Result<(), AppendError> {
        let mut batch = Batch::new().with(write);
        if let Some(change) = &change {
            batch.writes.extend(change.writes());
        }
        self.store.append(batch).await?;
        if let Some(change) = change {
            change.confirm();
        }
        Ok(())
    }

    /// Goes on with an action from wherever it stands.
    async fn resume(&self, status: ActionStatus, executor: &dyn Executor) -> Result<Performed, GateError> {
        match status.state {
            ActionState::Permitted => self.attempt(status, executor).await,
            ActionState::Attempted | ActionState::Uncertain(_) => match ask(executor, &status.action).await {
                Reconciled::Completed(outcome) => self.succeed(status, outcome).await,
                Reconciled::NotFound => self.attempt(status, executor).await,
                Reconciled::Unknown => Err(GateError::Unresolved { id: status.action.id().clone() }),
            },
            ActionState::Succeeded(outcome) => Ok(Performed { outcome, replayed: true }),
            ActionState::Withheld(verdict) => Err(GateError::withheld(verdict)),
            ActionState::Refused(refusal) => Err(GateError::Refused(refusal)),
            ActionState::Failed(error) => Err(GateError::FailedBefore { error }),
            ActionState::Expired => Err(GateError::Expired { id: status.action.id().clone() }),
        }
    }

    async fn attempt(&self, status: ActionStatus, executor: &dyn Executor) -> Result<Performed, GateError> {
        let now = self.clock.now();
        let id = status.action.id().clone();
        if status.state == ActionState::Permitted && now > status.expires {
            self.close(status, ActionEvent::Expired, Settlement::GiveBack).await?;
            return Err(GateError::Expired { id });
        }
        let attempted = ActionEvent::Attempted { attempt: status.attempts.saturating_add(1) };
        let expected = ExpectedVersion::Exact(status.version);
        let write = StreamWrite::new(status.action.stream()?, expected, vec![attempted.to_new(now)?]);
        match self.append(write, None).await {
            Ok(()) => {}
            // Another call with this id was faster; it performs the action, this one must not.
            Err(AppendError::Conflict { .. }) => return Err(GateError::IdUsed { id }),
            Err(error) => return Err(error.into()),
        }
        let version = status.version.next();
        let status = ActionStatus::after(Some(status), attempted, version);
        self.run(status.ok_or(GateError::Unknown { id })?, executor).await
    }

    /// Calls the executor. The attempt is durable.
    async fn run(&self, status: ActionStatus, executor: &dyn Executor) -> Result<Performed, GateError> {
        let authorized = Authorized {
            action: status.action.clone(),
            digest: status.digest,
            ruleset: status.ruleset,
            attempt: status.attempts,
        };
        let caught = AssertUnwindSafe(executor.execute(&authorized)).catch_unwind().await;
        let result =
            caught.unwrap_or_else(|panic| Err(ExecuteError::Panicked { message: panic_text(&*panic) }));
        match result {
            Ok(outcome) => match check_value("output", &outcome.output) {
                Ok(()) => self.succeed(status, outcome).await,
                // The effect took place; only its description is too large to keep.
                Err(error) => {
                    let kept = Outcome { output: Value::Null, cost: outcome.cost };
                    self.succeed(status, kept).await?;
                    Err(error.into())
                }
            },
            Err(source) => {
                let error = error_text(&source);
                match source.effect() {
                    Effect::None => {
                        self.close(status, ActionEvent::Failed { error }, Settlement::GiveBack).await?;
                        Err(GateError::Failed(source))
                    }
                    Effect::Unknown => {
                        self.close(status, ActionEvent::Uncertain { error }, Settlement::Keep).await?;
                        Err(GateError::Uncertain(source))
                    }
                }
            }
        }
    }

    async fn succeed(&self, status: ActionStatus, outcome: Outcome) -> Result<Performed, GateError> {
        let reserved = status.reservation.as_ref().and(status.action.max_cost());
        let (settlement, overrun) = match (outcome.cost, reserved) {
            (None, _) => (Settlement::GiveBack, None),
            (Some(cost), None) => (Settlement::Keep, Some(cost)),
            (Some(cost), Some(reserved)) => match cost.checked_sub(reserved) {
                Ok(over) if !over.amount().is_zero() => (Settlement::Spend(reserved), Some(over)),
                Ok(_) => (Settlement::Spend(cost), None),
                Err(_) if cost.currency() == reserved.currency() => (Settlement::Spend(cost), None),
                Err(_) => (Settlement::Spend(reserved), Some(cost)),
            },
        };
        let event = ActionEvent::Succeeded { outcome: outcome.clone(), overrun };
        match self.close(status, event, settlement).await? {
            None => Ok(Performed { outcome, replayed: false }),
            Some(ActionState::Succeeded(recorded)) => Ok(Performed { outcome: recorded, replayed: true }),
            Some(_) => Ok(Performed { outcome, replayed: false }),
        }
    }

    /// Writes how an action ended, together with what that does to its reservation. When somebody else wrote
    /// the end first, nothing is written, and that end is returned.
    async fn close(
        &self,
        status: ActionStatus,
        event: ActionEvent,
        settlement: Settlement,
    ) -> Result<Option<ActionState>, GateError> {
        let stream = status.action.stream()?;
        for _ in 0..MAX_CONFLICTS {
            let now = self.clock.now();
            let change = match (&status.reservation, &settlement) {
                (None, _) | (_, Settlement::Keep) => None,
                (Some(reservation), settlement) => {
                    let mut change = self.treasury.begin().await?;
                    let done = match settlement {
                        Settlement::Spend(cost) => change.settle(reservation, *cost, now),
                        Settlement::GiveBack | Settlement::Keep => change.release(reservation, now),
                    };
                    if let Err(refusal) = done {
                        // Whoever ended the action first has ended its reservation too.
                        drop(change);
                        let ended = self.status(status.action.id()).await?.map(|status| status.state);
                        return ended.filter(|state| !state.is_open()).map(Some).ok_or(refusal.into());
                    }
                    Some(change)
                }
            };
            let expected = ExpectedVersion::Exact(status.version);
            let new: NewEvent = event.to_new(now)?;
            match self.append(StreamWrite::new(stream.clone(), expected, vec![new]), change).await {
                Ok(()) => return Ok(None),
                Err(AppendError::Conflict { stream: at, .. }) if at == stream => {
                    return Ok(self.status(status.action.id()).await?.map(|status| status.state));
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(GateError::Contended { tries: MAX_CONFLICTS })
    }
}

/// A fresh action whose decision is durable: to be performed, or an error that says why not.
fn opened(status: ActionStatus) -> Result<Opened, GateError> {
    match status.state {
        ActionState::Withheld(verdict) => Err(GateError::withheld(verdict)),
        ActionState::Refused(refusal) => Err(GateError::Refused(refusal)),
        _ => Ok(Opened::Fresh(status)),
    }
}

/// Reconciles; an executor that fails or panics at that does not know.
async fn ask(executor: &dyn Executor, action: &Action) -> Reconciled {
    match AssertUnwindSafe(executor.reconcile(action)).catch_unwind().await {
        Ok(Ok(reconciled)) => reconciled,
        Ok(Err(error)) => {
            tracing::warn!(action = %action.id(), error = %error_text(&error), "cannot reconcile");
            Reconciled::Unknown
        }
        Err(panic) => {
            tracing::warn!(action = %action.id(), panic = %panic_text(&*panic), "cannot reconcile");
            Reconciled::Unknown
        }
    }
}
