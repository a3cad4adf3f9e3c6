//! Adapt: how an agent changes itself, within bounds that the agent, not the adapter, enforces.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, ParameterName};
use super::reflect::Reflection;
use super::state::AgentState;
use crate::id::StrategyName;

/// The bounds of a strategy's weight.
pub const WEIGHTS: std::ops::RangeInclusive<f64> = 0.01..=100.0;
/// The longest trial, in scored cycles.
pub const MAX_TRIAL: u32 = 32;

/// What an adapter decides on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Review {
    /// The number of the cycle.
    pub cycle: u64,
    /// The strategy that was followed.
    pub strategy: Option<StrategyName>,
    /// What the cycle was worth.
    pub reflection: Reflection,
    /// What the agent has learned so far, this cycle not included.
    pub state: Arc<AgentState>,
    /// The parameters and their bounds.
    pub parameters: Arc<[Parameter]>,
}

/// A change that an adapter proposes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Adjustment {
    /// Trust a strategy more or less. The weight is brought into [`WEIGHTS`].
    Weight {
        /// The strategy.
        strategy: StrategyName,
        /// Its new weight.
        weight: f64,
    },
    /// Try another value of a parameter. It is brought within the parameter's bounds and step; refused while
    /// another trial runs, and before there is a score to compare with.
    Try {
        /// The parameter.
        parameter: ParameterName,
        /// Its new value.
        value: f64,
        /// For how many scored cycles, brought into `1..=32`. Then the mean score decides: worse than before,
        /// and the former value returns.
        cycles: u32,
    },
}

/// A change that took place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A strategy has another weight.
    Weight {
        /// The strategy.
        strategy: StrategyName,
        /// What it was.
        from: f64,
        /// What it is.
        to: f64,
    },
    /// A parameter has another value, on trial.
    Tried {
        /// The parameter.
        parameter: ParameterName,
        /// What it was.
        from: f64,
        /// What it is.
        to: f64,
        /// The mean score before.
        before: f64,
        /// For how many scored cycles.
        cycles: u32,
    },
    /// A parameter passed its trial.
    Kept {
        /// The parameter.
        parameter: ParameterName,
        /// Its value.
        value: f64,
        /// The mean score before.
        before: f64,
        /// The mean score during the trial.
        during: f64,
    },
    /// A parameter made things worse, and has its former value.
    RolledBack {
        /// The parameter.
        parameter: ParameterName,
        /// The value on trial.
        from: f64,
        /// The value before and after.
        to: f64,
        /// The mean score before.
        before: f64,
        /// The mean score during the trial.
        during: f64,
    },
}

/// A parameter's new value on trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trial {
    /// The parameter.
    pub parameter: ParameterName,
    /// The former value.
    pub from: f64,
    /// The value on trial.
    pub to: f64,
    /// The mean score before.
    pub before: f64,
    /// For how many scored cycles.
    pub cycles: u32,
    /// How many of them are over.
    pub scored: u32,
    /// The sum of their scores.
    pub sum: f64,
}

/// How the latest trial of a parameter went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastTrial {
    /// Whether the value was raised.
    pub upwards: bool,
    /// Whether it was kept.
    pub kept: bool,
    /// The cycle in which that was decided.
    pub cycle: u64,
}

impl Trial {
    /// The verdict once `score` is counted; `None` while the trial goes on.
    pub(super) fn verdict(&self, score: f64) -> Option<Change> {
        let scored = self.scored.saturating_add(1);
        if scored < self.cycles {
            return None;
        }
        let during = (self.sum + score) / f64::from(scored);
        let (parameter, before) = (self.parameter.clone(), self.before);
        // Sums of the same scores in another order may differ in the last bits.
        Some(if during < before - 1e-9 {
            Change::RolledBack { parameter, from: self.to, to: self.from, before, during }
        } else {
            Change::Kept { parameter, value: self.to, before, during }
        })
    }
}

/// Proposes how the agent should change itself. A pure function: it must not block.
///
/// Whatever it proposes, weights stay in [`WEIGHTS`], parameters within their declared bounds and steps, one
/// trial runs at a time, and a change that makes things worse is rolled back: the agent sees to that.
pub trait Adapter: Send + Sync {
    /// Proposes changes after a scored cycle.
    fn adapt(&self, review: &Review) -> Vec<Adjustment>;
}

/// The default adapter, deterministic: good scores raise a strategy's weight and bad ones lower it; while scores
/// leave something to gain, parameters are tried in turn, one step up or down, going on in a direction that
/// helped and turning round in one that did not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HillClimber {
    rate: f64,
    cycles: u32,
}

impl Default for HillClimber {
    /// Weights change by at most a tenth per cycle, trials last five cycles.
    fn default() -> Self {
        Self { rate: 0.1, cycles: 5 }
    }
}

impl HillClimber {
    /// The largest relative change of a weight per cycle, brought into `0.0..=0.5`.
    #[must_use]
    pub const fn with_rate(mut self, rate: f64) -> Self {
        self.rate = rate.clamp(0.0, 0.5);
        self
    }

    /// How many scored cycles a trial lasts, brought into `1..=32`.
    #[must_use]
    pub fn with_trial_cycles(mut self, cycles: u32) -> Self {
        self.cycles = cycles.clamp(1, MAX_TRIAL);
        self
    }

    fn attempt(&self, review: &Review) -> Option<Adjustment> {
        let state = &review.state;
        let before = state.mean_of_last(self.cycles)?;
        if state.trial.is_some() || before >= 1.0 {
            return None;
        }
        let last: &BTreeMap<_, LastTrial> = &state.last_trials;
        let turn = |parameter: &&Parameter| last.get(parameter.name()).map_or(0, |trial| trial.cycle);
        let parameter = review.parameters.iter().min_by_key(turn)?;
        let current = state.parameters.get(parameter.name()).copied()?;
        let upwards = last.get(parameter.name()).is_none_or(|trial| trial.upwards == trial.kept);
        let towards = |upwards| {
            let step = if upwards { parameter.max_step() } else { -parameter.max_step() };
            Some(parameter.bounded(current, current + step)).filter(|value| *value != current)
        };
        let value = towards(upwards).or_else(|| towards(!upwards))?;
        Some(Adjustment::Try { parameter: parameter.name().clone(), value, cycles: self.cycles })
    }
}

impl Adapter for HillClimber {
    fn adapt(&self, review: &Review) -> Vec<Adjustment> {
        let mut adjustments = Vec::new();
        if let Some(strategy) = &review.strategy {
            let weight = review.state.weight(strategy);
            let weight = weight * (1.0 + self.rate * (2.0 * review.reflection.score - 1.0));
            adjustments.push(Adjustment::Weight { strategy: strategy.clone(), weight });
        }
        adjustments.extend(self.attempt(review));
        adjustments
    }
}
