//! What performs an authorised action.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::authorized::Authorized;
use super::request::Action;
use crate::amount::Money;
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{ActionKind, SourceId};

/// What an action brought about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The result, at most [`MAX_PARAMS`](super::MAX_PARAMS) bytes of JSON; put large results into an
    /// artefact and its digest here.
    pub output: Value,
    /// What it cost in the end; `None` when it cost nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
    /// The untrusted sources of the output. Private, so that they are only ever added to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    sources: BTreeSet<SourceId>,
}

impl Outcome {
    /// A result without cost.
    #[must_use]
    pub fn new(output: impl Into<Value>) -> Self {
        Self { output: output.into(), cost: None, sources: BTreeSet::new() }
    }

    pub(crate) fn of(output: Value, cost: Option<Money>) -> Self {
        Self { cost, ..Self::new(output) }
    }

    /// Sets what it cost.
    #[must_use]
    pub const fn with_cost(mut self, cost: Money) -> Self {
        self.cost = Some(cost);
        self
    }

    /// Says that the output comes from an untrusted source. What depends on it is marked; see [`Untrusted`](super::Untrusted).
    #[must_use]
    pub fn with_source(self, source: SourceId) -> Self {
        self.with_sources([source])
    }

    /// As [`Self::with_source`], for several.
    #[must_use]
    pub fn with_sources(mut self, sources: impl IntoIterator<Item = SourceId>) -> Self {
        self.sources.extend(sources);
        self
    }

    /// The untrusted sources of the output; none where all of it can be trusted.
    #[must_use]
    pub const fn sources(&self) -> &BTreeSet<SourceId> {
        &self.sources
    }
}

/// What an executor knows of an action that was attempted before.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reconciled {
    /// It took effect, with this outcome.
    Completed(Outcome),
    /// It took no effect: attempting it again is safe.
    NotFound,
    /// That cannot be known at present.
    Unknown,
}

/// Performs actions of some kinds.
///
/// # Contract
///
/// An implementation must:
/// - use [`Action::id`] as the idempotency key of the effect, so that a second `execute` with the same id has no
///   second effect, or say in [`reconcile`](Self::reconcile) whether the first one had any;
/// - return an error with [`Effect::None`] only when it knows that nothing took effect;
/// - never perform an effect without an [`Authorized`] in its hands.
///
/// The future may be dropped at any `await`; the effect is then reconciled later.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Performs the action.
    ///
    /// # Errors
    /// [`ExecuteError`], which says whether an effect may have taken place.
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError>;

    /// Finds out what became of an action that was attempted, and whose outcome was never recorded. By default
    /// unknown: such an action then waits for a person.
    ///
    /// # Errors
    /// [`ExecuteError`] when it cannot be found out.
    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let _ = action;
        Ok(Reconciled::Unknown)
    }

    /// The action that undoes `action`, when its plan is rolled back; it passes the gate like any other. By
    /// default there is none.
    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        let _ = (action, outcome);
        None
    }
}

#[async_trait]
impl<E: Executor + ?Sized> Executor for Arc<E> {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        (**self).execute(action).await
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        (**self).reconcile(action).await
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        (**self).compensation(action, outcome)
    }
}

/// Whether a failed action may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Certainly not.
    None,
    /// Perhaps.
    Unknown,
}

/// Why an action has no outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The action cannot be done as asked; nothing happened.
    #[error("the action was rejected")]
    Rejected {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// What performs the action is not available at present; nothing happened.
    #[error("the action cannot be done at present")]
    Unavailable {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
        /// When it may be, if that is known.
        after: Option<Duration>,
    },
    /// It failed on the way: the effect may or may not have taken place.
    #[error("the action was interrupted")]
    Interrupted {
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Nobody performs actions of this kind; nothing happened.
    #[error("no executor for actions of kind {kind}")]
    NoExecutor {
        /// The kind.
        kind: ActionKind,
    },
    /// It took too long: the effect may or may not take place.
    #[error("the action took longer than {limit:?}")]
    TimedOut {
        /// How long it was allowed.
        limit: Duration,
    },
    /// The executor panicked: the effect may or may not have taken place.
    #[error("the executor panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// A circuit breaker is open; nothing happened.
    #[error("the circuit is open for another {after:?}")]
    CircuitOpen {
        /// When it lets a trial through.
        after: Duration,
    },
    /// A rate limit is reached; nothing happened.
    #[error("the rate limit allows the next action in {after:?}")]
    RateLimited {
        /// When there is room again.
        after: Duration,
    },
    /// Too many actions are under way; nothing happened.
    #[error("{limit} actions are under way already")]
    BulkheadFull {
        /// How many are allowed.
        limit: usize,
    },
}

impl ExecuteError {
    /// The action cannot be done as asked; nothing happened.
    pub fn rejected(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Rejected { source: source.into() }
    }

    /// Not available at present; nothing happened.
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into(), after: None }
    }

    /// It failed on the way, and may have taken effect.
    pub fn interrupted(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Interrupted { source: source.into() }
    }

    /// Whether an effect may have taken place.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        match self {
            Self::Rejected { .. }
            | Self::Unavailable { .. }
            | Self::NoExecutor { .. }
            | Self::CircuitOpen { .. }
            | Self::RateLimited { .. }
            | Self::BulkheadFull { .. } => Effect::None,
            Self::Interrupted { .. } | Self::TimedOut { .. } | Self::Panicked { .. } => Effect::Unknown,
        }
    }
}

impl Reaction for ExecuteError {
    fn fault(&self) -> Fault {
        match self {
            Self::Rejected { .. } | Self::NoExecutor { .. } => Fault::Caller,
            Self::Unavailable { .. } | Self::Interrupted { .. } | Self::TimedOut { .. } => Fault::Environment,
            Self::CircuitOpen { .. } => Fault::Environment,
            Self::RateLimited { .. } | Self::BulkheadFull { .. } => Fault::Caller,
            Self::Panicked { .. } => Fault::Bug,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Rejected { .. } | Self::NoExecutor { .. } | Self::Panicked { .. } => Retry::Never,
            Self::Unavailable { after, .. } => after.map_or(Retry::Later, Retry::After),
            Self::Interrupted { .. } | Self::TimedOut { .. } | Self::BulkheadFull { .. } => Retry::Later,
            Self::CircuitOpen { after } | Self::RateLimited { after } => Retry::After(*after),
        }
    }
}

/// Executors by the kind of action they perform; itself an executor.
#[derive(Clone, Default)]
pub struct Executors {
    /// Shared: whoever performs actions holds a copy.
    by_kind: Arc<BTreeMap<ActionKind, Arc<dyn Executor>>>,
}

impl Executors {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the executor of a kind; an earlier one is replaced.
    #[must_use]
    pub fn with(mut self, kind: ActionKind, executor: impl Executor + 'static) -> Self {
        Arc::make_mut(&mut self.by_kind).insert(kind, Arc::new(executor));
        self
    }

    /// The kinds that can be performed.
    pub fn kinds(&self) -> impl Iterator<Item = &ActionKind> {
        self.by_kind.keys()
    }

    fn find(&self, kind: &ActionKind) -> Result<&Arc<dyn Executor>, ExecuteError> {
        self.by_kind.get(kind).ok_or_else(|| ExecuteError::NoExecutor { kind: kind.clone() })
    }
}

impl fmt::Debug for Executors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_kind.keys()).finish()
    }
}

#[async_trait]
impl Executor for Executors {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        self.find(action.kind())?.execute(action).await
    }

    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        self.find(action.kind())?.reconcile(action).await
    }

    fn compensation(&self, action: &Action, outcome: &Outcome) -> Option<Action> {
        self.by_kind.get(action.kind())?.compensation(action, outcome)
    }
}
