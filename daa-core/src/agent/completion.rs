//! The end of a cycle: which changes take place, and what is written down.

use super::adapt::{Adjustment, Change, MAX_TRIAL, WEIGHTS};
use super::event::DaaEvent;
use super::journal::{CompletedCycle, StepNote};
use super::machine::Work;
use super::parameter::Parameter;
use super::reflect::Reflection;
use super::report::StepResult;
use super::state::{AgentState, MAX_STRATEGIES};

/// The most insights and comparisons that are kept of a reflection.
const MAX_INSIGHTS: usize = 64;
/// The longest insight, in bytes.
const MAX_INSIGHT: usize = 512;

/// Brings a reflection within bounds.
pub(super) fn bound(reflection: &mut Reflection) {
    reflection.comparisons.truncate(MAX_INSIGHTS);
    reflection.insights.truncate(MAX_INSIGHTS);
    for insight in &mut reflection.insights {
        if insight.len() > MAX_INSIGHT {
            insight.truncate(insight.floor_char_boundary(MAX_INSIGHT));
        }
    }
}

/// The changes that take place: the verdict on a trial that is over, then those of the proposals that the bounds
/// allow.
pub(super) fn changes(
    state: &AgentState,
    parameters: &[Parameter],
    score: f64,
    proposed: Vec<Adjustment>,
) -> Vec<Change> {
    let mut changes: Vec<Change> =
        state.trial.as_ref().and_then(|trial| trial.verdict(score)).into_iter().collect();
    let mut may_try = state.trial.is_none();
    for adjustment in proposed {
        let change = match adjustment {
            Adjustment::Weight { strategy, weight } => {
                let from = state.weight(&strategy);
                let room = state.weights.len() < MAX_STRATEGIES || state.weights.contains_key(&strategy);
                let to = weight.clamp(*WEIGHTS.start(), *WEIGHTS.end());
                let known = changes.iter().any(|change| {
                    matches!(change, Change::Weight { strategy: changed, .. } if *changed == strategy)
                });
                let wanted = room && !known && !weight.is_nan() && to != from;
                wanted.then_some(Change::Weight { strategy, from, to })
            }
            Adjustment::Try { parameter, value, cycles } if may_try => {
                let change = attempt(state, parameters, &parameter, value, cycles);
                may_try = change.is_none();
                change
            }
            Adjustment::Try { .. } => None,
        };
        changes.extend(change);
        if changes.len() > MAX_STRATEGIES {
            break;
        }
    }
    changes
}

fn attempt(
    state: &AgentState,
    parameters: &[Parameter],
    name: &super::parameter::ParameterName,
    value: f64,
    cycles: u32,
) -> Option<Change> {
    let declared = parameters.iter().find(|parameter| parameter.name() == name)?;
    let from = state.parameters.get(name).copied()?;
    let to = declared.bounded(from, value);
    let cycles = cycles.clamp(1, MAX_TRIAL);
    let known = u32::try_from(state.recent.len()).unwrap_or(MAX_TRIAL).min(cycles);
    if known == 0 || to == from {
        return None;
    }
    let before = state.mean_of_last(known)?;
    Some(Change::Tried { parameter: name.clone(), from, to, before, cycles })
}

impl Work {
    /// The cycle in brief, for the journal.
    pub(super) fn completed(&self) -> CompletedCycle {
        let note = |step: &super::report::StepReport| StepNote {
            id: step.id.clone(),
            result: match &step.result {
                StepResult::Succeeded { .. } => "succeeded".to_owned(),
                StepResult::Failed { uncertain: true, .. } => "uncertain".to_owned(),
                StepResult::Failed { .. } => "failed".to_owned(),
                StepResult::Skipped => "skipped".to_owned(),
            },
            undo: step.undo.clone(),
        };
        let reflection = self.reflection.as_ref();
        CompletedCycle {
            cycle: self.cycle,
            strategy: self.plan().and_then(|plan| plan.strategy.clone()),
            score: reflection.map(|reflection| reflection.score),
            steps: self.steps.iter().map(note).collect(),
            changes: self.changes.clone(),
            insights: reflection.map(|reflection| reflection.insights.clone()).unwrap_or_default(),
            lapses: self.lapses.clone(),
        }
    }

    /// Adds the events that the end of the cycle brings.
    pub(super) fn tell_changes(&mut self, completed: &CompletedCycle) {
        for change in &completed.changes {
            self.events.extend(match change.clone() {
                Change::Weight { .. } => None,
                Change::Tried { parameter, from, to, .. } => {
                    Some(DaaEvent::ParameterChanged { parameter, from, to })
                }
                Change::Kept { parameter, value, before, during } => {
                    Some(DaaEvent::AdaptationKept { parameter, value, before, during })
                }
                Change::RolledBack { parameter, from, to, before, during } => {
                    Some(DaaEvent::AdaptationRolledBack { parameter, from, to, before, during })
                }
            });
        }
        let (cycle, strategy, score) = (completed.cycle, completed.strategy.clone(), completed.score);
        let lapses = completed.lapses.len() as u64;
        self.events.push(DaaEvent::CycleCompleted { cycle, strategy, score, lapses });
    }
}
