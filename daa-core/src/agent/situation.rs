//! What an agent knows when it reasons.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::metrics::Metrics;
use super::parameter::ParameterName;
use super::pattern::{Recalled, Signature};
use super::plan::PlannedAction;
use super::threshold::ThresholdName;
use crate::action::Context;
use crate::clock::Timestamp;
use crate::id::StrategyName;

/// Everything a [`Reasoner`](super::Reasoner) decides on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Situation {
    /// The number of the cycle, from 1.
    pub cycle: u64,
    /// When the observations were complete.
    pub now: Timestamp,
    /// What was observed, and what is carried forward from earlier cycles.
    pub metrics: Metrics,
    /// The thresholds that are raised.
    pub raised: BTreeSet<ThresholdName>,
    /// The parameters as they are now.
    pub parameters: BTreeMap<ParameterName, f64>,
    /// This situation, coarsened.
    pub signature: Signature,
    /// What was done in similar situations, most similar first.
    pub patterns: Vec<Recalled>,
    /// The strategies that apply, by name. Empty while they are being asked.
    pub candidates: Vec<Candidate>,
    /// The weights of all strategies that do not have the weight 1.
    pub weights: BTreeMap<StrategyName, f64>,
}

/// A strategy that applies.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// Its name.
    pub strategy: StrategyName,
    /// The trust it has earned, in `0.01..=100.0`; 1 at first.
    pub weight: f64,
    /// How it did in similar situations, in `0.0..=1.0`. Optimistic: what was never tried counts as a success, so
    /// that it is tried.
    pub record: f64,
    /// What it would do.
    pub steps: Vec<PlannedAction>,
}

impl Situation {
    /// The latest value of a metric.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.last(name)
    }

    /// A parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<f64> {
        self.parameters.get(name).copied()
    }

    /// Whether a threshold is raised.
    #[must_use]
    pub fn is_raised(&self, threshold: &str) -> bool {
        self.raised.contains(threshold)
    }

    /// The candidate that `strategy` makes with these steps.
    #[must_use]
    pub fn candidate(&self, strategy: StrategyName, steps: Vec<PlannedAction>) -> Candidate {
        let weight = self.weights.get(&strategy).copied().unwrap_or(1.0);
        let mine = self.patterns.iter().filter(|recalled| recalled.pattern.strategy == strategy);
        let (sum, of) = mine.fold((1.0, 1.0), |(sum, of), recalled| {
            (sum + recalled.similarity * recalled.pattern.score, of + recalled.similarity)
        });
        Candidate { strategy, weight, record: sum / of, steps }
    }

    /// The facts that the gate's rules may refer to:
    ///
    /// | fact | what it is |
    /// |---|---|
    /// | `cycle` | the number of the cycle |
    /// | `strategy` | the strategy that was chosen |
    /// | `metrics` | an object: the latest value of each metric |
    /// | `thresholds` | an array: the names of the thresholds that are raised |
    /// | `parameters` | an object: the value of each parameter |
    ///
    /// A compensating action has one more, `undo_of`: the id of the action that it undoes.
    #[must_use]
    pub fn context(&self, strategy: Option<&StrategyName>) -> Context {
        let metrics = self.metrics.iter().map(|(name, summary)| (name.to_string(), summary.last.into()));
        let parameters = self.parameters.iter().map(|(name, value)| (name.to_string(), (*value).into()));
        let raised = self.raised.iter().map(|name| name.as_str().into());
        Context::new()
            .with("cycle", self.cycle)
            .with("strategy", strategy.map_or(Value::Null, |name| name.as_str().into()))
            .with("metrics", metrics.collect::<Map<_, _>>())
            .with("thresholds", raised.collect::<Vec<Value>>())
            .with("parameters", parameters.collect::<Map<_, _>>())
    }
}
