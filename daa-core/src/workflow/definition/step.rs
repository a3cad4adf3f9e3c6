//! One step of a workflow.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::duration_text;
use super::condition::Condition;
use super::retry::Retry;
use super::schema::Type;
use super::step_form::StepForm;
use super::template::Template;
use crate::id::{ActionKind, AgentId, SignalName, StepName, WorkflowName};

/// A step: what is done, on what it depends, and what happens when it fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StepForm")]
#[non_exhaustive]
pub struct Step {
    /// Its name, unique in the workflow: lower-case letters, digits, `_` and `-`.
    #[serde(rename = "step")]
    pub name: StepName,
    /// What is done.
    #[serde(flatten)]
    pub kind: StepKind,
    /// The steps that must be settled first, beside those that its templates refer to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<StepName>,
    /// The step is skipped unless this holds; its output is null then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// Does the step once for every item of a list; its output is the list of outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// Does the step again and again; its output is that of the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// What one doing of the step yields.
    pub gives: Type,
    /// How often and when it is tried again after a failure without effect. Only of actions.
    pub retry: Retry,
    /// How long one try may take. Only of actions.
    #[serde(with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub try_timeout: Option<Duration>,
    /// The longest silence of an executor that reports progress. Only of actions.
    #[serde(with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Duration>,
    /// How long the step may take in all, from its first try. Not of steps that wait for time. Nothing of it is begun
    /// afterwards; a try whose outcome is not known by then is found out about, which may take longer.
    #[serde(with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// How it is undone.
    #[serde(skip_serializing_if = "Undo::is_unsaid")]
    pub undo: Undo,
    /// What its failure means for the run.
    pub on_failure: OnFailure,
    /// How many there may be at a time, or in a span of time, for a key. Not of steps that wait for time or a signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepKind {
    /// Performs an action, through the gate. The output is that of the action.
    Action(ActionStep),
    /// Waits for a span of time.
    #[serde(with = "duration_text")]
    Sleep(Duration),
    /// Waits until a moment: a template that yields milliseconds since the Unix epoch.
    Until(Template),
    /// Waits for a signal. The output is what the signal carries.
    Signal(SignalStep),
    /// Waits for somebody's approval. The output says who approved.
    Approval(ApprovalStep),
    /// Runs another workflow. The output is that of the other run.
    Workflow(ChildStep),
}

/// An action to perform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ActionStep {
    /// What kind of action.
    pub kind: ActionKind,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Template::is_null")]
    pub with: Template,
    /// What the parameters must be.
    #[serde(default)]
    pub takes: Type,
    /// The most it may cost: a template that yields money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Template>,
}

/// A signal to wait for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SignalStep {
    /// Its name.
    pub name: SignalName,
}

/// Something to be approved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ApprovalStep {
    /// What is approved: the approval holds for exactly this.
    pub of: Template,
    /// Who may approve; empty: whoever the rules permit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<AgentId>,
    /// How long the request stands.
    #[serde(with = "duration_text")]
    pub within: Duration,
}

/// A workflow to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ChildStep {
    /// Its name: the version that is registered last when the step begins is run.
    pub name: WorkflowName,
    /// Its input.
    #[serde(default, skip_serializing_if = "Template::is_null")]
    pub with: Template,
}

/// Fan-out over a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Each {
    /// The list. Templates of the step, but for this one and `when`, refer to the item as `${item}` and to its index
    /// as `${index}`.
    pub of: Template,
    /// How many are done at a time; without it all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<NonZeroU32>,
}

/// A bounded loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Repeat {
    /// Ends when this holds; `${last}` is the output of the last time. Templates of the step, but for
    /// `when`, may use `${last}` too, which is null the first time, and `${index}`.
    pub until: Condition,
    /// The step fails when it does not hold after this many times; at most 1,000.
    pub at_most: NonZeroU32,
}

/// How an action that took effect is undone when the run fails later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there is one per step, and most say how they are undone")]
pub enum Undo {
    /// Nothing is said: the executor's own [`compensation`](crate::action::Executor::compensation), if it has one.
    #[default]
    Unsaid,
    /// It needs no undoing.
    Nothing,
    /// By another action. Its templates may refer to the step itself, which is the output of one doing of it, and to
    /// the steps before it.
    ///
    /// A step that took effect and failed because its output is not of its type is undone too, and the undo sees that
    /// output. An output that is too large is not kept: an undo that refers to it is not tried, and the task is named
    /// among those that could not be undone.
    Action {
        /// What kind of action.
        kind: ActionKind,
        /// Its parameters.
        #[serde(default, skip_serializing_if = "Template::is_null")]
        with: Template,
        /// The most it may cost: a template that yields money.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_cost: Option<Template>,
        /// How often and when it is tried again; by default until it succeeds. A try whose outcome is not known does
        /// not count: its executor is asked again until it can say.
        #[serde(default = "Retry::forever")]
        retry: Retry,
    },
}

impl Undo {
    /// Whether another asks for the same; it may be tried as often as it wants.
    pub(super) fn asks_as(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Action { kind, with, max_cost, .. },
                Self::Action { kind: other_kind, with: other_with, max_cost: other_cost, .. },
            ) => (kind, with, max_cost) == (other_kind, other_with, other_cost),
            _ => self == other,
        }
    }

    pub(super) const fn is_unsaid(&self) -> bool {
        matches!(self, Self::Unsaid)
    }
}

/// What the failure of a step means for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run fails, and what was done is undone.
    #[default]
    Fail,
    /// The run goes on; the output of the step is null.
    Continue,
}

/// How many there may be at a time, or in a span of time, for a key. Holds for all workers of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Limit {
    /// The key: a template that yields text.
    pub key: Template,
    /// How many at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<NonZeroU32>,
    /// How many in a span of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

impl Limit {
    /// At most `at_once` at a time for the key.
    #[must_use]
    pub fn at_once(key: impl Into<Template>, at_once: NonZeroU32) -> Self {
        Self { key: key.into(), at_once: Some(at_once), rate: None }
    }

    /// Adds a rate.
    #[must_use]
    pub const fn with_rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }
}

/// So many in any span of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long a span.
    #[serde(with = "duration_text")]
    pub per: Duration,
}

impl Rate {
    /// The largest count: so many are remembered for each key.
    pub const MAX: u32 = 100_000;

    /// `count` in any span of `per`.
    #[must_use]
    pub const fn new(count: NonZeroU32, per: Duration) -> Self {
        Self { count, per }
    }
}

impl Step {
    fn new(name: StepName, kind: StepKind) -> Self {
        Self {
            name,
            kind,
            after: Vec::new(),
            when: None,
            each: None,
            repeat: None,
            gives: Type::Any,
            retry: Retry::default(),
            try_timeout: None,
            heartbeat: None,
            deadline: None,
            undo: Undo::default(),
            on_failure: OnFailure::default(),
            limit: None,
        }
    }

    /// A step that performs an action.
    #[must_use]
    pub fn action(name: StepName, kind: ActionKind, with: impl Into<Template>) -> Self {
        let action = ActionStep { kind, with: with.into(), takes: Type::Any, max_cost: None };
        Self::new(name, StepKind::Action(action))
    }

    /// A step that waits for a span of time.
    #[must_use]
    pub fn sleep(name: StepName, span: Duration) -> Self {
        Self::new(name, StepKind::Sleep(span))
    }

    /// A step that waits until a moment, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn until(name: StepName, moment: impl Into<Template>) -> Self {
        Self::new(name, StepKind::Until(moment.into()))
    }

    /// A step that waits for a signal.
    #[must_use]
    pub fn signal(name: StepName, signal: SignalName) -> Self {
        Self::new(name, StepKind::Signal(SignalStep { name: signal }))
    }

    /// A step that waits for approval of `of`, for as long as `within`.
    #[must_use]
    pub fn approval(name: StepName, of: impl Into<Template>, within: Duration) -> Self {
        Self::new(name, StepKind::Approval(ApprovalStep { of: of.into(), by: Vec::new(), within }))
    }

    /// A step that runs another workflow.
    #[must_use]
    pub fn workflow(name: StepName, workflow: WorkflowName, with: impl Into<Template>) -> Self {
        Self::new(name, StepKind::Workflow(ChildStep { name: workflow, with: with.into() }))
    }

    /// Makes it wait for another step.
    #[must_use]
    pub fn with_after(mut self, step: StepName) -> Self {
        self.after.push(step);
        self
    }

    /// Skips it unless the condition holds.
    #[must_use]
    pub fn with_when(mut self, when: Condition) -> Self {
        self.when = Some(when);
        self
    }

    /// Does it once for each item of a list, `at_once` at a time.
    #[must_use]
    pub fn with_each(mut self, of: impl Into<Template>, at_once: Option<NonZeroU32>) -> Self {
        self.each = Some(Each { of: of.into(), at_once });
        self
    }

    /// Does it until a condition holds, `at_most` so many times.
    #[must_use]
    pub fn with_repeat(mut self, until: Condition, at_most: NonZeroU32) -> Self {
        self.repeat = Some(Repeat { until, at_most });
        self
    }

    /// Sets what the parameters of an action must be; of no consequence for other kinds of steps.
    #[must_use]
    pub fn with_takes(mut self, takes: Type) -> Self {
        if let StepKind::Action(action) = &mut self.kind {
            action.takes = takes;
        }
        self
    }

    /// Sets the most an action may cost: a template that yields money. Of no consequence for other kinds of steps.
    #[must_use]
    pub fn with_max_cost(mut self, cost: impl Into<Template>) -> Self {
        if let StepKind::Action(action) = &mut self.kind {
            action.max_cost = Some(cost.into());
        }
        self
    }

    /// Sets who may approve; of no consequence for other kinds of steps.
    #[must_use]
    pub fn with_approvers(mut self, by: impl IntoIterator<Item = AgentId>) -> Self {
        if let StepKind::Approval(approval) = &mut self.kind {
            approval.by = by.into_iter().collect();
        }
        self
    }

    /// Sets what one doing of it yields.
    #[must_use]
    pub fn with_gives(mut self, gives: Type) -> Self {
        self.gives = gives;
        self
    }

    /// Sets how often and when it is tried again.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets how long one try may take.
    #[must_use]
    pub const fn with_try_timeout(mut self, limit: Duration) -> Self {
        self.try_timeout = Some(limit);
        self
    }

    /// Sets the longest silence of an executor that reports progress.
    #[must_use]
    pub const fn with_heartbeat(mut self, silence: Duration) -> Self {
        self.heartbeat = Some(silence);
        self
    }

    /// Sets how long it may take in all.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Undoes it by another action, tried until it succeeds.
    #[must_use]
    pub fn with_undo(mut self, kind: ActionKind, with: impl Into<Template>) -> Self {
        self.undo = Undo::Action { kind, with: with.into(), max_cost: None, retry: Retry::forever() };
        self
    }

    /// Says that it needs no undoing.
    #[must_use]
    pub fn with_nothing_to_undo(mut self) -> Self {
        self.undo = Undo::Nothing;
        self
    }

    /// Lets the run go on when it fails.
    #[must_use]
    pub const fn with_failure_allowed(mut self) -> Self {
        self.on_failure = OnFailure::Continue;
        self
    }

    /// Limits how many there are for a key.
    #[must_use]
    pub fn with_limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }
}
