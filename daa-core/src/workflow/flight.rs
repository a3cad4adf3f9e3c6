//! One task with its executor: within its time limit, and with its heart beating.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use serde_json::Value;

use super::error::WorkflowError;
use super::leased::Leased;
use super::load;
use super::parts::Parts;
use super::run::{Request, Run, StepError, Task, TaskResult, UndoResult};
use crate::action::{
    Action, ActionError, ActionState, Aim, Attempt, Beats, CallError, Effect, Ending, Escalation,
    ExecuteError, Executor, GateError, Link, Pursued, Pursuit, Refusal,
};
use crate::event::{AppendError, Batch, ExpectedVersion, StreamWrite};
use crate::failure_text::{error_text, panic_text};
use crate::fault::{Reaction, Retry};
use crate::id::{ActionId, AgentId, RunId};

/// How often a request to another run is tried again when that run moved on meanwhile.
const MAX_CONFLICTS: u32 = 64;

/// What came back from an executor.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) task: Task,
    /// The end of the action, to be made durable with the run's own events.
    pub(super) ending: Option<Ending>,
    pub(super) result: Verdict,
    /// What the executor reported last, where that is worth keeping.
    pub(super) progress: Option<Value>,
    /// What the executor said, each time it was asked what became of an attempt: whether there was an effect.
    pub(super) found: Vec<bool>,
    /// Keeps others away from the action until its end is durable.
    pub(super) guard: Option<crate::action::FlightGuard>,
}

/// What a landing means for the run.
#[derive(Debug)]
pub(super) enum Verdict {
    Task(TaskResult),
    Undo(UndoResult),
    /// The lease of the worker ended before the executor was called.
    Fenced,
    /// The store or the books are not available: nothing is known, and nothing was changed.
    Lost(WorkflowError),
}

/// How a task is to be performed.
pub(super) enum How {
    /// Its attempt is durable.
    Attempt(Attempt),
    /// Wherever its action stands, it is brought to an end. `unasked`: why it can no longer be asked for, where it never was.
    Pursue { aim: Aim, unasked: Option<StepError> },
}

/// A task on its way.
pub(super) struct Flight {
    pub(super) task: Task,
    pub(super) beats: Beats,
    pub(super) future: BoxFuture<'static, Landed>,
}

/// Hands a task to its executor.
pub(super) fn launch(parts: &Arc<Parts>, leased: Leased, run: &Run, task: Task, how: How) -> Flight {
    let trace = run.trace_of(&task);
    let span =
        tracing::info_span!("workflow.step", run = %run.id(), task = %task, trace = tracing::field::Empty);
    if let Some(trace) = &trace {
        span.record("trace", tracing::field::display(trace));
    }
    let link = Link::new(run.progress(&task).cloned(), trace);
    let beats = link.beats.clone();
    let (limit, silence) = (run.time_limit(&task, || parts.clock.now()), run.heartbeat(&task));
    let patience = run.patience(&task);
    // Past its deadline nothing is attempted any more.
    let late = limit.is_some_and(|limit| limit.is_zero());
    let (parts, own, listen) = (parts.clone(), task.clone(), beats.clone());
    let future = async move {
        let (aim, unasked) = match &how {
            How::Pursue { aim, unasked } => (aim.clone(), unasked.clone()),
            How::Attempt(attempt) => (attempt.aim(), None),
        };
        let pursued = match how {
            How::Attempt(attempt) => {
                let leased = leased.clone();
                Some(async move { Ok(attempt.perform(&leased, link).await) }.boxed())
            }
            How::Pursue { aim, .. } if late || aim.pursuit == Pursuit::Settle => None,
            How::Pursue { aim, .. } => {
                let (parts, leased) = (parts.clone(), leased.clone());
                Some(async move { parts.gate.pursue(&aim, &leased, link).await }.boxed())
            }
        };
        let again = pursued.is_some();
        let pursued = match pursued {
            Some(pursued) => timed(&parts, pursued, limit, silence, &listen).await,
            None => Ok(settle(&parts, &aim, patience).boxed().await),
        };
        let landed = match pursued {
            Ok(Err(GateError::Unknown { .. })) if let Some(error) = unasked => no(own, error),
            Ok(pursued) => landed(own, pursued, again),
            // Rare: most tasks need no room for it.
            Err(late) => find_out(&parts, own, &aim, late, patience).boxed().await,
        };
        if leased.has_lapsed() {
            return bare(landed.task, Verdict::Fenced);
        }
        let progress = listen.latest();
        Landed { progress, ..landed }
    };
    Flight { task, beats, future: tracing::Instrument::instrument(future, span).boxed() }
}

/// Hands the undoing of a task to its executor.
pub(super) fn launch_undo(parts: &Arc<Parts>, leased: Leased, run: &Run, task: Task) -> Flight {
    let link = Link::new(None, run.trace_of(&task));
    let beats = link.beats.clone();
    let (context, pursuit) = (run.undo_context(&task), run.pursuit());
    let limit = run.definition_of(&task).and_then(|step| step.try_timeout);
    let patience = run.patience(&task);
    let ids = (run.action_id(&task), run.undo_id(&task));
    let (parts, own, listen) = (parts.clone(), task.clone(), beats.clone());
    let (said, child) = (run.undo_action(&task), run.child_to_undo(&task));
    let (id, actor) = (run.id().clone(), run.started().actor.clone());
    let span = tracing::info_span!("workflow.undo", run = %id, task = %task);
    let future = async move {
        let undo = |result| bare(own.clone(), Verdict::Undo(result));
        if let Some(child) = child {
            return match roll_back(&parts, &child, actor, &id).await {
                Ok(result) => undo(result),
                Err(error) => Landed { result: Verdict::Lost(error), ..undo(UndoResult::Impossible) },
            };
        }
        let undo_id = match &ids.1 {
            Ok(id) => id.clone(),
            Err(error) => {
                let error = StepError::OutOfBounds(error_text(error));
                return undo(UndoResult::Failed { error, retryable: false });
            }
        };
        let action = match said {
            Some(action) => action.map(Some),
            None => match compensation(&parts, ids).await {
                Ok(action) => action,
                Err(error) => {
                    let lost = Verdict::Lost(WorkflowError::Gate(error));
                    return Landed { result: lost, ..undo(UndoResult::Impossible) };
                }
            },
        };
        // Where there is none now, it may have been asked for before.
        let (action, unasked) = match action {
            Ok(Some(action)) => (Some(action), UndoResult::Impossible),
            Ok(None) => (None, UndoResult::Impossible),
            Err(error) => (None, UndoResult::Failed { error, retryable: false }),
        };
        let aim = Aim { id: undo_id, action, context, endorsement: None, pursuit };
        let pursued = parts.gate.pursue(&aim, &leased, link).boxed();
        match timed(&parts, pursued, limit, None, &listen).await {
            _ if leased.has_lapsed() => Landed { result: Verdict::Fenced, ..undo(UndoResult::Impossible) },
            Ok(Ok(pursued)) => undone(landed(own, Ok(pursued), true)),
            Ok(Err(GateError::Unknown { .. })) => undo(unasked),
            Ok(Err(error)) => Landed { result: undo_error(error), ..undo(UndoResult::Impossible) },
            Err(late) => undone(find_out(&parts, own, &aim, late, patience).await),
        }
    };
    Flight { task, beats, future: tracing::Instrument::instrument(future, span).boxed() }
}

/// Asks the run that did a task to undo what it did.
async fn roll_back(
    parts: &Parts,
    child: &RunId,
    by: AgentId,
    parent: &RunId,
) -> Result<UndoResult, WorkflowError> {
    for _ in 0..MAX_CONFLICTS {
        let run = match load::latest(parts, child).await {
            Ok(Some(run)) => run,
            // Its history is gone, and with it what there was to undo.
            Ok(None) | Err(WorkflowError::Archived { .. }) => return Ok(UndoResult::Impossible),
            Err(error) => return Err(error),
        };
        let now = parts.clock.now();
        let request = Request::RollBack { by: by.clone(), reason: format!("{parent} is rolled back") };
        // Asked before: it says when it is over.
        let Ok(Some(event)) = run.accept(request, None, now) else { return Ok(UndoResult::Waiting) };
        let expected = ExpectedVersion::Exact(run.version());
        let write = StreamWrite::new(load::stream(child)?, expected, vec![event.to_new(now)?]);
        match parts.store.append(Batch::new().with(write)).await {
            Ok(_) => return Ok(UndoResult::Waiting),
            Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(WorkflowError::Contended { tries: MAX_CONFLICTS })
}

/// The action that undoes a task in the eyes of its executor, from the ids of the task's own action and its undo.
async fn compensation(
    parts: &Parts,
    (done, undo): (Result<ActionId, ActionError>, Result<ActionId, ActionError>),
) -> Result<Result<Option<Action>, StepError>, GateError> {
    let status = match done {
        Ok(id) => parts.gate.status(&id).await?,
        Err(_) => None,
    };
    // What is no action, such as another run, has no executor that could undo it.
    let Some(status) = status else { return Ok(Ok(None)) };
    let ActionState::Succeeded(outcome) = &status.state else { return Ok(Ok(None)) };
    let ask = || parts.executors.compensation(&status.action, outcome);
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
    let action = match asked {
        Ok(None) => return Ok(Ok(None)),
        Ok(Some(action)) => action,
        Err(panic) => return Ok(Err(StepError::Executor(panic_text(&*panic)))),
    };
    let renamed = undo.and_then(|id| action.renamed(id, status.action.actor().clone()));
    Ok(renamed.map(Some).map_err(|error| StepError::OutOfBounds(error_text(&error))))
}

/// Why an executor is no longer waited for.
enum Late {
    Limit(Duration),
    Silence(Duration),
}

/// Waits for an executor as long as it may take, and as long as it gives signs of life.
async fn timed<T>(
    parts: &Parts,
    future: BoxFuture<'_, T>,
    limit: Option<Duration>,
    silence: Option<Duration>,
    beats: &Beats,
) -> Result<T, Late> {
    if limit.is_none() && silence.is_none() {
        return Ok(future.await);
    }
    let deadline = limit.map(|limit| (parts.clock.now() + limit, limit));
    let mut future = future;
    loop {
        let quiet = silence.map(|silence| (parts.clock.now() + silence, silence));
        let next = match (deadline, quiet) {
            (Some((at, limit)), Some((until, _))) if at <= until => (at, Late::Limit(limit)),
            (_, Some((until, silence))) => (until, Late::Silence(silence)),
            (Some((at, limit)), None) => (at, Late::Limit(limit)),
            (None, None) => return Ok(future.await),
        };
        let beat = async {
            match silence {
                Some(_) => beats.beaten().await,
                None => std::future::pending().await,
            }
        };
        let beat = std::pin::pin!(beat);
        let wait = select(beat, parts.clock.sleep_until(next.0));
        match select(future, wait).await {
            Either::Left((done, _)) => return Ok(done),
            Either::Right((Either::Left(_), rest)) => future = rest,
            Either::Right((Either::Right(_), _)) => return Err(next.1),
        }
    }
}

/// Finds out what became of an action, within `patience`; nothing is attempted.
async fn settle(parts: &Parts, aim: &Aim, patience: Duration) -> Result<Pursued, GateError> {
    let aim = Aim { pursuit: Pursuit::Settle, ..aim.clone() };
    let settled = parts.gate.pursue(&aim, &parts.executors, Link::default()).boxed();
    match select(settled, parts.clock.sleep(patience)).await {
        Either::Left((settled, _)) => settled,
        Either::Right(_) => Err(GateError::Unresolved { id: aim.id.clone() }),
    }
}

/// Finds out what became of an action whose executor took too long.
async fn find_out(parts: &Parts, task: Task, aim: &Aim, late: Late, patience: Duration) -> Landed {
    let text = match late {
        Late::Limit(limit) => format!("took longer than {limit:?}"),
        Late::Silence(limit) => format!("gave no sign of life for {limit:?}"),
    };
    let unknown = |task| bare(task, Verdict::Task(TaskResult::Unknown(text.clone())));
    let failed = || {
        let error = StepError::Executor(text.clone());
        Verdict::Task(TaskResult::Failed { error, retryable: true, after: None })
    };
    match settle(parts, aim, patience).await {
        // Not what took effect with an output that cannot be kept.
        Ok(Pursued::Ended { ending, result: Err(CallError::Execute(_)), found, flight }) => {
            Landed { ending: Some(ending), found, guard: Some(flight), ..bare(task, failed()) }
        }
        // It had not come to the attempt.
        Ok(Pursued::FailedBefore(_)) | Err(GateError::Unknown { .. }) => bare(task, failed()),
        settled => {
            let landed = landed(task, settled, false);
            match landed.result {
                Verdict::Task(TaskResult::Unknown(_)) => unknown(landed.task),
                _ => landed,
            }
        }
    }
}

const fn bare(task: Task, result: Verdict) -> Landed {
    Landed { task, ending: None, result, progress: None, found: Vec::new(), guard: None }
}

fn no(task: Task, error: StepError) -> Landed {
    bare(task, Verdict::Task(TaskResult::Failed { error, retryable: false, after: None }))
}

fn landed(task: Task, pursued: Result<Pursued, GateError>, again: bool) -> Landed {
    match pursued {
        Ok(Pursued::Ended { ending, result, found, flight }) => {
            let result = match result {
                Ok(outcome) => TaskResult::Succeeded(outcome),
                Err(CallError::Output(error)) => {
                    TaskResult::Spoilt(StepError::OutputOutOfBounds(error_text(&error)))
                }
                Err(CallError::Execute(error)) if error.effect() == Effect::Unknown => {
                    TaskResult::Unknown(error_text(&error))
                }
                Err(CallError::Execute(error) | CallError::NoEffect(error)) => failed(&error, again),
            };
            Landed { ending: Some(ending), found, guard: Some(flight), ..bare(task, Verdict::Task(result)) }
        }
        Ok(Pursued::Before(outcome)) => bare(task, Verdict::Task(TaskResult::Replayed(outcome))),
        Ok(Pursued::FailedBefore(error)) => no(task, StepError::Executor(error)),
        Err(error) => bare(task, task_error(error)),
    }
}

fn failed(error: &ExecuteError, again: bool) -> TaskResult {
    let after = match error.retry() {
        Retry::After(span) => Some(span),
        Retry::Never | Retry::Now | Retry::Later => None,
    };
    // A panic may have been the input's doing or the moment's; an executor that was never there will not come.
    let retryable = again && error.retry() != Retry::Never;
    TaskResult::Failed { error: StepError::Executor(error_text(error)), retryable, after }
}

fn task_error(error: GateError) -> Verdict {
    let no = |error, retryable| Verdict::Task(TaskResult::Failed { error, retryable, after: None });
    match error {
        GateError::Denied { reason, rules } => no(StepError::Denied { reason, rules }, false),
        GateError::Escalated(asked) => {
            let Escalation { reason, subject, ruleset, .. } = *asked;
            Verdict::Task(TaskResult::Asked { subject, ruleset, reason })
        }
        GateError::Refused(refusal) => refused(refusal),
        GateError::Invalid(error) => no(StepError::OutOfBounds(error_text(&error)), false),
        GateError::IdUsed { id } => no(StepError::IdUsed { id }, false),
        error @ GateError::Expired { .. } => no(StepError::Executor(error_text(&error)), false),
        // Nothing was ever attempted.
        GateError::Unknown { .. } => no(StepError::Executor("it was never begun".to_owned()), false),
        error @ (GateError::Append(_)
        | GateError::Read(_)
        | GateError::Treasury(_)
        | GateError::Journal(_)
        | GateError::Contended { .. }) => Verdict::Lost(WorkflowError::Gate(error)),
        // Another call performs it, or its executor cannot tell.
        error => Verdict::Task(TaskResult::Unknown(error_text(&error))),
    }
}

/// What it means for a task that the rules did not let its action through.
pub(super) fn withheld(task: &Task, error: GateError) -> Landed {
    bare(task.clone(), task_error(error))
}

/// A budget may have room again in its next period.
pub(super) fn refused(refusal: Refusal) -> Verdict {
    let retryable = refusal.retry() != Retry::Never;
    let error = StepError::Refused(refusal);
    Verdict::Task(TaskResult::Failed { error, retryable, after: None })
}

/// What a landing means when the task was to be undone.
fn undone(landed: Landed) -> Landed {
    let result = match landed.result {
        Verdict::Task(TaskResult::Succeeded(_) | TaskResult::Replayed(_) | TaskResult::Spoilt(_)) => {
            Verdict::Undo(UndoResult::Done)
        }
        Verdict::Task(TaskResult::Failed { error, retryable, .. }) => {
            Verdict::Undo(UndoResult::Failed { error, retryable })
        }
        Verdict::Task(TaskResult::Unknown(error)) => Verdict::Undo(UndoResult::Unknown(error)),
        other => other,
    };
    Landed { result, ..landed }
}

/// What rules and budgets do not let through now, they may let through later; and an undo has to succeed one day.
fn undo_error(error: GateError) -> Verdict {
    match task_error(error) {
        Verdict::Task(TaskResult::Failed { error, .. }) => {
            let retryable = !matches!(error, StepError::IdUsed { .. });
            Verdict::Undo(UndoResult::Failed { error, retryable })
        }
        Verdict::Task(TaskResult::Asked { reason, .. }) => {
            Verdict::Undo(UndoResult::Failed { error: StepError::Escalated { reason }, retryable: true })
        }
        Verdict::Task(TaskResult::Unknown(error)) => Verdict::Undo(UndoResult::Unknown(error)),
        Verdict::Task(_) => Verdict::Undo(UndoResult::Done),
        other => other,
    }
}
