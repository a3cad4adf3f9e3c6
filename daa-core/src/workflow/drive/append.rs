//! What a run decides, what became of its tasks and what follows, in one append.

use std::collections::BTreeMap;

use super::launch::{Ready, bare, no};
use super::{Committed, Drive, Stop};
use crate::action::patience::Patience;
use crate::action::{Action, Aim, Context, GateError, MAX_PARAMS, Opening, Pursuit, Transaction};
use crate::event::{AppendError, ExpectedVersion, StreamWrite};
use crate::id::{LimitKey, RunId, StreamId};
use crate::workflow::error::WorkflowError;
use crate::workflow::flight::{How, Landed, Verdict, launch, launch_undo, refused, withheld};
use crate::workflow::limits::{LimitEvent, Staged, Taken};
use crate::workflow::load;
use crate::workflow::metrics::Counters;
use crate::workflow::parts::Parts;
use crate::workflow::run::{
    ChildResult, Effect, Recorder, RunEvent, RunOutcome, RunStarted, StepError, Task, TaskResult, UndoResult,
    stream_of,
};

impl Drive {
    /// Makes a decision durable, with what became of its tasks and what follows from it.
    pub(super) async fn append(&mut self, out: &Recorder, taken: &[Taken]) -> Result<Committed, Stop> {
        let mut patience = Patience::of(self.run.id().as_str());
        loop {
            let parts = self.parts.clone();
            let mut transaction = parts.gate.transaction();
            match conclude(&self.landed, self.at_once, &mut transaction).await {
                Ok(()) => {}
                // Whoever ended the action first has ended its reservation too.
                Err((at, error @ GateError::Refused(_))) => return self.ended_by_another(at, error).await,
                Err((_, error)) => return Err(WorkflowError::Gate(error).into()),
            }
            let mut own = Vec::new();
            if !out.events.is_empty() {
                let expected = ExpectedVersion::Exact(self.durable);
                own.push(StreamWrite::new(self.stream.clone(), expected, out.events.clone()));
            }
            let Some(starts) = self.follow(out, &mut transaction, &mut own).await? else {
                return self.again().await;
            };
            let now = transaction.now();
            let Some(places) = self.limits.stage(taken, changes(out), now)? else {
                return self.again().await;
            };
            own.extend(places.iter().map(|place| place.write.clone()));
            if let Some((parent, event)) = self.answer_to_parent(out) {
                own.extend(told(&parts, &parent, &event).await?);
            }
            let clash = match transaction.commit(own).await {
                Ok(()) => {
                    places.iter().for_each(|place| self.limits.confirm(place, now));
                    for place in &places {
                        self.limits.compact(&*parts.store, &place.key, now).await;
                    }
                    return self.committed(out, starts).map(|()| Committed::Done);
                }
                Err(AppendError::TooLarge { .. }) if self.at_once > 1 => {
                    self.at_once /= 2;
                    return self.again().await;
                }
                Err(AppendError::Conflict { stream, .. }) => self.clash(&stream, out, &places),
                Err(error) => return Err(error.into()),
            };
            match clash {
                Clash::Run => return self.again().await,
                Clash::Limit(key) => {
                    self.limits.read(&*parts.store, &key).await?;
                    return self.again().await;
                }
                // Each task but once.
                Clash::Begun(task) => drop(self.known.insert(task)),
                Clash::Child(run) => {
                    self.unstartable.insert(run, "a run of its id exists already".to_owned());
                    return self.again().await;
                }
                Clash::Ended(at) => {
                    return self.ended_by_another(at, GateError::Contended { tries: 1 }).await;
                }
                Clash::Books if patience.again(&*parts.clock).await => {}
                Clash::Books => return Err(WorkflowError::Contended { tries: patience.lost() }.into()),
            }
        }
    }

    /// Makes what follows from a decision part of the append; `None` where the decision has to be made again.
    async fn follow(
        &mut self,
        out: &Recorder,
        transaction: &mut Transaction<'_>,
        own: &mut Vec<StreamWrite>,
    ) -> Result<Option<Launches>, Stop> {
        let mut starts = Launches::default();
        let mut unstartable = false;
        for effect in &out.effects {
            match effect {
                Effect::Perform(task) => match self.how(task) {
                    Ok(Ready::Ask(action, context)) => {
                        starts.ask(task, action, context, transaction).await?;
                    }
                    Ok(Ready::Go(how)) => starts.tasks.push((task.clone(), how)),
                    Ok(Ready::Decided(result)) => starts.decided.push(bare(task, Verdict::Task(result))),
                    Err(error) => starts.decided.push(no(task, error)),
                },
                Effect::Undo(task) => starts.undos.push(task.clone()),
                Effect::Start { task, run } => match self.child(task, run)? {
                    Ok(write) => own.push(write),
                    Err(error) => {
                        self.unstartable.insert(run.clone(), error);
                        unstartable = true;
                    }
                },
                Effect::Cancel(run) => {
                    let by = self.run.started().actor.clone();
                    let reason = format!("{} is rolled back", self.run.id());
                    let event = RunEvent::CancelRequested { by, reason };
                    own.push(note(&self.parts, run, &event)?);
                }
                Effect::Acquire { .. } | Effect::Release { .. } => {}
            }
        }
        Ok((!unstartable).then_some(starts))
    }

    /// What another writer was faster with, by the stream of the conflict.
    fn clash(&self, stream: &StreamId, out: &Recorder, places: &[Staged]) -> Clash {
        if *stream == self.stream {
            return Clash::Run;
        }
        if let Some(place) = places.iter().find(|place| place.write.stream == *stream) {
            return Clash::Limit(place.key.clone());
        }
        if let Some(task) = self.task_of(stream, out) {
            return Clash::Begun(task);
        }
        if let Some(run) = child_of(stream, out) {
            return Clash::Child(run);
        }
        let ended = |landed: &Landed| {
            let ending = landed.ending.as_ref();
            ending.is_some_and(|ending| ending.action().stream().ok().as_ref() == Some(stream))
        };
        self.landed.iter().position(ended).map_or(Clash::Books, Clash::Ended)
    }

    /// The run is as it was before the decision, which has to be made again.
    async fn again(&mut self) -> Result<Committed, Stop> {
        self.reload().await?;
        Ok(Committed::Again)
    }

    /// Somebody else recorded how an action ended; what they recorded counts.
    async fn ended_by_another(&mut self, at: usize, error: GateError) -> Result<Committed, Stop> {
        tracing::warn!(run = %self.run.id(), error = %error, "the end of an action was recorded by another");
        if let Some(landed) = self.landed.get_mut(at) {
            landed.ending = None;
            landed.guard = None;
            let text = "its end was recorded by another performer".to_owned();
            landed.result = match landed.result {
                Verdict::Undo(_) => Verdict::Undo(UndoResult::Unknown(text)),
                _ => Verdict::Task(TaskResult::Unknown(text)),
            };
        }
        self.again().await
    }

    /// Takes note that everything is durable, and begins what follows.
    fn committed(&mut self, out: &Recorder, starts: Launches) -> Result<(), Stop> {
        let counters = &self.parts.counters;
        if !out.events.is_empty() {
            counters.appends.one();
            counters.events.add(out.events.len() as u64);
        }
        let landed = self.at_once.min(self.landed.len());
        let landed: Vec<Landed> = self.landed.drain(..landed).collect();
        count(counters, &landed);
        self.more = out.more;
        match (self.run.outcome(), self.durable < self.run.version()) {
            (Some(RunOutcome::Completed { .. }), true) => counters.runs_completed.one(),
            (Some(_), true) => counters.runs_rolled_back.one(),
            _ => {}
        }
        self.durable = self.run.version();
        self.snapshot = self.run.snapshot_version();
        self.start = None;
        let taken_over = self.held_by.as_ref().is_some_and(|held_by| held_by.worker != self.claim.worker);
        if taken_over && self.run.claim() == Some(&self.claim) {
            counters.runs_taken_over.one();
        }
        self.held_by = self.run.claim().cloned();
        self.landed.extend(starts.decided);
        let left = std::mem::take(&mut self.left);
        if starts.tasks.is_empty() && starts.undos.is_empty() && left.is_empty() {
            return Ok(());
        }
        if !self.standing.holds(self.parts.clock.now()) {
            self.parts.counters.fenced.one();
            return Err(Stop::Lost);
        }
        for (task, how) in starts.tasks {
            let flight = launch(&self.parts, self.leased(), &self.run, task, how);
            self.begin(flight);
        }
        for task in starts.undos {
            let flight = launch_undo(&self.parts, self.leased(), &self.run, task);
            self.begin(flight);
        }
        for effect in left {
            match effect {
                Effect::Perform(task) => match self.pursue(&task) {
                    Ok(Ready::Go(how)) => {
                        let flight = launch(&self.parts, self.leased(), &self.run, task, how);
                        self.begin(flight);
                    }
                    Ok(Ready::Decided(result)) => self.landed.push(bare(&task, Verdict::Task(result))),
                    Ok(Ready::Ask(..)) => {}
                    Err(error) => self.landed.push(no(&task, error)),
                },
                Effect::Undo(task) => {
                    let flight = launch_undo(&self.parts, self.leased(), &self.run, task);
                    self.begin(flight);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The beginning of the run that a task waits for.
    fn child(&self, task: &Task, run: &RunId) -> Result<Result<StreamWrite, String>, Stop> {
        let Some((name, input)) = self.run.child_of(task) else {
            return Ok(Err("the step runs no workflow".to_owned()));
        };
        if let Some(error) = self.unstartable.get(run) {
            return Ok(Err(error.clone()));
        }
        let Some(definition) = self.parts.library.latest(&name) else {
            return Ok(Err(StepError::NoWorkflow(name.to_string()).to_string()));
        };
        if let Err(mismatch) = definition.workflow.input.check("input", &input) {
            return Ok(Err(mismatch.to_string()));
        }
        let Ok(stream) = load::stream(run) else {
            return Ok(Err(format!("its id {run} is too long")));
        };
        let (actual, limit) = (serde_json::to_vec(&input).map_or(usize::MAX, |json| json.len()), MAX_PARAMS);
        if actual > limit {
            return Ok(Err(format!("its input has {actual} bytes, at most {limit} are allowed")));
        }
        let parent = self.run.started();
        let started = RunStarted::child(parent, run.clone(), task.clone(), definition, input)
            .with_trace(self.run.trace_of(task))
            .with_sources(self.run.sources_before(task));
        let event = RunEvent::Started(Box::new(started)).to_new(self.parts.clock.now())?;
        Ok(Ok(StreamWrite::new(stream, ExpectedVersion::NO_STREAM, vec![event])))
    }

    /// What the run that waits for this one is told: how it ended, in the append that ends it.
    fn answer_to_parent(&self, out: &Recorder) -> Option<(RunId, RunEvent)> {
        let (outcome, parent) = (self.run.outcome()?, self.run.started().parent.as_ref()?);
        if out.events.is_empty() {
            return None;
        }
        let task = parent.task.clone();
        if let Some(left) = self.run.undone_after_all() {
            return Some((parent.run.clone(), RunEvent::ChildUndone { task, left: left.to_vec() }));
        }
        let result = match outcome {
            RunOutcome::Completed { output } => ChildResult::Completed(output.clone()),
            RunOutcome::RolledBack { cause, left } if left.is_empty() => {
                ChildResult::Failed(cause.to_string())
            }
            RunOutcome::RolledBack { cause, left } => {
                ChildResult::PartlyUndone { cause: cause.to_string(), left: left.clone() }
            }
        };
        let sources = self.run.all_sources();
        Some((parent.run.clone(), RunEvent::ChildEnded { task, result, sources }))
    }

    /// The task whose action has this stream, among those that have just begun.
    fn task_of(&self, stream: &StreamId, out: &Recorder) -> Option<Task> {
        out.effects.iter().find_map(|effect| {
            let Effect::Perform(task) = effect else { return None };
            let action = self.run.action(task)?.ok()?;
            (action.stream().ok()? == *stream && !self.known.contains(task)).then(|| task.clone())
        })
    }
}

/// What another writer was faster with.
enum Clash {
    Run,
    Limit(LimitKey),
    /// The action of a task was asked for under its id before: to be found out what became of it.
    Begun(Task),
    /// A run that a task waits for.
    Child(RunId),
    /// The end of what landed here.
    Ended(usize),
    /// The books moved: to be reserved and settled again.
    Books,
}

/// What happens to places under limits.
fn changes(out: &Recorder) -> BTreeMap<LimitKey, Vec<LimitEvent>> {
    let mut changes: BTreeMap<LimitKey, Vec<LimitEvent>> = BTreeMap::new();
    for effect in &out.effects {
        let (key, event) = match effect {
            Effect::Acquire { key, holder } => (key, LimitEvent::Acquired(holder.clone())),
            Effect::Release { key, holder } => (key, LimitEvent::Released(holder.clone())),
            _ => continue,
        };
        changes.entry(key.clone()).or_default().push(event);
    }
    changes
}

/// What is written to the stream of another run.
fn note(parts: &Parts, run: &RunId, event: &RunEvent) -> Result<StreamWrite, WorkflowError> {
    let event = event.to_new(parts.clock.now())?;
    Ok(StreamWrite::new(load::stream(run)?, ExpectedVersion::Any, vec![event]))
}

/// What is written to the stream of the run that waits for one. It is open until it is told that that has ended. That
/// what it did is undone it may not have asked for: if it has ended, or was archived, it is told nothing.
async fn told(parts: &Parts, parent: &RunId, event: &RunEvent) -> Result<Option<StreamWrite>, WorkflowError> {
    let note = note(parts, parent, event)?;
    if !matches!(event, RunEvent::ChildUndone { .. }) {
        return Ok(Some(note));
    }
    match load::latest(parts, parent).await {
        Ok(Some(waiting)) if waiting.outcome().is_none() => {
            Ok(Some(StreamWrite { expected: ExpectedVersion::Exact(waiting.version()), ..note }))
        }
        Ok(_) | Err(WorkflowError::Archived { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What follows from an append.
#[derive(Default)]
struct Launches {
    tasks: Vec<(Task, How)>,
    undos: Vec<Task>,
    decided: Vec<Landed>,
}

impl Launches {
    /// Asks the gate for the action of a task that has just begun.
    async fn ask(
        &mut self,
        task: &Task,
        action: Action,
        context: Context,
        transaction: &mut Transaction<'_>,
    ) -> Result<(), Stop> {
        match transaction.request(&action, &context).await {
            Ok(Opening::Ready(attempt)) => self.tasks.push((task.clone(), How::Attempt(attempt))),
            Ok(Opening::Withheld(error)) => self.decided.push(withheld(task, error)),
            Ok(Opening::Refused(refusal)) => self.decided.push(bare(task, refused(refusal))),
            // What has ended is not kept waiting until the rules can decide on what comes next.
            Ok(Opening::Later) | Err(GateError::InProgress { .. }) => {
                let (id, endorsement, pursuit) = (action.id().clone(), None, Pursuit::Again);
                let aim = Aim { id, action: Some(action), context, endorsement, pursuit };
                self.tasks.push((task.clone(), How::Pursue { aim, unasked: None }));
            }
            Err(GateError::Invalid(error)) => {
                self.decided.push(no(task, StepError::OutOfBounds(error.to_string())));
            }
            Err(error) => return Err(WorkflowError::Gate(error).into()),
        }
        Ok(())
    }
}

/// Makes the ends of actions part of the append; the error names the one that cannot be.
async fn conclude(
    landed: &[Landed],
    at_once: usize,
    transaction: &mut Transaction<'_>,
) -> Result<(), (usize, GateError)> {
    for (at, landed) in landed.iter().enumerate().take(at_once) {
        if let Some(ending) = &landed.ending {
            transaction.conclude(ending).await.map_err(|error| (at, error))?;
        }
    }
    Ok(())
}

fn child_of(stream: &StreamId, out: &Recorder) -> Option<RunId> {
    out.effects.iter().find_map(|effect| match effect {
        Effect::Start { run, .. } if stream_of(run).ok().as_ref() == Some(stream) => Some(run.clone()),
        _ => None,
    })
}

fn count(counters: &Counters, landed: &[Landed]) {
    for landed in landed {
        match &landed.result {
            Verdict::Task(TaskResult::Succeeded(_) | TaskResult::Replayed(_)) => {
                counters.steps_succeeded.one()
            }
            Verdict::Task(TaskResult::Failed { .. } | TaskResult::Spoilt(_)) => counters.steps_failed.one(),
            Verdict::Task(TaskResult::Unknown(_)) => counters.steps_unknown.one(),
            Verdict::Undo(UndoResult::Done) => counters.steps_undone.one(),
            _ => {}
        }
    }
}
