//! Performs one run: makes what it decides durable, hands its tasks to their executors, and brings back what became
//! of them.

mod append;
mod launch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;

use super::definition::{Compiled, Limit};
use super::error::WorkflowError;
use super::flight::{Landed, Verdict};
use super::limits::{LimitBook, Taken, Takes};
use super::load;
use super::parts::Parts;
use super::run::{
    ChildResult, Claim, Effect, Limits, Recorder, Room, Run, RunEvent, RunStarted, Task, TaskResult,
};
use crate::action::{Beats, Seen};
use crate::clock::Timestamp;
use crate::event::{NewEvent, Version};
use crate::id::{LimitKey, RunId, StreamId};

pub(super) use launch::approval_action;

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
    beats: Vec<(Task, Beats, Seen)>,
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
        let reports = self.beats.iter().any(|(task, ..)| self.run.heartbeat(task).is_some());
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
                    self.beats.retain(|(task, ..)| *task != landed.task);
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
            let mut takes = Takes::new(self.limits.clone());
            let out = self.decide(&mut takes.taken).await?;
            match self.append(&out, &takes.taken).await? {
                Committed::Done => {
                    takes.keep();
                    return Ok(());
                }
                Committed::Again => {}
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
            let mut limits = Taking { book, taken, full, unread: BTreeSet::new() };
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
            // Who did it is told before what was done.
            if let Some(events) = out.events.get_mut(usize::from(self.start.is_some())..) {
                events.rotate_right(1);
            }
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
        let undo = matches!(landed.result, Verdict::Undo(_));
        let open = self.run.outcome().is_none();
        for &effect in landed.found.iter().filter(|_| open) {
            self.run.record(RunEvent::Reconciled { task: task.clone(), effect, undo }, now, out);
        }
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
        for (task, beats, seen) in &mut self.beats {
            if out.is_full() {
                return;
            }
            if let Some(details) = beats.news(seen)
                && self.run.heartbeat(task).is_some()
            {
                self.run.record(RunEvent::Progressed { task: task.clone(), details }, now, out);
            }
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
            let ended =
                RunEvent::ChildEnded { task, result: ChildResult::Failed(error), sources: BTreeSet::new() };
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
}

/// Takes places under limits, and remembers which, should the append fail.
struct Taking<'a> {
    book: &'a LimitBook,
    taken: &'a mut Vec<Taken>,
    full: &'a mut BTreeMap<LimitKey, u64>,
    unread: BTreeSet<LimitKey>,
}

impl Limits for Taking<'_> {
    fn acquire(&mut self, key: &LimitKey, limit: &Limit, holder: &str, now: Timestamp) -> Room {
        let freed = self.book.freed(key);
        let room = self.book.acquire(key, limit, holder, now, self.taken).unwrap_or_else(|| {
            self.unread.insert(key.clone());
            Room::Unread
        });
        if matches!(room, Room::Full { .. }) {
            self.full.insert(key.clone(), freed);
        }
        room
    }
}
