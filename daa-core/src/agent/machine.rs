//! One cycle as a pure state machine: what happened goes in, what is to be done comes out. No I/O, no clock, no
//! randomness; the runtime performs the effects and reports back. Effects that are not answered are lost with
//! the machine, and the next one resumes from the journal.

mod acting;

use std::sync::Arc;

use super::adapt::{Adjustment, Review};
use super::event::DaaEvent;
use super::journal::{PlannedCycle, Record};
use super::lapse::{Lapse, MAX_LAPSES, Part};
use super::metrics::Metrics;
use super::observe::Observation;
use super::parameter::Parameter;
use super::plan::{Plan, within_bounds};
use super::reflect::{Hindsight, Reflection};
use super::report::{CycleReport, StepReport};
use super::situation::{Candidate, Situation};
use super::state::AgentState;
use super::threshold::Threshold;
use crate::clock::Timestamp;
use crate::id::MetricName;

/// The most observations of one collection.
const MAX_OBSERVATIONS: usize = 10_000;

/// What the machine has to know of the agent.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// Names and intervals of the collectors.
    pub(super) collectors: Vec<(MetricName, std::time::Duration)>,
    pub(super) thresholds: Vec<Threshold>,
    pub(super) parameters: Arc<[Parameter]>,
    /// After how many cycles a snapshot is written.
    pub(super) snapshot_every: u64,
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Begin { now: Timestamp },
    Collected { now: Timestamp, collections: Vec<Collection> },
    Proposed { candidates: Vec<Candidate>, lapses: Vec<Lapse> },
    Reasoned(Result<Plan, Lapse>),
    Recorded,
    Acted(Vec<StepReport>),
    Reflected(Result<Reflection, Lapse>),
    Adapted(Result<Vec<Adjustment>, Lapse>),
}

/// What one collector brought.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    /// Its place among the collectors.
    pub(super) collector: usize,
    pub(super) result: Result<Vec<Observation>, Lapse>,
}

/// What is to be done. At most one effect of an answer wants an input: the last one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    Collect(Vec<usize>),
    Propose(Arc<Situation>),
    Reason(Arc<Situation>),
    Record(Vec<Record>),
    /// Perform the plan; what it did is undone when it fails. `resumed`: it may have been begun before.
    Act {
        planned: Arc<PlannedCycle>,
        resumed: bool,
    },
    Reflect(Box<Hindsight>),
    Adapt(Box<Review>),
    Announce(Vec<DaaEvent>),
    Finish(Box<CycleReport>),
}

/// What the machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Monitor,
    Propose,
    Reason,
    Plan,
    Act,
    Measure,
    Reflect,
    Adapt,
    Complete,
}

/// The machine of one agent; cycle after cycle.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    config: Arc<Config>,
    pub(super) state: Arc<AgentState>,
    metrics: Metrics,
    collected: Vec<Option<Timestamp>>,
    stage: Stage,
    work: Work,
}

/// What belongs to the cycle at hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    pub(super) cycle: u64,
    began: Timestamp,
    resumed: bool,
    situation: Option<Arc<Situation>>,
    planned: Option<Arc<PlannedCycle>>,
    pub(super) steps: Vec<StepReport>,
    pub(super) reflection: Option<Reflection>,
    pub(super) changes: Vec<super::adapt::Change>,
    pub(super) events: Vec<DaaEvent>,
    /// How many of the events are durable and announced.
    pub(super) told: usize,
    pub(super) lapses: Vec<Lapse>,
}

impl Work {
    fn lapse(&mut self, lapse: Lapse) {
        if self.lapses.len() < MAX_LAPSES {
            self.lapses.push(lapse);
        }
    }

    pub(super) fn plan(&self) -> Option<&Plan> {
        self.planned.as_ref().map(|planned| &planned.plan)
    }
}

impl Machine {
    pub(super) fn new(config: Arc<Config>, mut state: AgentState) -> Self {
        state.fit(&config.parameters, &config.thresholds);
        let collected = vec![None; config.collectors.len()];
        let (metrics, work) = (Metrics::default(), Work::default());
        Self { config, state: Arc::new(state), metrics, collected, stage: Stage::Begin, work }
    }

    /// Takes what happened and answers what is to be done. An input that nobody waits for changes nothing.
    pub(super) fn step(&mut self, input: Input) -> Vec<Effect> {
        match (self.stage, input) {
            (Stage::Begin, Input::Begin { now }) => self.begin(now),
            (Stage::Monitor, Input::Collected { now, collections }) => self.monitored(now, collections),
            (Stage::Propose, Input::Proposed { candidates, lapses }) => self.proposed(candidates, lapses),
            (Stage::Reason, Input::Reasoned(result)) => self.reasoned(result),
            (Stage::Plan, Input::Recorded) => {
                let mut effects = self.announce();
                if let Some(planned) = self.work.planned.clone() {
                    effects.extend(self.act(planned));
                }
                effects
            }
            (Stage::Act, Input::Acted(steps)) => self.acted(steps),
            (Stage::Measure, Input::Collected { now, collections }) => {
                self.observe(now, collections);
                self.reflect()
            }
            (Stage::Reflect, Input::Reflected(result)) => self.reflected(result),
            (Stage::Adapt, Input::Adapted(result)) => self.adapted(result),
            (Stage::Complete, Input::Recorded) => {
                let mut effects = self.announce();
                effects.push(self.finish());
                effects
            }
            _ => Vec::new(),
        }
    }

    fn begin(&mut self, now: Timestamp) -> Vec<Effect> {
        let cycle = self.state.cycle.saturating_add(1);
        self.work = Work { cycle, began: now, ..Work::default() };
        self.metrics.carry();
        if let Some(planned) = self.state.open.clone() {
            self.work.resumed = true;
            return self.act(planned);
        }
        let due = |(index, (_, interval)): (usize, &(_, std::time::Duration))| {
            let last = self.collected.get(index).copied().flatten();
            last.is_none_or(|last| now.since(last) >= *interval).then_some(index)
        };
        let due = self.config.collectors.iter().enumerate().filter_map(due).collect();
        self.stage = Stage::Monitor;
        vec![Effect::Collect(due)]
    }

    fn monitored(&mut self, now: Timestamp, collections: Vec<Collection>) -> Vec<Effect> {
        self.observe(now, collections);
        let state = &self.state;
        let signature = super::pattern::Signature::new(&self.metrics, state.raised.iter());
        let situation = Arc::new(Situation {
            cycle: self.work.cycle,
            now,
            metrics: self.metrics.clone(),
            raised: state.raised.clone(),
            parameters: state.parameters.clone(),
            patterns: state.patterns.recall(&signature),
            signature,
            candidates: Vec::new(),
            weights: state.weights.clone(),
        });
        self.work.situation = Some(situation.clone());
        self.stage = Stage::Propose;
        vec![Effect::Propose(situation)]
    }

    fn observe(&mut self, now: Timestamp, collections: Vec<Collection>) {
        for Collection { collector, result } in collections {
            let Some((name, _)) = self.config.collectors.get(collector) else { continue };
            if let Some(last) = self.collected.get_mut(collector) {
                *last = Some(now);
            }
            match result {
                Ok(observations) => {
                    let all = observations.len();
                    let kept = observations.into_iter().take(MAX_OBSERVATIONS);
                    let kept = kept.filter_map(|each| self.metrics.observe(each, now).then_some(())).count();
                    if kept < all {
                        let part = Part::Collector(name.clone());
                        let detail =
                            format!("{} of {all} observations are not finite or too many", all - kept);
                        self.work.lapse(Lapse::invalid(part, &detail));
                    }
                }
                Err(lapse) => self.work.lapse(lapse),
            }
        }
        self.check_thresholds();
    }

    fn check_thresholds(&mut self) {
        let config = self.config.clone();
        for threshold in &config.thresholds {
            let Some(summary) = self.metrics.of(threshold.metric().as_str()) else { continue };
            let before = self.state.raised.contains(threshold.name());
            let value = summary.last;
            if !summary.fresh || threshold.is_raised_after(before, value) == before {
                continue;
            }
            let (threshold, metric) = (threshold.name().clone(), threshold.metric().clone());
            let event = if before {
                DaaEvent::ThresholdCleared { threshold, metric, value }
            } else {
                DaaEvent::ThresholdRaised { threshold, metric, value }
            };
            self.apply(&Record::Event(event.clone()));
            self.work.events.push(event);
        }
    }

    fn proposed(&mut self, candidates: Vec<Candidate>, lapses: Vec<Lapse>) -> Vec<Effect> {
        lapses.into_iter().for_each(|lapse| self.work.lapse(lapse));
        let Some(situation) = &mut self.work.situation else { return Vec::new() };
        Arc::make_mut(situation).candidates = candidates;
        self.stage = Stage::Reason;
        vec![Effect::Reason(situation.clone())]
    }

    fn reasoned(&mut self, result: Result<Plan, Lapse>) -> Vec<Effect> {
        let plan = match result.and_then(within_bounds) {
            Ok(plan) => plan,
            Err(lapse) => {
                self.work.lapse(lapse);
                Plan::idle()
            }
        };
        let Some(situation) = self.work.situation.take() else { return Vec::new() };
        if plan.steps.is_empty() {
            return self.complete();
        }
        let context = situation.context(plan.strategy.as_ref()).with_sources(plan.all_sources());
        let signature = situation.signature.clone();
        let planned = Arc::new(PlannedCycle { cycle: self.work.cycle, plan, context, signature });
        let mut records = self.untold();
        records.insert(0, Record::Planned(planned.clone()));
        self.apply(&Record::Planned(planned.clone()));
        self.work.planned = Some(planned);
        self.stage = Stage::Plan;
        vec![Effect::Record(records)]
    }

    fn reflect(&mut self) -> Vec<Effect> {
        self.stage = Stage::Reflect;
        vec![Effect::Reflect(Box::new(Hindsight {
            cycle: self.work.cycle,
            plan: self.work.plan().cloned().unwrap_or_default(),
            steps: self.work.steps.clone(),
            metrics: self.metrics.clone(),
        }))]
    }

    fn reflected(&mut self, result: Result<Reflection, Lapse>) -> Vec<Effect> {
        match result {
            Ok(mut reflection) => {
                let score = reflection.score;
                reflection.score = if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) };
                super::completion::bound(&mut reflection);
                self.work.reflection = Some(reflection.clone());
                self.stage = Stage::Adapt;
                vec![Effect::Adapt(Box::new(Review {
                    cycle: self.work.cycle,
                    strategy: self.work.plan().and_then(|plan| plan.strategy.clone()),
                    reflection,
                    state: self.state.clone(),
                    parameters: self.config.parameters.clone(),
                }))]
            }
            Err(lapse) => {
                self.work.lapse(lapse);
                self.complete()
            }
        }
    }

    fn adapted(&mut self, result: Result<Vec<Adjustment>, Lapse>) -> Vec<Effect> {
        let proposed = result.unwrap_or_else(|lapse| {
            self.work.lapse(lapse);
            Vec::new()
        });
        if let Some(score) = self.work.reflection.as_ref().map(|reflection| reflection.score) {
            let parameters = &self.config.parameters;
            self.work.changes = super::completion::changes(&self.state, parameters, score, proposed);
        }
        self.complete()
    }

    fn complete(&mut self) -> Vec<Effect> {
        self.stage = Stage::Complete;
        let completed = self.work.completed();
        self.work.tell_changes(&completed);
        let completed = Record::Completed(completed);
        let mut records = self.untold();
        self.apply(&completed);
        records.insert(0, completed);
        if self.state.cycle.is_multiple_of(self.config.snapshot_every.max(1)) {
            records.push(Record::Snapshot(Box::new((*self.state).clone())));
        }
        vec![Effect::Record(records)]
    }

    fn finish(&mut self) -> Effect {
        self.stage = Stage::Begin;
        let work = std::mem::take(&mut self.work);
        Effect::Finish(Box::new(CycleReport {
            cycle: work.cycle,
            began: work.began,
            resumed: work.resumed,
            strategy: work.plan().and_then(|plan| plan.strategy.clone()),
            steps: work.steps,
            reflection: work.reflection,
            changes: work.changes,
            events: work.events,
            lapses: work.lapses,
        }))
    }

    /// The events that are not durable yet.
    fn untold(&self) -> Vec<Record> {
        self.work.events.iter().skip(self.work.told).cloned().map(Record::Event).collect()
    }

    /// Announces the events that have become durable.
    fn announce(&mut self) -> Vec<Effect> {
        let news: Vec<_> = self.work.events.iter().skip(self.work.told).cloned().collect();
        self.work.told = self.work.events.len();
        if news.is_empty() { Vec::new() } else { vec![Effect::Announce(news)] }
    }

    /// The state counts as soon as it is issued: when the append fails, the machine is discarded.
    fn apply(&mut self, record: &Record) {
        Arc::make_mut(&mut self.state).apply(record);
    }
}

#[cfg(test)]
mod tests;
