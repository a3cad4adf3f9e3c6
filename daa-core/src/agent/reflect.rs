//! Reflect: what was expected against what came of it.

use serde::{Deserialize, Serialize};

use super::metrics::Metrics;
use super::plan::{Expectation, Plan, Source};
use super::report::{StepReport, StepResult};
use crate::id::ActionId;

/// What a cycle looks back at.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hindsight {
    /// The number of the cycle.
    pub cycle: u64,
    /// What was planned.
    pub plan: Plan,
    /// What came of each step.
    pub steps: Vec<StepReport>,
    /// The metrics, observed anew when a step expects something of one.
    pub metrics: Metrics,
}

/// What a cycle was worth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reflection {
    /// From 0 (failed) to 1 (everything as expected). Values outside are brought inside; not a number is 0.
    pub score: f64,
    /// What was expected against what was.
    pub comparisons: Vec<Comparison>,
    /// What is worth knowing, for people and for reasoners.
    pub insights: Vec<String>,
}

impl Reflection {
    /// A score without comparisons.
    #[must_use]
    pub const fn new(score: f64) -> Self {
        Self { score, comparisons: Vec::new(), insights: Vec::new() }
    }
}

/// One expectation against what was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The action it was expected of.
    pub action: ActionId,
    /// What was expected.
    pub expected: Expectation,
    /// What was; `None` when it could not be found.
    pub actual: Option<f64>,
    /// Whether it was within the tolerance.
    pub met: bool,
}

/// Looks back at a cycle. A pure function: it must not block.
pub trait Reflector: Send + Sync {
    /// Scores the cycle. Called in each cycle that had a plan with steps.
    fn reflect(&self, hindsight: &Hindsight) -> Reflection;
}

/// The default reflector: the score is the mean over all planned steps. A step that did not succeed counts 0, one
/// that succeeded without an expectation 1, one whose expectation was met 1, and one that missed it by more than
/// the tolerance counts `tolerance / deviation`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpectationReflector;

impl Reflector for ExpectationReflector {
    fn reflect(&self, hindsight: &Hindsight) -> Reflection {
        let mut reflection = Reflection::default();
        let mut sum = 0.0;
        for (planned, step) in hindsight.plan.steps.iter().zip(&hindsight.steps) {
            let StepResult::Succeeded { outcome, .. } = &step.result else {
                reflection.insights.push(format!("{} {}: {}", step.kind, step.id, step.result));
                continue;
            };
            let Some(expected) = &planned.expect else {
                sum += 1.0;
                continue;
            };
            let actual = match &expected.source {
                Source::Metric(name) => hindsight.metrics.last(name.as_str()),
                Source::Output(_) => expected.actual_in(outcome),
            };
            let worth = actual.map_or(0.0, |actual| closeness(expected, actual));
            sum += worth;
            let met = worth >= 1.0;
            if !met {
                let found = actual.map_or_else(|| "nothing".to_owned(), |actual| actual.to_string());
                let Expectation { value, tolerance, .. } = expected;
                reflection
                    .insights
                    .push(format!("{}: expected {value} ± {tolerance}, got {found}", step.kind));
            }
            let (action, expected) = (step.id.clone(), expected.clone());
            reflection.comparisons.push(Comparison { action, expected, actual, met });
        }
        reflection.score = sum / (hindsight.plan.steps.len().max(1) as f64);
        reflection
    }
}

fn closeness(expected: &Expectation, actual: f64) -> f64 {
    let deviation = (actual - expected.value).abs();
    if deviation <= expected.tolerance { 1.0 } else { (expected.tolerance / deviation).clamp(0.0, 1.0) }
}
