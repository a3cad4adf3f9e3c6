//! What a run decides, what became of its tasks and what follows, in one append.

use std::collections::BTreeMap;

use super::launch::{Ready, bare, no};
use super::{Committed, Drive, Stop};
use crate::action::{GateError, MAX_PARAMS, Opening};
use crate::event::{AppendError, ExpectedVersion, StreamWrite};
use crate::id::{LimitKey, RunId, StreamId};
use crate::workflow::error::WorkflowError;
use crate::workflow::flight::{How, Landed, Verdict, launch, launch_undo, refused, withheld};
use crate::workflow::limits::{LimitBook, LimitEvent, Taken};
use crate::workflow::load;
use crate::workflow::metrics::Counters;
use crate::workflow::run::{
    ChildResult, Effect, Recorder, RunEvent, RunOutcome, RunStarted, StepError, Task, TaskResult, UndoResult,
    stream_of,
};

impl Drive {
    pub(super) async fn append(&mut self, out: &Recorder, taken: &[Taken]) -> Result<Committed, Stop> {
        loop {
            let parts = self.parts.clone();
            let mut transaction = parts.gate.transaction();
            let mut failed_ending = None;
            for (at, landed) in self.landed.iter().enumerate().take(self.at_once) {
                if let Some(ending) = &landed.ending
                    && let Err(error) = transaction.conclude(ending).await
                {
                    failed_ending = Some((at, error));
                    break;
                }
            }
            match failed_ending {
                // Whoever ended the action first has ended its reservation too.
                Some((at, error @ GateError::Refused(_))) => return self.ended_by_another(at, error).await,
                Some((_, error)) => return Err(WorkflowError::Gate(error).into()),
                None => {}
            }
            let mut starts = Launches::default();
            let mut own = Vec::new();
            if !out.events.is_empty() {
                let expected = ExpectedVersion::Exact(self.durable);
                own.push(StreamWrite::new(self.stream.clone(), expected, out.events.clone()));
            }
            let mut limits: BTreeMap<&LimitKey, Vec<LimitEvent>> = BTreeMap::new();
            for effect in &out.effects {
                match effect {
                    Effect::Perform(task) => {
                        let asked = &mut transaction;
                        match self.how(task) {
                            Ok(Ready::Ask(action, context)) => match asked.request(&action, &context).await {
                                Ok(Opening::Ready(attempt)) => {
                                    starts.tasks.push((task.clone(), How::Attempt(attempt)));
                                }
                                Ok(Opening::Withheld(verdict)) => {
                                    let error = GateError::withheld(verdict);
                                    starts.decided.push(withheld(task, error, &action));
                                }
                                Ok(Opening::Refused(refusal)) => {
                                    starts.decided.push(bare(task, refused(refusal)));
                                }
                                Err(GateError::IdUsed { .. }) => {
                                    let how = How::Pursue { action, context, endorsement: None };
                                    starts.tasks.push((task.clone(), how));
                                }
                                Err(GateError::Invalid(error)) => {
                                    let error = StepError::OutOfBounds(error.to_string());
                                    starts.decided.push(no(task, error));
                                }
                                Err(error) => return Err(WorkflowError::Gate(error).into()),
                            },
                            Ok(Ready::Go(how)) => starts.tasks.push((task.clone(), how)),
                            Ok(Ready::Decided(result)) => {
                                starts.decided.push(bare(task, Verdict::Task(result)));
                            }
                            Err(error) => starts.decided.push(no(task, error)),
                        }
                    }
                    Effect::Undo(task) => starts.undos.push(task.clone()),
                    Effect::Start { task, run } => match self.child(task, run)? {
                        Ok(write) => own.push(write),
                        Err(error) => {
                            self.unstartable.insert(run.clone(), error);
                            return self.again().await;
                        }
                    },
                    Effect::Cancel(run) => {
                        let by = self.run.started().actor.clone();
                        let reason = format!("{} is rolled back", self.run.id());
                        let event = RunEvent::CancelRequested { by, reason };
                        own.push(self.note(run, &event)?);
                    }
                    Effect::Acquire { key, holder } => {
                        limits.entry(key).or_default().push(LimitEvent::Acquired(holder.clone()));
                    }
                    Effect::Release { key, holder } => {
                        limits.entry(key).or_default().push(LimitEvent::Released(holder.clone()));
                    }
                }
            }
            if !self.limits.stands(taken) {
                return self.again().await;
            }
            let now = self.parts.clock.now();
            let mut places = Vec::new();
            for (&key, events) in &limits {
                let write = self.limits.write(key, events, now)?;
                own.push(write.clone());
                places.push((key, events, write));
            }
            if let Some(write) = self.answer_to_parent(out)? {
                own.push(write);
            }
            match transaction.commit(own).await {
                Ok(()) => {
                    for (key, events, write) in &places {
                        self.limits.confirm(key, write, events, now);
                    }
                    return self.committed(out, starts).map(|()| Committed::Done);
                }
                Err(AppendError::TooLarge { .. }) if self.at_once > 1 => {
                    self.at_once /= 2;
                    return self.again().await;
                }
                Err(AppendError::Conflict { stream, .. }) => {
                    if stream == self.stream {
                        return self.again().await;
                    }
                    if let Some(key) =
                        limits.keys().find(|key| LimitBook::stream(key).ok().as_ref() == Some(&stream))
                    {
                        self.limits.read(&*self.parts.store, key).await?;
                        return self.again().await;
                    }
                    if let Some(task) = self.task_of(&stream, out) {
                        // Its action was asked for under this id before: find out what became of it.
                        self.known.insert(task);
                        continue;
                    }
                    if let Some(run) = child_of(&stream, out) {
                        self.unstartable.insert(run, "a run of its id exists already".to_owned());
                        return self.again().await;
                    }
                    let ended = |landed: &Landed| {
                        let ending = landed.ending.as_ref();
                        ending.is_some_and(|ending| ending.action().stream().ok().as_ref() == Some(&stream))
                    };
                    if let Some(at) = self.landed.iter().position(ended) {
                        let error = GateError::Contended { tries: 1 };
                        return self.ended_by_another(at, error).await;
                    }
                    // The books moved: reserve and settle again.
                }
                Err(error) => return Err(error.into()),
            }
        }
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
                Verdict::Undo(_) => {
                    Verdict::Undo(UndoResult::Failed { error: StepError::Uncertain(text), retryable: true })
                }
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
            .with_trace(self.run.trace_of(task));
        let event = RunEvent::Started(Box::new(started)).to_new(self.parts.clock.now())?;
        Ok(Ok(StreamWrite::new(stream, ExpectedVersion::NO_STREAM, vec![event])))
    }

    fn note(&self, run: &RunId, event: &RunEvent) -> Result<StreamWrite, Stop> {
        let event = event.to_new(self.parts.clock.now())?;
        Ok(StreamWrite::new(load::stream(run)?, ExpectedVersion::Any, vec![event]))
    }

    /// Tells the run that waits for this one how it ended; in the append that ends it.
    fn answer_to_parent(&self, out: &Recorder) -> Result<Option<StreamWrite>, Stop> {
        let (Some(outcome), Some(parent)) = (self.run.outcome(), &self.run.started().parent) else {
            return Ok(None);
        };
        if out.events.is_empty() {
            return Ok(None);
        }
        if let Some(left) = self.run.undone_after_all() {
            let event = RunEvent::ChildUndone { task: parent.task.clone(), left: left.to_vec() };
            return self.note(&parent.run, &event).map(Some);
        }
        let result = match outcome {
            RunOutcome::Completed { output } => ChildResult::Completed(output.clone()),
            RunOutcome::RolledBack { cause, .. } => ChildResult::Failed(cause.to_string()),
        };
        let event = RunEvent::ChildEnded { task: parent.task.clone(), result };
        self.note(&parent.run, &event).map(Some)
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

/// What follows from an append.
#[derive(Default)]
struct Launches {
    tasks: Vec<(Task, How)>,
    undos: Vec<Task>,
    decided: Vec<Landed>,
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
