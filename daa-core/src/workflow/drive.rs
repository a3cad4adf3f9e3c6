//! Performs one run: makes what it decides durable, hands its tasks to their executors, and brings back what became
//! of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::definition::Compiled;
use super::error::WorkflowError;
use super::flight::{Flight, How, Landed, Verdict, launch, launch_undo, refused};
use super::leased::Leased;
use super::limits::{LimitBook, LimitEvent, Taken};
use super::load;
use super::parts::Parts;
use super::run::{
    ChildResult, Claim, Effect, Limits, Recorder, Room, Run, RunEvent, RunOutcome, RunStarted, StepError,
    Task, TaskResult, stream_of,
};
use crate::action::{Action, Context, Endorsement, GateError, MAX_PARAMS, Opening};
use crate::clock::Timestamp;
use crate::event::{AppendError, ExpectedVersion, NewEvent, StreamWrite, Version};
use crate::id::{ActionId, ActionKind, LimitKey, RunId, StreamId};

/// How often an append is tried again when others were faster.
const MAX_CONFLICTS: u32 = 64;
/// How many tasks begin, and how many come to their end, in one append; fewer where they do not fit.
const AT_ONCE: usize = 256;
/// How often progress is kept.
const PROGRESS: Duration = Duration::from_secs(1);

/// Until when a worker may begin something: the end of its lease.
#[derive(Clone, Debug)]
pub(super) struct Standing(Arc<AtomicU64>);

impl Standing {
    /// One that never ends.
    pub(super) fn forever() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    pub(super) fn until(moment: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(moment.as_millis())))
    }

    pub(super) fn extend(&self, moment: Timestamp) {
        self.0.store(moment.as_millis(), Ordering::Release);
    }

    pub(super) fn holds(&self, now: Timestamp) -> bool {
        now.as_millis() < self.0.load(Ordering::Acquire)
    }
}

/// Why a run is no longer performed here.
#[derive(Debug)]
pub(super) enum Stop {
    /// It has come to its end.
    Ended,
    /// It rests until this moment, or until something happens to it.
    Parked { until: Option<Timestamp> },
    /// Another worker performs it, or this one may not go on.
    Lost,
    /// It cannot be recorded; somebody tries again later.
    Failed(WorkflowError),
}

impl<E: Into<WorkflowError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// One run on its way.
pub(super) struct Drive {
    parts: Arc<Parts>,
    run: Run,
    stream: StreamId,
    /// The version up to which the run is durable.
    durable: Version,
    /// The version of its last durable snapshot.
    snapshot: Version,
    /// The start of the run, as long as that is not durable.
    start: Option<NewEvent>,
    claim: Claim,
    /// Who had the run when it was read first, or has it since then with us: anybody else has taken it over.
    held_by: Option<Claim>,
    standing: Standing,
    limits: Arc<LimitBook>,
    nudged: Arc<Notify>,
    flights: FuturesUnordered<BoxFuture<'static, Landed>>,
    beats: Vec<(Task, watch::Receiver<Option<Value>>)>,
    landed: Vec<Landed>,
    /// How many tasks fit into one append.
    at_once: usize,
    /// Whether more can begin at once.
    more: bool,
    /// What an earlier performer left with an executor.
    left: Vec<Effect>,
    /// Tasks whose action exists already, though they have just begun.
    known: BTreeSet<Task>,
    /// Runs that cannot be started, and why.
    unstartable: BTreeMap<RunId, String>,
    /// How often places had been given back when there was no room.
    full: BTreeMap<LimitKey, u64>,
}

/// How an append went.
enum Committed {
    Done,
    /// Somebody else was faster: decide again.
    Again,
}

impl Drive {
    pub(super) fn new(
        parts: Arc<Parts>,
        run: Run,
        claim: Claim,
        standing: Standing,
        limits: Arc<LimitBook>,
        nudged: Arc<Notify>,
    ) -> Result<Self, WorkflowError> {
        let stream = load::stream(run.id())?;
        Ok(Self {
            durable: run.version(),
            snapshot: run.snapshot_version(),
            start: None,
            held_by: run.claim().cloned(),
            left: run.under_way(),
            parts,
            run,
            stream,
            claim,
            standing,
            limits,
            nudged,
            flights: FuturesUnordered::new(),
            beats: Vec::new(),
            landed: Vec::new(),
            at_once: AT_ONCE,
            more: false,
            known: BTreeSet::new(),
            unstartable: BTreeMap::new(),
            full: BTreeMap::new(),
        })
    }

    /// A run that nobody has started: its start becomes durable with its first step.
    pub(super) fn start(
        parts: Arc<Parts>,
        (started, definition): (RunStarted, Arc<Compiled>),
        claim: Claim,
        standing: Standing,
        limits: Arc<LimitBook>,
        nudged: Arc<Notify>,
    ) -> Result<Self, WorkflowError> {
        let now = parts.clock.now();
        let start = RunEvent::Started(Box::new(started.clone())).to_new(now)?;
        let run = Run::new(started, definition, now);
        let drive = Self::new(parts, run, claim, standing, limits, nudged)?;
        Ok(Self { durable: Version::EMPTY, start: Some(start), ..drive })
    }

    pub(super) const fn run(&self) -> &Run {
        &self.run
    }

    /// The limits under which the run waits for room, and how often places had been given back when it found none.
    pub(super) fn waits_for(&self) -> Vec<(LimitKey, u64)> {
        let since = |key: LimitKey| {
            let freed = self.full.get(&key).copied().unwrap_or_default();
            (key, freed)
        };
        self.run.limits_waited_for().into_iter().map(since).collect()
    }

    /// Performs the run until it ends, rests, or is lost. Dropped at any point, it leaves what a crash leaves.
    pub(super) async fn drive(&mut self) -> Stop {
        loop {
            if let Err(stop) = self.commit().await {
                return stop;
            }
            if !self.landed.is_empty() || self.more {
                continue;
            }
            if self.flights.is_empty() {
                return if self.run.outcome().is_some() {
                    Stop::Ended
                } else {
                    Stop::Parked { until: self.run.wake() }
                };
            }
            if let Err(stop) = self.wait().await {
                return stop;
            }
        }
    }

    /// Waits until there is something to decide.
    async fn wait(&mut self) -> Result<(), Stop> {
        let reports = self.beats.iter().any(|(task, _)| self.run.heartbeat(task).is_some());
        let wake = self.run.wake();
        let tick = reports.then(|| self.parts.clock.now() + PROGRESS);
        let wake = [wake, tick].into_iter().flatten().min();
        let clock = self.parts.clock.clone();
        let moment = async {
            match wake {
                Some(wake) => clock.sleep_until(wake).await,
                None => std::future::pending().await,
            }
        };
        let nudged = self.nudged.clone();
        let (nudge, moment) = (std::pin::pin!(nudged.notified()), std::pin::pin!(moment));
        let other = select(nudge, moment);
        let event = match select(self.flights.next(), other).await {
            Either::Left((landed, _)) => Some(landed),
            Either::Right((Either::Left(_), _)) => None,
            Either::Right((Either::Right(_), _)) => {
                return Ok(());
            }
        };
        match event {
            Some(landed) => {
                self.landed.extend(landed);
                // What landed at the same time becomes durable in the same append.
                while let Some(Some(landed)) = self.flights.next().now_or_never() {
                    self.landed.push(landed);
                }
                for landed in &self.landed {
                    self.beats.retain(|(task, _)| *task != landed.task);
                }
                Ok(())
            }
            None => self.catch_up().await,
        }
    }

    async fn catch_up(&mut self) -> Result<(), Stop> {
        let parts = &self.parts;
        load::catch_up(&*parts.store, &parts.library, &mut self.run).await?;
        self.durable = self.run.version();
        self.check_claim()
    }

    /// Reads the run again, after somebody else wrote to it.
    async fn reload(&mut self) -> Result<(), Stop> {
        self.parts.counters.conflicts.one();
        let parts = &self.parts;
        let run = load::load(&*parts.store, &parts.library, self.run.id(), self.snapshot).await?;
        self.run = run.ok_or_else(|| WorkflowError::UnknownRun { run: self.run.id().clone() })?;
        self.durable = self.run.version();
        self.start = None;
        self.check_claim()
    }

    /// Stops where another worker has taken the run over, or was faster to take it.
    fn check_claim(&mut self) -> Result<(), Stop> {
        let ours = self.run.claim() == Some(&self.claim);
        if !ours && self.run.claim() != self.held_by.as_ref() {
            if self.held_by.as_ref() == Some(&self.claim) {
                self.parts.counters.fenced.one();
                tracing::warn!(run = %self.run.id(), by = ?self.run.claim(), "another worker has taken the run over");
            }
            return Err(Stop::Lost);
        }
        if !ours {
            // Whoever had it went on for a while.
            self.left = self.run.under_way();
        }
        self.held_by = self.run.claim().cloned();
        Ok(())
    }

    /// Decides, and makes it durable.
    async fn commit(&mut self) -> Result<(), Stop> {
        for _ in 0..MAX_CONFLICTS {
            let mut taken = Vec::new();
            let result = match self.decide(&mut taken).await {
                Ok(out) => self.append(&out, &taken).await,
                Err(stop) => Err(stop),
            };
            match result {
                Ok(Committed::Done) => return Ok(()),
                Ok(Committed::Again) => {
                    taken.iter().for_each(|taken| self.limits.withdraw(taken));
                }
                Err(stop) => {
                    taken.iter().for_each(|taken| self.limits.withdraw(taken));
                    return Err(stop);
                }
            }
        }
        Err(WorkflowError::Contended { tries: MAX_CONFLICTS }.into())
    }

    /// What the run does next, in view of what landed.
    async fn decide(&mut self, taken: &mut Vec<Taken>) -> Result<Recorder, Stop> {
        let now = self.parts.clock.now();
        let mut out = Recorder::new(self.at_once);
        out.events.extend(self.start.clone());
        for at in 0..self.landed.len().min(self.at_once) {
            self.take(at, now, &mut out)?;
        }
        self.report(now, &mut out);
        loop {
            let (book, full) = (&self.limits, &mut self.full);
            let mut limits = Taking { book, taken, full, unread: Vec::new() };
            self.run.advance(now, &mut limits, &mut out);
            let unread = limits.unread;
            // What has just begun may be what cannot be started.
            let failed = self.fail_unstartable(now, &mut out);
            if unread.is_empty() && !failed {
                break;
            }
            for key in unread {
                self.limits.read(&*self.parts.store, &key).await?;
            }
        }
        let resumed = !self.left.is_empty();
        if self.run.claim() != Some(&self.claim) && (!out.events.is_empty() || resumed) {
            self.run.record(RunEvent::Claimed(self.claim.clone()), now, &mut out);
        }
        let performs = |effect: &Effect| matches!(effect, Effect::Perform(_) | Effect::Undo(_));
        let goes_on = out.more || self.landed.len() > self.at_once;
        let rests = !goes_on && self.flights.is_empty() && !resumed && !out.effects.iter().any(performs);
        if rests && self.run.outcome().is_none() && !out.events.is_empty() {
            let (until, on) = (self.run.wake(), self.run.limits_waited_for());
            self.run.record(RunEvent::Parked { until, on }, now, &mut out);
        }
        self.run.snapshot_if_due(now, &mut out);
        match out.failed.take() {
            Some(error) => Err(error.into()),
            None => Ok(out),
        }
    }

    fn take(&mut self, at: usize, now: Timestamp, out: &mut Recorder) -> Result<(), Stop> {
        let Some(landed) = self.landed.get_mut(at) else { return Ok(()) };
        let task = landed.task.clone();
        match &mut landed.result {
            Verdict::Lost(error) => {
                let gone = WorkflowError::Contended { tries: 0 };
                return Err(std::mem::replace(error, gone).into());
            }
            Verdict::Fenced => {
                self.parts.counters.fenced.one();
                return Err(Stop::Lost);
            }
            Verdict::Task(result) => {
                let result = result.clone();
                let keep = !matches!(result, TaskResult::Succeeded(_) | TaskResult::Replayed(_));
                if let Some(details) = landed.progress.clone().filter(|_| keep) {
                    self.run.record(RunEvent::Progressed { task: task.clone(), details }, now, out);
                }
                self.run.ended(&task, result, now, out);
            }
            Verdict::Undo(result) => {
                let result = result.clone();
                self.run.undo_ended(&task, result, now, out);
            }
        }
        Ok(())
    }

    /// Keeps what the executors on their way reported since it was kept last.
    fn report(&mut self, now: Timestamp, out: &mut Recorder) {
        let mut news = Vec::new();
        for (task, beats) in &mut self.beats {
            if beats.has_changed().unwrap_or(false)
                && let Some(details) = beats.borrow_and_update().clone()
                && self.run.heartbeat(task).is_some()
            {
                news.push((task.clone(), details));
            }
        }
        for (task, details) in news {
            self.run.record(RunEvent::Progressed { task, details }, now, out);
        }
    }

    /// Fails the tasks that wait for a run that cannot be started; answers whether there were any.
    fn fail_unstartable(&mut self, now: Timestamp, out: &mut Recorder) -> bool {
        if self.unstartable.is_empty() {
            return false;
        }
        let mut failed = false;
        for (task, run) in self.run.waiting_for_runs() {
            let Some(error) = self.unstartable.get(&run).cloned() else { continue };
            let ended = RunEvent::ChildEnded { task, result: ChildResult::Failed(error) };
            self.run.record(ended, now, out);
            let of_it = |effect: &Effect| match effect {
                Effect::Start { run: other, .. } | Effect::Cancel(other) => *other == run,
                _ => false,
            };
            out.effects.retain(|effect| !of_it(effect));
            failed = true;
        }
        failed
    }

    async fn append(&mut self, out: &Recorder, taken: &[Taken]) -> Result<Committed, Stop> {
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
            if let Some((at, error)) = failed_ending {
                return self.ended_by_another(at, error).await;
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
                                    starts.decided.push(super::flight::withheld(task, error, &action));
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
                Verdict::Undo(_) => Verdict::Undo(super::run::UndoResult::Failed {
                    error: StepError::Uncertain(text),
                    retryable: true,
                }),
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

    fn leased(&self) -> Leased {
        Leased::new(&self.parts, self.standing.clone())
    }

    fn begin(&mut self, flight: Flight) {
        self.parts.counters.steps_begun.one();
        self.flights.push(flight.future);
        self.beats.push((flight.task, flight.beats));
    }

    /// How a task that has just begun is performed.
    fn how(&self, task: &Task) -> Result<Ready, StepError> {
        let first = self.run.is_first_try(task) && !self.known.contains(task);
        if !first || self.run.is_rolling_back() {
            return self.pursue(task);
        }
        match self.run.action(task) {
            Some(action) => Ok(Ready::Ask(action?, self.run.context(task))),
            None => self.pursue(task),
        }
    }

    /// How a task is performed whose action may have been asked for before.
    fn pursue(&self, task: &Task) -> Result<Ready, StepError> {
        if let Some(action) = self.run.action(task) {
            let (action, context) = (action?, self.run.context(task));
            return Ok(Ready::Go(if self.run.is_rolling_back() {
                How::Settle { action, context }
            } else {
                let endorsement = self.run.approval(task).map(|approval| {
                    Endorsement::new(
                        approval.by.clone(),
                        approval.subject,
                        approval.ruleset,
                        approval.at,
                        approval.expires,
                    )
                });
                How::Pursue { action, context, endorsement }
            }));
        }
        // A request for approval: asked under the rules that are in force now.
        let Some((subject, digest)) = self.run.subject(task) else {
            return Err(StepError::Mismatch("the step is no action".to_owned()));
        };
        let action = approval_action(&self.run, task, &subject)?;
        let verdict = self.parts.gate.verdict(&action, &self.run.context(task));
        let reason = match &subject {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let reason = crate::failure_text::shortened(reason);
        Ok(Ready::Decided(TaskResult::Asked { subject: digest, ruleset: verdict.ruleset, reason }))
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

/// How a task is performed.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made, and never kept")]
enum Ready {
    /// The gate is asked in the append.
    Ask(Action, Context),
    Go(How),
    /// It is clear already.
    Decided(TaskResult),
}

fn bare(task: &Task, result: Verdict) -> Landed {
    Landed { task: task.clone(), ending: None, result, progress: None, guard: None }
}

fn no(task: &Task, error: StepError) -> Landed {
    bare(task, Verdict::Task(TaskResult::Failed { error, retryable: false, after: None }))
}

fn child_of(stream: &StreamId, out: &Recorder) -> Option<RunId> {
    out.effects.iter().find_map(|effect| match effect {
        Effect::Start { run, .. } if stream_of(run).ok().as_ref() == Some(stream) => Some(run.clone()),
        _ => None,
    })
}

fn count(counters: &super::metrics::Counters, landed: &[Landed]) {
    for landed in landed {
        match &landed.result {
            Verdict::Task(TaskResult::Succeeded(_) | TaskResult::Replayed(_)) => {
                counters.steps_succeeded.one()
            }
            Verdict::Task(TaskResult::Failed { .. } | TaskResult::Spoilt(_)) => counters.steps_failed.one(),
            Verdict::Task(TaskResult::Unknown(_)) => counters.steps_unknown.one(),
            Verdict::Undo(super::run::UndoResult::Done) => counters.steps_undone.one(),
            _ => {}
        }
    }
}

/// The action that stands for an answer to a request for approval, in the eyes of the rules.
pub(super) fn approval_action(run: &Run, task: &Task, subject: &Value) -> Result<Action, StepError> {
    let out_of_bounds = |error: crate::action::ActionError| StepError::OutOfBounds(error.to_string());
    let id = format!("{}/{task}/approval", run.id());
    let id = ActionId::new(&id).map_err(|error| StepError::OutOfBounds(error.to_string()))?;
    Action::new(id, approve_kind(), run.started().actor.clone())
        .and_then(|action| {
            action.with_params(serde_json::json!({
                "run": run.id().as_str(),
                "workflow": run.started().workflow.as_str(),
                "step": task.to_string(),
                "subject": subject,
            }))
        })
        .map_err(out_of_bounds)
}

/// The kind of action that an approval is for the rules.
#[expect(clippy::expect_used, reason = "a constant of the id alphabet")]
fn approve_kind() -> ActionKind {
    ActionKind::new("workflow.approve").expect("a constant kind is an id")
}

/// Takes places under limits, and remembers which, should the append fail.
struct Taking<'a> {
    book: &'a LimitBook,
    taken: &'a mut Vec<Taken>,
    full: &'a mut BTreeMap<LimitKey, u64>,
    unread: Vec<LimitKey>,
}

impl Limits for Taking<'_> {
    fn acquire(
        &mut self,
        key: &LimitKey,
        limit: &super::definition::Limit,
        holder: &str,
        now: Timestamp,
    ) -> Room {
        let freed = self.book.freed(key);
        let room = self.book.acquire(key, limit, holder, now, self.taken).unwrap_or_else(|| {
            self.unread.push(key.clone());
            Room::Full { until: None }
        });
        if room != Room::Granted {
            self.full.insert(key.clone(), freed);
        }
        room
    }
}
