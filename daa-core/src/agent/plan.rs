//! What an agent has decided to do, and what it expects of that.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lapse::{Lapse, Part};
use crate::action::Outcome;
use crate::amount::Money;
use crate::id::{ActionId, ActionKind, MetricName, SourceId, StrategyName};

/// The most steps of a plan.
pub const MAX_STEPS: usize = 64;
/// The largest plan, as bytes of JSON (512 KiB).
pub const MAX_PLAN: usize = 512 << 10;

/// Actions to be done one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The strategy it follows; `None` when nothing is to be done.
    pub strategy: Option<StrategyName>,
    /// The steps, in order; at most [`MAX_STEPS`].
    pub steps: Vec<PlannedAction>,
    /// The untrusted sources of the data that led to it. Private, so that they are only ever added to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    sources: BTreeSet<SourceId>,
}

impl Plan {
    /// Doing nothing.
    #[must_use]
    pub fn idle() -> Self {
        Self::default()
    }

    /// A plan that follows a strategy.
    #[must_use]
    pub const fn new(strategy: StrategyName, steps: Vec<PlannedAction>) -> Self {
        Self { strategy: Some(strategy), steps, sources: BTreeSet::new() }
    }

    /// Says that data of an untrusted source led to it. The rules see that with every step; see
    /// [`Context::with_source`](crate::action::Context::with_source).
    #[must_use]
    pub fn with_source(self, source: SourceId) -> Self {
        self.with_sources([source])
    }

    /// As [`Self::with_source`], for several, such as those of an [`Outcome`].
    #[must_use]
    pub fn with_sources(mut self, sources: impl IntoIterator<Item = SourceId>) -> Self {
        self.sources.extend(sources);
        self
    }

    /// The untrusted sources of the plan and of all its steps: what one step is told, the next may have to do with.
    pub(super) fn all_sources(&self) -> BTreeSet<SourceId> {
        let steps = self.steps.iter().flat_map(|step| &step.sources);
        self.sources.iter().chain(steps).cloned().collect()
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlannedAction {
    /// What kind of action it is.
    pub kind: ActionKind,
    /// Its parameters.
    pub params: Value,
    /// The most it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Money>,
    /// Its id, when it must not be `AGENT/CYCLE/STEP`: for an effect that must take place once even if several
    /// cycles ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ActionId>,
    /// What should come of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
    /// The untrusted sources of the data that led to it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    sources: BTreeSet<SourceId>,
}

impl PlannedAction {
    /// A step without parameters, cost or expectation.
    #[must_use]
    pub fn new(kind: ActionKind) -> Self {
        let (params, sources) = (Value::Object(serde_json::Map::new()), BTreeSet::new());
        Self { kind, params, max_cost: None, id: None, expect: None, sources }
    }

    /// Says that data of an untrusted source led to it: whatever plan it becomes part of is marked.
    #[must_use]
    pub fn with_source(mut self, source: SourceId) -> Self {
        self.sources.insert(source);
        self
    }

    /// Sets the parameters.
    #[must_use]
    pub fn with_params(mut self, params: Value) -> Self {
        self.params = params;
        self
    }

    /// Sets the most it may cost.
    #[must_use]
    pub const fn with_max_cost(mut self, cost: Money) -> Self {
        self.max_cost = Some(cost);
        self
    }

    /// Sets its id; a second step with this id, in whatever cycle, takes no second effect.
    #[must_use]
    pub fn with_id(mut self, id: ActionId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets what should come of it.
    #[must_use]
    pub fn with_expectation(mut self, expectation: Expectation) -> Self {
        self.expect = Some(expectation);
        self
    }
}

/// Where the actual value of an expectation is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// At this [JSON pointer](https://www.rfc-editor.org/rfc/rfc6901) of the action's output.
    Output(String),
    /// In this metric, observed anew after the plan has been carried out.
    Metric(MetricName),
}

/// A number that should come of an action, within a tolerance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Expectation {
    /// Where the actual value is found.
    pub source: Source,
    /// What it should be.
    pub value: f64,
    /// How far off it may be.
    pub tolerance: f64,
}

impl Expectation {
    /// Expects a number at a JSON pointer of the output, such as `/price`; the empty pointer is the whole output.
    #[must_use]
    pub fn output(pointer: impl Into<String>, value: f64, tolerance: f64) -> Self {
        Self { source: Source::Output(pointer.into()), value, tolerance }
    }

    /// Expects a metric to have a value once the plan has been carried out.
    #[must_use]
    pub const fn metric(metric: MetricName, value: f64, tolerance: f64) -> Self {
        Self { source: Source::Metric(metric), value, tolerance }
    }

    /// The actual value, when `outcome` has it.
    pub(super) fn actual_in(&self, outcome: &Outcome) -> Option<f64> {
        match &self.source {
            Source::Output(pointer) => outcome.output.pointer(pointer)?.as_f64(),
            Source::Metric(_) => None,
        }
    }
}

/// A plan that can be recorded and read back, or the lapse of whoever made it.
pub(super) fn within_bounds(plan: Plan) -> Result<Plan, Lapse> {
    let size = json_len(&plan);
    let finite = |expect: &Expectation| expect.value.is_finite() && expect.tolerance.is_finite();
    if !plan.steps.iter().filter_map(|step| step.expect.as_ref()).all(finite) {
        return Err(Lapse::invalid(Part::Reasoner, "an expectation whose value or tolerance is not finite"));
    }
    if plan.steps.len() > MAX_STEPS || size > MAX_PLAN {
        let detail = format!(
            "a plan of {} steps and {size} bytes; at most {MAX_STEPS} steps and {MAX_PLAN} bytes are allowed",
            plan.steps.len()
        );
        return Err(Lapse::invalid(Part::Reasoner, &detail));
    }
    Ok(plan)
}

/// The size of a value's JSON in bytes, without building it.
fn json_len<T: Serialize>(value: &T) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}
