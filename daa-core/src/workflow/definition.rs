//! A workflow as data.

mod check;
mod compatible;
mod compiled;
mod condition;
mod fit;
mod graph;
mod infer;
mod place;
mod plan;
mod problem;
mod read;
mod retry;
mod schema;
mod step;
mod step_form;
mod template;
mod template_check;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::duration_text;
use crate::action::request::hash_value;
use crate::digest::Digest;
use crate::id::{ActionKind, IdError, StepName, WorkflowName};

pub(super) use check::MAX_LANES;
pub use compatible::Incompatible;
pub(super) use compatible::Reached;
pub(super) use compiled::{Compiled, StepIndex, dependencies};
pub use condition::Condition;
pub(super) use graph::Graph;
pub use place::Place;
pub(crate) use plan::{ActionOfPlan, ActionPlan};
use problem::Problems;
pub use problem::{Cause, DefinitionErrors, Problem};
pub use read::{Flaw, Position, ReadErrors, ReadProblem};
pub use retry::Retry;
pub use schema::{Field, Mismatch, Type};
pub use step::{
    ActionStep, ApprovalStep, ChildStep, Each, Limit, OnFailure, Rate, Repeat, SignalStep, Step, StepKind,
    Undo,
};
pub use template::Template;
pub(super) use template::{Node, Path, Scope};

/// A value that runs of a workflow carry, and that an update may change while they run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Variable {
    /// What it may be.
    #[serde(rename = "type")]
    pub of: Type,
    /// What it is at first.
    pub value: Value,
}

impl Variable {
    /// A variable and its first value.
    #[must_use]
    pub fn new(of: Type, value: impl Into<Value>) -> Self {
        Self { of, value: value.into() }
    }
}

/// A workflow: a graph of steps that depend on each other, as data.
///
/// A step runs when every step it depends on is settled: has succeeded, was skipped, or failed and may. It depends
/// on the steps named in `after`, and on those its templates refer to.
///
/// Built in Rust, or read from YAML or JSON:
///
/// ```
/// # use daa_core::workflow::{Step, Type, Workflow};
/// # use serde_json::json;
/// let order = Workflow::new("order".try_into()?)
///     .with_input(Type::object([("item", Type::String), ("cents", Type::Integer)]))
///     .with_step(
///         Step::action("reserve".try_into()?, "stock.reserve".try_into()?, json!({ "item": "${input.item}" }))
///             .with_gives(Type::object([("reservation", Type::String)]))
///             .with_undo("stock.release".try_into()?, json!({ "id": "${reserve.reservation}" })),
///     )
///     .with_step(Step::action("pay".try_into()?, "card.charge".try_into()?, json!({ "cents": "${input.cents}" })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Workflow {
    /// Its name, which its versions share.
    #[serde(rename = "workflow")]
    pub name: WorkflowName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// What a run is given.
    #[serde(default)]
    pub input: Type,
    /// What an update may change while it runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, Variable>,
    /// Its steps, in the order in which they are shown and, where nothing else decides, begun.
    pub steps: Vec<Step>,
    /// What a completed run yields.
    #[serde(default, skip_serializing_if = "Template::is_null")]
    pub output: Template,
    /// What the output is.
    #[serde(default)]
    pub gives: Type,
    /// How long a run may take, from its start.
    #[serde(default, with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// How long a request for approval stands that the rules ask for; 7 days if nothing is said. A step of kind
    /// `approval` has a time of its own.
    #[serde(default, with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Duration>,
    /// Whether every action must say how it is undone, or that it is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo_required: bool,
    /// How many runs there may be at a time, or in a span of time, for a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

impl Workflow {
    /// A workflow without steps.
    #[must_use]
    pub const fn new(name: WorkflowName) -> Self {
        Self {
            name,
            about: String::new(),
            input: Type::Any,
            vars: BTreeMap::new(),
            steps: Vec::new(),
            output: Template::NULL,
            gives: Type::Any,
            deadline: None,
            escalation: None,
            undo_required: false,
            limit: None,
        }
    }

    /// The workflow of a single action, which is given the input of the run and yields its output.
    ///
    /// # Errors
    /// [`IdError`] when the kind leaves no room for the name that is made of it.
    pub fn job(kind: &ActionKind) -> Result<Self, IdError> {
        let step = Step::action(StepName::new("job")?, kind.clone(), "${input}");
        Ok(Self::new(WorkflowName::new(format!("job.{kind}"))?).with_step(step).with_output("${job}"))
    }

    /// Says what it is for.
    #[must_use]
    pub fn with_about(mut self, about: impl Into<String>) -> Self {
        self.about = about.into();
        self
    }

    /// Sets what a run is given.
    #[must_use]
    pub fn with_input(mut self, input: Type) -> Self {
        self.input = input;
        self
    }

    /// Adds a variable, or replaces it.
    #[must_use]
    pub fn with_var(mut self, name: impl Into<String>, variable: Variable) -> Self {
        self.vars.insert(name.into(), variable);
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn with_step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Sets what a completed run yields.
    #[must_use]
    pub fn with_output(mut self, output: impl Into<Template>) -> Self {
        self.output = output.into();
        self
    }

    /// Sets what the output is.
    #[must_use]
    pub fn with_gives(mut self, gives: Type) -> Self {
        self.gives = gives;
        self
    }

    /// Sets how long a run may take.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets how long a request for approval stands that the rules ask for.
    #[must_use]
    pub const fn with_escalation(mut self, within: Duration) -> Self {
        self.escalation = Some(within);
        self
    }

    /// Demands of every action that it says how it is undone, or that it is not.
    #[must_use]
    pub const fn with_undo_required(mut self) -> Self {
        self.undo_required = true;
        self
    }

    /// Limits the runs of a key.
    #[must_use]
    pub fn with_limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The step of a name.
    #[must_use]
    pub fn step(&self, name: &StepName) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == *name)
    }

    /// Checks that it can work: that names are unique, references lead somewhere, types fit, no step waits for itself,
    /// and everything is within bounds.
    ///
    /// What is `any` fits everywhere, and is checked when a run has the value.
    ///
    /// # Errors
    /// [`DefinitionErrors`]: everything that is wrong, each with its place.
    pub fn check(&self) -> Result<(), DefinitionErrors> {
        check::check(self)
    }

    /// Checks it, and makes it ready to run.
    pub(in crate::workflow) fn compile(self) -> Result<Arc<Compiled>, DefinitionErrors> {
        self.check()?;
        Ok(Compiled::link(self))
    }

    /// The digest that runs are pinned to: of every field, independent of how the definition was written down.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut builder = Digest::builder("daa workflow v1");
        // Every part of a definition has a JSON form: its maps have strings for keys.
        hash_value(&mut builder, &serde_json::to_value(self).unwrap_or_default());
        builder.finish()
    }
}
