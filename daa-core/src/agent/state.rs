//! What an agent carries from cycle to cycle: the sum of the events in its stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::adapt::{Change, LastTrial, MAX_TRIAL, Trial, WEIGHTS};
use super::event::DaaEvent;
use super::journal::{CompletedCycle, PlannedCycle, Record};
use super::parameter::{Parameter, ParameterName};
use super::pattern::PatternMemory;
use super::threshold::{Threshold, ThresholdName};
use crate::id::StrategyName;

/// The most strategies whose weights are kept.
pub const MAX_STRATEGIES: usize = 64;

/// What an agent has learned, and where it stands. Bounded, whatever its age.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AgentState {
    /// The number of the latest completed cycle; 0 before the first.
    pub cycle: u64,
    /// The parameters as they are now.
    pub parameters: BTreeMap<ParameterName, f64>,
    /// The weights of strategies; those that are missing have the weight 1.
    pub weights: BTreeMap<StrategyName, f64>,
    /// The thresholds that are raised.
    pub raised: BTreeSet<ThresholdName>,
    /// What worked in which situation.
    pub patterns: PatternMemory,
    /// The latest scores, oldest first; at most [`MAX_TRIAL`].
    pub recent: Vec<f64>,
    /// The parameter that is on trial.
    pub trial: Option<Trial>,
    /// How the latest trial of each parameter went.
    pub last_trials: BTreeMap<ParameterName, LastTrial>,
    /// How often the agent was started; only the latest instance may write.
    pub incarnation: u64,
    /// The cycle whose plan is durable, but which is not completed.
    #[serde(skip)]
    pub(super) open: Option<Arc<PlannedCycle>>,
}

impl AgentState {
    /// The weight of a strategy.
    #[must_use]
    pub fn weight(&self, strategy: &StrategyName) -> f64 {
        self.weights.get(strategy).copied().unwrap_or(1.0)
    }

    /// The mean of the latest `cycles` scores; `None` while there are fewer.
    #[must_use]
    pub fn mean_of_last(&self, cycles: u32) -> Option<f64> {
        let cycles = usize::try_from(cycles).ok()?.max(1);
        let from = self.recent.len().checked_sub(cycles)?;
        Some(self.recent.iter().skip(from).sum::<f64>() / cycles as f64)
    }

    /// Brings what was learned in line with what is declared now: it may have been learned by an earlier version
    /// of the program.
    pub(super) fn fit(&mut self, parameters: &[Parameter], thresholds: &[Threshold]) {
        let before = std::mem::take(&mut self.parameters);
        for parameter in parameters {
            let value = before.get(parameter.name()).copied().unwrap_or(parameter.initial());
            let value = value.clamp(parameter.min(), parameter.max());
            self.parameters.insert(parameter.name().clone(), value);
        }
        let declared = &self.parameters;
        self.trial.take_if(|trial| declared.get(&trial.parameter) != Some(&trial.to));
        self.last_trials.retain(|name, _| declared.contains_key(name));
        self.raised.retain(|name| thresholds.iter().any(|threshold| threshold.name() == name));
    }

    /// The state after one more event.
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Started { incarnation } => self.incarnation = *incarnation,
            Record::Planned(planned) => self.open = Some(planned.clone()),
            Record::Completed(completed) => self.complete(completed),
            Record::Snapshot(state) => self.clone_from(state),
            Record::Event(DaaEvent::ThresholdRaised { threshold, .. }) => {
                self.raised.insert(threshold.clone());
            }
            Record::Event(DaaEvent::ThresholdCleared { threshold, .. }) => {
                self.raised.remove(threshold);
            }
            Record::Event(_) => {}
        }
    }

    fn complete(&mut self, completed: &CompletedCycle) {
        self.cycle = completed.cycle;
        let open = self.open.take();
        if let Some(score) = completed.score {
            if self.recent.len() >= MAX_TRIAL as usize {
                self.recent.remove(0);
            }
            self.recent.push(score);
            if let Some(trial) = &mut self.trial {
                trial.scored = trial.scored.saturating_add(1);
                trial.sum += score;
            }
            if let (Some(open), Some(strategy)) = (open, &completed.strategy) {
                self.patterns.learn(&open.signature, strategy, score, completed.cycle);
            }
        }
        completed.changes.iter().for_each(|change| self.change(change, completed.cycle));
    }

    fn change(&mut self, change: &Change, cycle: u64) {
        match change {
            Change::Weight { strategy, to, .. } => {
                self.weights.insert(strategy.clone(), to.clamp(*WEIGHTS.start(), *WEIGHTS.end()));
            }
            Change::Tried { parameter, from, to, before, cycles } => {
                self.parameters.insert(parameter.clone(), *to);
                let (parameter, from, to, before, cycles) = (parameter.clone(), *from, *to, *before, *cycles);
                self.trial = Some(Trial { parameter, from, to, before, cycles, scored: 0, sum: 0.0 });
            }
            Change::Kept { parameter, .. } => self.end_trial(parameter, true, cycle),
            Change::RolledBack { parameter, to, .. } => {
                self.parameters.insert(parameter.clone(), *to);
                // Scores of the rejected value are no measure for the next trial.
                self.recent.clear();
                self.end_trial(parameter, false, cycle);
            }
        }
    }

    fn end_trial(&mut self, parameter: &ParameterName, kept: bool, cycle: u64) {
        if let Some(Trial { from, to, .. }) = self.trial.take() {
            self.last_trials.insert(parameter.clone(), LastTrial { upwards: to > from, kept, cycle });
        }
    }
}
