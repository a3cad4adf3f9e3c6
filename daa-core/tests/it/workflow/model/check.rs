//! What must hold in the end, worked out from the plan and from what took place, without the engine.

use std::collections::{BTreeMap, BTreeSet};

use daa_core::digest::Digest;
use daa_core::workflow::{ChildResult, FailureCause, HistoryEntry, RunEvent, RunOutcome, StepError, Task};
use serde_json::{Value, json};

use super::outside::{Effect, State};
use super::plan::{Doing, ENOUGH, Plan, PlanStep, Reversal, When, name};

/// Everything that is known in the end.
pub(crate) struct Records<'a> {
    pub(crate) plans: &'a [Plan],
    /// The newer version of the first plan.
    pub(crate) newer: (Digest, &'a Plan),
    pub(crate) outside: &'a State,
    pub(crate) histories: &'a BTreeMap<String, Vec<HistoryEntry>>,
    pub(crate) cancelled: &'a BTreeSet<String>,
    pub(crate) input: &'a Value,
    pub(crate) effects: BTreeMap<&'a str, (usize, &'a Effect)>,
}

type Found = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => { if !$holds { return Err(format!($($text)+)); } };
}

impl<'a> Records<'a> {
    pub(crate) fn check(&self, top: &[String]) -> Found {
        let violations = &self.outside.violations;
        ensure!(violations.is_empty(), "limits: {violations:?}");
        let ids: BTreeSet<&str> = self.outside.effects.iter().map(|effect| effect.id.as_str()).collect();
        ensure!(ids.len() == self.outside.effects.len(), "an effect took place twice: {:?}", self.log());
        let mut known = BTreeSet::new();
        for run in top {
            self.run(run, self.plan_of(run), &mut known)?;
        }
        let strays: Vec<_> = ids.iter().filter(|id| !known.contains(**id)).collect();
        ensure!(strays.is_empty(), "nobody wanted {strays:?}");
        let lost: Vec<_> = self.histories.keys().filter(|run| !known.contains(run.as_str())).collect();
        ensure!(lost.is_empty(), "runs of nobody: {lost:?}");
        Ok(())
    }

    /// The plan that a run of the first workflow followed when it came to its end. While it is undone after all, newer
    /// ones begin nothing.
    fn plan_of(&self, run: &str) -> &'a Plan {
        let (newer, plan) = self.newer;
        let is_newer = |entry: &HistoryEntry| match &entry.event {
            RunEvent::Started(started) => started.definition == newer,
            RunEvent::Migrated { definition } => *definition == newer,
            _ => false,
        };
        let mut history =
            self.histories[run].iter().take_while(|entry| !matches!(entry.event, RunEvent::Ended(_)));
        if history.any(is_newer) { plan } else { &self.plans[0] }
    }

    /// The values that the variable of a run had from the first event on for which `begins` holds.
    fn values(&self, run: &str, begins: impl Fn(&RunEvent) -> bool) -> Result<Vec<u64>, String> {
        let history = &self.histories[run];
        let from = history.iter().position(|entry| begins(&entry.event)).ok_or("it has not begun")?;
        let updates = history.iter().enumerate().filter_map(|(place, entry)| match &entry.event {
            RunEvent::Updated { value, .. } => Some((place, value.as_u64().unwrap())),
            _ => None,
        });
        let (mut first, mut later) = (0, Vec::new());
        for (place, value) in updates {
            if place < from { first = value } else { later.push(value) }
        }
        later.insert(0, first);
        Ok(later)
    }

    fn task_key(&self, run: &str, task: &Task) -> String {
        key(run, task.step.as_str()[1..].parse().unwrap(), task.lane as usize)
    }

    fn log(&self) -> Vec<&str> {
        self.outside.effects.iter().map(|effect| effect.id.as_str()).collect()
    }

    /// How a run ended at last: one that had completed may have been rolled back for the run that waited for it.
    fn last_outcome(&self, run: &str) -> Option<&RunOutcome> {
        self.histories.get(run)?.iter().rev().find_map(|entry| match &entry.event {
            RunEvent::Ended(outcome) => Some(outcome),
            _ => None,
        })
    }

    /// How a run ended at first.
    fn outcome(&self, run: &str) -> Option<&RunOutcome> {
        self.histories.get(run)?.iter().find_map(|entry| match &entry.event {
            RunEvent::Ended(outcome) => Some(outcome),
            _ => None,
        })
    }

    fn effect(&self, key: &str) -> Option<&'a Effect> {
        self.effects.get(key).map(|(_, effect)| *effect)
    }

    /// Checks a run and its children; `known` collects every key that may have an effect.
    fn run(&self, run: &str, plan: &Plan, known: &mut BTreeSet<String>) -> Found {
        let context = |text: String| format!("{run}: {text}");
        known.insert(run.to_owned());
        let outcome = self.last_outcome(run).ok_or_else(|| context("it has not ended".to_owned()))?;
        let count =
            |is: fn(&RunEvent) -> bool| self.histories[run].iter().filter(|entry| is(&entry.event)).count();
        let ends = count(|event| matches!(event, RunEvent::Ended(_)));
        let reopened = count(|event| matches!(event, RunEvent::RollBackRequested { .. }));
        ensure!(reopened <= 1 && ends == 1 + reopened, "{run} ended {ends} times, reopened {reopened} times");
        self.order(run, plan).map_err(context)?;
        // It may have been rolled back since.
        if let Some(RunOutcome::Completed { output }) = self.outcome(run) {
            self.in_time(run, plan)?;
            let mut expected = json!({});
            for (at, _) in plan.steps.iter().enumerate() {
                expected[name(at)] = self.settled(run, plan, at).map_err(context)?;
            }
            ensure!(*output == expected, "{run} yields {output}, expected {expected}");
        }
        match outcome {
            RunOutcome::Completed { .. } => {}
            RunOutcome::RolledBack { cause, left } => {
                self.cause(run, plan, cause).map_err(context)?;
                self.undone(run, plan, left).map_err(context)?;
            }
            other => return Err(format!("{run}: {other:?}")),
        }
        let undone = matches!(outcome, RunOutcome::RolledBack { .. });
        for (at, step) in plan.steps.iter().enumerate() {
            for key in self.keys(run, step, at) {
                let undo = format!("{key}/undo");
                if let Doing::Child(number) = step.doing {
                    if self.histories.contains_key(&key) {
                        self.run(&key, &self.plans[number], known)?;
                    }
                } else if let Some(effect) = self.effect(&key) {
                    self.parameters(run, plan, at, effect).map_err(context)?;
                }
                ensure!(undone || self.effect(&undo).is_none(), "{undo} though {run} completed");
                ensure!(self.effect(&undo).is_none() || self.effect(&key).is_some(), "{undo} of nothing");
                known.insert(key);
                known.insert(undo);
            }
        }
        Ok(())
    }

    /// A run that completed did so before its deadline.
    fn in_time(&self, run: &str, plan: &Plan) -> Found {
        let Some(deadline) = plan.deadline else { return Ok(()) };
        let completed = |entry: &&HistoryEntry| matches!(entry.event, RunEvent::Ended(_));
        let history = &self.histories[run];
        let took = history.iter().find(completed).map(|entry| entry.at.since(history[0].at).as_millis());
        ensure!(took.is_some_and(|took| took < deadline.into()), "{run} took {took:?} of {deadline} ms");
        Ok(())
    }

    /// The keys that doings of a step have.
    fn keys(&self, run: &str, step: &PlanStep, at: usize) -> Vec<String> {
        let lanes = match (step.each, step.repeat) {
            (Some(_), _) => self.input["items"].as_array().unwrap().len(),
            (None, Some(at_most)) => at_most as usize,
            (None, None) => 1,
        };
        (0..lanes).map(|lane| key(run, at, lane)).collect()
    }

    fn holds(&self, run: &str, plan: &Plan, at: usize, when: When) -> Result<bool, String> {
        Ok(match when {
            When::InputBelow(bound) => self.input["x"].as_u64().unwrap() < bound,
            When::VarBelow(bound) => {
                self.values(run, |event| step_of(event) == Some(at))?.first().is_some_and(|v| *v < bound)
            }
            When::AtLeast(need, bound) => {
                self.settled(run, plan, need)?.get("n").and_then(Value::as_u64).is_some_and(|n| n >= bound)
            }
        })
    }

    /// What a step yields that is settled; fails where it cannot be settled.
    fn settled(&self, run: &str, plan: &Plan, at: usize) -> Result<Value, String> {
        let step = &plan.steps[at];
        let keys = self.keys(run, step, at);
        if let Some(when) = step.when
            && !self.holds(run, plan, at, when)?
        {
            for key in keys {
                let did = self.effect(&key).is_some() || self.histories.contains_key(&key);
                ensure!(!did, "{key} has an effect, though it should have been skipped");
            }
            return Ok(Value::Null);
        }
        let failed = |key: &str| {
            ensure!(step.may_fail, "{key} came to nothing, and the run went on");
            self.gave_up(step, key).map(|()| Value::Null)
        };
        let one = |key: &str| -> Result<Value, String> {
            match &step.doing {
                Doing::Action(_) => match self.effect(key) {
                    Some(effect) => Ok(effect.output.clone()),
                    None => failed(key),
                },
                Doing::Sleep(_) => Ok(Value::Null),
                Doing::Signal => self.signal(run, at),
                Doing::Approval => match self.decision(run, at) {
                    Some((true, output)) => Ok(output),
                    _ => {
                        ensure!(step.may_fail, "{key} was not approved, and the run went on");
                        Ok(Value::Null)
                    }
                },
                Doing::Child(_) => match self.outcome(key) {
                    Some(RunOutcome::Completed { output }) => Ok(output.clone()),
                    _ => {
                        ensure!(step.may_fail, "{key} did not complete, and the run went on");
                        Ok(Value::Null)
                    }
                },
            }
        };
        if step.each.is_some() {
            return keys.iter().map(|key| one(key)).collect::<Result<Vec<_>, _>>().map(Value::Array);
        }
        if step.repeat.is_some() {
            let mut over = None;
            for key in &keys {
                if over.is_some() {
                    ensure!(self.effect(key).is_none(), "{key} is one too many");
                    continue;
                }
                match self.effect(key) {
                    Some(effect) if effect.output["n"].as_u64().unwrap() >= ENOUGH => {
                        over = Some(effect.output.clone());
                    }
                    Some(_) => {}
                    None => over = Some(failed(key)?),
                }
            }
            ensure!(over.is_some() || step.may_fail, "{} did not end, and the run went on", keys[0]);
            return Ok(over.unwrap_or_default());
        }
        one(&keys[0])
    }

    /// A task without effect must have been rejected, or have failed as often as it is tried.
    fn gave_up(&self, step: &PlanStep, key: &str) -> Found {
        let failures = self.outside.failures.get(key).copied().unwrap_or_default();
        let enough = failures >= step.tries || self.outside.rejected.contains(key) || step.deadline.is_some();
        ensure!(enough, "{key} was given up after {failures} failures of {}", step.tries);
        Ok(())
    }

    fn signal(&self, run: &str, at: usize) -> Result<Value, String> {
        let came = self.histories[run].iter().find_map(|entry| match &entry.event {
            RunEvent::Signalled { signal, payload, .. } if signal.as_str() == name(at) => {
                Some(payload.clone())
            }
            _ => None,
        });
        came.ok_or_else(|| format!("signal {} never came", name(at)))
    }

    fn decision(&self, run: &str, at: usize) -> Option<(bool, Value)> {
        self.histories[run].iter().find_map(|entry| match &entry.event {
            RunEvent::Decided { task, approval } if task.step.as_str() == name(at) => {
                let (by, comment) = (approval.by.as_str(), &approval.comment);
                let output = json!({ "by": by, "at": approval.at.as_millis(), "comment": comment });
                Some((approval.approved, output))
            }
            _ => None,
        })
    }

    /// The parameters of an effect are those that the outputs of the steps before it make.
    fn parameters(&self, run: &str, plan: &Plan, at: usize, effect: &Effect) -> Found {
        let step = &plan.steps[at];
        let lane = lane_of(run, at, &effect.id);
        let seen = step.needs.iter().map(|&need| self.settled(run, plan, need)).collect::<Result<_, _>>()?;
        let last = match lane {
            0 => Value::Null,
            _ => self.effect(&key(run, at, lane - 1)).map(|effect| effect.output.clone()).unwrap_or_default(),
        };
        // What was asked for first stays what it is, whatever the variable becomes.
        let task = Task::new(name(at).parse().unwrap(), lane as u32);
        let begins =
            |event: &RunEvent| matches!(event, RunEvent::Began { task: began, .. } if *began == task);
        let v = self.values(run, begins)?[0];
        let expected = step.expected(seen, &self.input["items"][lane], &last, v);
        ensure!(effect.params == expected, "{} was given {}, not {expected}", effect.id, effect.params);
        if let Some(when) = step.when {
            ensure!(self.holds(run, plan, at, when)?, "{} should have been skipped", effect.id);
        }
        Ok(())
    }

    /// No step begins, and none takes effect, before those that it needs are settled.
    fn order(&self, run: &str, plan: &Plan) -> Found {
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        let mut last: BTreeMap<usize, usize> = BTreeMap::new();
        for (place, entry) in self.histories[run].iter().enumerate() {
            if matches!(entry.event, RunEvent::RollingBack { .. } | RunEvent::RollBackRequested { .. }) {
                break;
            }
            let Some(at) = step_of(&entry.event) else { continue };
            first.entry(at).or_insert(place);
            last.insert(at, place);
        }
        let place = |key: &String| self.effects.get(key.as_str()).map(|(place, _)| *place);
        for (at, step) in plan.steps.iter().enumerate() {
            let Some(begun) = first.get(&at) else { continue };
            for need in &step.needs {
                let settled = last.get(need).is_some_and(|settled| settled < begun);
                ensure!(settled, "{} began before {} was settled", name(at), name(*need));
                let needed = &plan.steps[*need];
                let before = self.keys(run, needed, *need).iter().filter_map(place).max();
                let after = self.keys(run, step, at).iter().filter_map(place).min();
                let in_order = before.zip(after).is_none_or(|(before, after)| before < after);
                ensure!(in_order, "{} took effect before {}", name(at), name(*need));
            }
        }
        Ok(())
    }

    fn cause(&self, run: &str, plan: &Plan, cause: &FailureCause) -> Found {
        match cause {
            FailureCause::Step { task, error } => {
                let at: usize = task.step.as_str()[1..].parse().unwrap();
                let step = &plan.steps[at];
                ensure!(!step.may_fail, "{task} may fail, and failed the run");
                let key = key(run, at, task.lane as usize);
                match (error, &step.doing) {
                    (StepError::Endless { times }, _) => {
                        ensure!(Some(*times) == step.repeat, "{times} times");
                        let n = self.effect(&key).map(|effect| effect.output["n"].as_u64().unwrap());
                        ensure!(n.is_some_and(|n| n < ENOUGH), "{task} had ended");
                    }
                    (_, Doing::Action(_)) => {
                        ensure!(self.effect(&key).is_none(), "{task} failed, and took effect");
                        self.gave_up(step, &key)?;
                    }
                    (_, Doing::Child(_)) => {
                        let completed = matches!(self.outcome(&key), Some(RunOutcome::Completed { .. }));
                        ensure!(!completed, "{task} failed, and its run completed");
                    }
                    (StepError::TurnedDown { .. }, Doing::Approval) => {
                        ensure!(self.decision(run, at).is_some_and(|(yes, _)| !yes), "{task} was approved");
                    }
                    (error, doing) => return Err(format!("{task} ({doing:?}) failed: {error}")),
                }
            }
            FailureCause::Cancelled { .. } => {
                let above = run.rsplit_once('/').map(|(parent, _)| parent);
                let rolled_back =
                    |run: &str| matches!(self.last_outcome(run), Some(RunOutcome::RolledBack { .. }));
                let asked = self.cancelled.contains(run) || above.is_some_and(rolled_back);
                ensure!(asked, "nobody cancelled it");
            }
            FailureCause::Deadline { .. } => ensure!(plan.deadline.is_some(), "it has no deadline"),
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    /// What was done is undone once, the last first; what cannot be undone is named.
    fn undone(&self, run: &str, plan: &Plan, left: &[Task]) -> Found {
        let history = &self.histories[run];
        let mut done: Vec<Task> = Vec::new();
        for entry in history {
            match &entry.event {
                RunEvent::Succeeded { task, .. } => done.push(task.clone()),
                RunEvent::ChildEnded { task, result, .. } => match result {
                    // Nothing of it is left.
                    ChildResult::Failed(_) => {}
                    ChildResult::Completed(_) | ChildResult::PartlyUndone { .. } => done.push(task.clone()),
                },
                _ => {}
            }
        }
        let (mut undos, mut remains) = (Vec::new(), Vec::new());
        for task in &done {
            let at: usize = task.step.as_str()[1..].parse().unwrap();
            let step = &plan.steps[at];
            let key = key(run, at, task.lane as usize);
            match (&step.doing, step.reversal) {
                (Doing::Child(_), _) => {
                    if let Some(RunOutcome::RolledBack { left, .. }) = self.last_outcome(&key)
                        && left.is_empty()
                    {
                        undos.push((key, "child", false));
                    } else {
                        remains.push(task.clone());
                    }
                }
                (Doing::Action(_), Reversal::Nothing) => {}
                (Doing::Action("d"), Reversal::Unsaid) => undos.push((key, "recall", false)),
                (Doing::Action(_), Reversal::Refund) => undos.push((key, "refund", true)),
                (Doing::Action(_), Reversal::Unsaid) => remains.push(task.clone()),
                _ => {}
            }
        }
        ensure!(remains == left, "left: {left:?}, expected {remains:?}");
        // What took effect is done, whoever found out.
        for (at, step) in plan.steps.iter().enumerate() {
            for (lane, key) in self.keys(run, step, at).iter().enumerate() {
                let task = Task::new(name(at).parse().unwrap(), lane as u32);
                let missed = self.effect(key).is_some() && !done.contains(&task);
                ensure!(!missed, "{task} took effect, and the run does not know");
            }
        }
        let (mut places, mut children) = (Vec::new(), 0);
        for (key, kind, timeout) in undos.iter().rev() {
            if *kind == "child" {
                // The child undoes what it did in its turn: after what came later, before what came earlier.
                let own = self
                    .effects
                    .iter()
                    .filter(|(id, _)| id.starts_with(&format!("{key}/")) && id.ends_with("/undo"));
                let mut own: Vec<usize> = own.map(|(_, (place, _))| *place).collect();
                own.sort_unstable();
                let ends = [own.first().copied(), own.last().copied()];
                places.extend(ends.into_iter().flatten().map(|place| (place, key.clone())));
                children += ends.iter().flatten().count();
                continue;
            }
            let undo = format!("{key}/undo");
            let found = self.effects.get(undo.as_str());
            let (place, effect) = found.ok_or_else(|| format!("{key} is not undone"))?;
            let output = &self.effect(key).ok_or_else(|| format!("{key} has no effect"))?.output;
            ensure!(effect.kind == *kind && effect.params["of"] == *output, "{undo} is {effect:?}");
            let _ = timeout;
            if let Some(v) = effect.params.get("v") {
                let of_it = |event: &RunEvent| matches!(event, RunEvent::UndoBegan { task, .. } if self.task_key(run, task) == *key);
                let values = self.values(run, of_it)?;
                ensure!(
                    v.as_u64().is_some_and(|v| values.contains(&v)),
                    "{undo} was given {v} of {values:?}"
                );
            }
            places.push((*place, undo));
        }
        ensure!(places.is_sorted(), "undone out of order: {places:?}");
        let all = self.effects.keys().filter(|id| {
            id.ends_with("/undo")
                && id.starts_with(&format!("{run}/"))
                && id.matches('/').count() == run.matches('/').count() + 2
        });
        let all = all.count();
        let expected = places.len() - children;
        ensure!(all == expected, "{all} undone, expected {expected}");
        Ok(())
    }
}

/// The step that an event of the way forward is about.
fn step_of(event: &RunEvent) -> Option<usize> {
    let step = match event {
        RunEvent::Began { task, .. }
        | RunEvent::Waiting { task, .. }
        | RunEvent::Succeeded { task, .. }
        | RunEvent::Failed { task, .. }
        | RunEvent::Unknown { task, .. }
        | RunEvent::ChildEnded { task, .. }
        | RunEvent::Repeated { task } => &task.step,
        RunEvent::Opened { step, .. } | RunEvent::Skipped { step } => step,
        _ => return None,
    };
    Some(step.as_str()[1..].parse().unwrap())
}

pub(crate) fn key(run: &str, at: usize, lane: usize) -> String {
    if lane == 0 { format!("{run}/s{at}") } else { format!("{run}/s{at}.{lane}") }
}

fn lane_of(run: &str, at: usize, id: &str) -> usize {
    id[key(run, at, 0).len()..].strip_prefix('.').map_or(0, |lane| lane.parse().unwrap())
}
