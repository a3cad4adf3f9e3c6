//! The loop of a worker.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Endings;
use super::index::{Index, News, Next};
use super::lease::{self, Leases, OwnLease};
use super::options::WorkerOptions;
use super::retention::Retention;
use crate::clock::Timestamp;
use crate::event::{PageSize, Position, ReadError, RecordedEvent, Version};
use crate::failure_text::panic_text;
use crate::fault::{Reaction, Retry};
use crate::id::{LimitKey, RunId, WorkerName};
use crate::shutdown::Shutdown;
#[cfg(feature = "schedule")]
use crate::workflow::calendar::{Calendar, OpenRuns};
use crate::workflow::drive::{Drive, Stop};
use crate::workflow::error::WorkflowError;
use crate::workflow::library;
use crate::workflow::limits::{self, LimitBook};
use crate::workflow::load;
use crate::workflow::parts::Parts;
use crate::workflow::run::Claim;

/// The wait before a run that could not be recorded is looked at again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));
/// What stands before the id of a schedule in the name of its stream.
const SCHEDULES: &str = "workflow-schedule/";
/// The wait before a store that is away is asked again.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many events are followed before the other duties are looked at.
const EVENTS_AT_ONCE: usize = 256;

/// Whether a run may be taken that this claim is on: it is ours, or that of whoever is known to be gone.
fn may_take(found: Option<&Claim>, gone: Option<&Claim>, ours: &Claim) -> bool {
    found.is_none_or(|found| Some(found) == gone || found == ours)
}

/// The runs that are open, as far as the log was followed.
#[cfg(feature = "schedule")]
struct Followed<'a> {
    index: &'a Index,
    to: Position,
}

#[cfg(feature = "schedule")]
impl OpenRuns for Followed<'_> {
    fn followed(&self) -> Position {
        self.to
    }

    fn is_open(&self, run: &RunId) -> bool {
        self.index.entry(run).is_some()
    }
}

/// What became of a run that was performed here.
struct Report {
    run: RunId,
    stop: Stop,
    version: Version,
    claim: Option<Claim>,
    /// The limits under which it waits for room, and how often places had been given back when there was none.
    limits: Vec<(LimitKey, u64)>,
}

/// A worker at work.
pub(in crate::workflow) struct Worker {
    parts: Arc<Parts>,
    endings: Arc<Endings>,
    options: WorkerOptions,
    lease: OwnLease,
    leases: Leases,
    index: Index,
    limits: Arc<LimitBook>,
    #[cfg(feature = "schedule")]
    calendar: Calendar,
    read: Position,
    /// Until when the store is left alone, because it was away.
    away: Option<Timestamp>,
    /// When all runs are looked at again, however much else happens.
    look_at: Timestamp,
    /// Whether what is followed happens now: then what is due is put in line at once. Of history only the end counts.
    live: bool,
    active: usize,
    /// Whether something happened to a schedule, or a run has ended, since the schedules were looked at.
    #[cfg(feature = "schedule")]
    look_at_schedules: bool,
    failures: HashMap<RunId, u32>,
    retention: Retention,
    reports: (mpsc::UnboundedSender<Report>, mpsc::UnboundedReceiver<Report>),
    drives: JoinSet<()>,
}

impl Worker {
    /// Begins a new life of the worker, and reads what is open.
    pub(in crate::workflow) async fn begin(
        parts: Arc<Parts>,
        endings: Arc<Endings>,
        name: &WorkerName,
        options: WorkerOptions,
    ) -> Result<Self, WorkflowError> {
        let lease = OwnLease::begin(&*parts.store, name, parts.clock.now(), options.lease).await?;
        let look_at = parts.clock.now() + options.lease;
        let mut worker = Self {
            parts,
            endings,
            options,
            lease,
            leases: Leases::default(),
            index: Index::default(),
            limits: Arc::default(),
            #[cfg(feature = "schedule")]
            calendar: Calendar::default(),
            read: Position::START,
            away: None,
            look_at,
            live: false,
            active: 0,
            #[cfg(feature = "schedule")]
            look_at_schedules: false,
            failures: HashMap::new(),
            retention: Retention::new(options.retention),
            reports: mpsc::unbounded_channel(),
            drives: JoinSet::new(),
        };
        worker.read_up().await?;
        Ok(worker)
    }

    /// Reads the log to its head.
    async fn read_up(&mut self) -> Result<(), WorkflowError> {
        loop {
            let page = self.parts.store.read_all(self.read, PageSize::new(PageSize::MAX)).await?;
            let Some(last) = page.last() else { break };
            self.read = last.position;
            for event in &page {
                self.follow(event);
            }
        }
        self.live = true;
        self.look_at_all();
        Ok(())
    }

    /// Performs runs until `shutdown`; then lets those under way come to a point where nothing is with an executor,
    /// for at most one lease, and drops the rest, which is what a crash does.
    pub(in crate::workflow) async fn serve(mut self, mut shutdown: Shutdown) -> Result<(), WorkflowError> {
        let store = self.parts.store.clone();
        let clock = self.parts.clock.clone();
        let mut log = store.subscribe(self.read).await?;
        while !shutdown.is_requested() {
            if self.away.is_none() {
                self.dispatch().await?;
                #[cfg(feature = "schedule")]
                if std::mem::take(&mut self.look_at_schedules) {
                    self.start_recurring().await;
                }
            }
            let timers = [self.index.next_timer(), self.next_occurrence(), self.retention.next()];
            let timer = timers.into_iter().flatten().min();
            // Who performs nothing needs no lease, and writes nothing.
            let renewal = (self.active > 0).then(|| self.lease.renew_at());
            let next = match self.away {
                Some(until) => until,
                None => {
                    let next = [timer, renewal, Some(self.look_at)];
                    next.into_iter().flatten().min().unwrap_or_else(|| clock.now())
                }
            };
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                // Before the log, which may never be silent.
                () = clock.sleep_until(next) => self.tick().await?,
                Some(report) = self.reports.1.recv() => {
                    self.report(report);
                    while let Ok(report) = self.reports.1.try_recv() {
                        self.report(report);
                    }
                }
                looked = self.retention.looked() => {
                    let is_open = |run: &RunId| self.index.entry(run).is_some();
                    self.retention.settle(looked, is_open, clock.now());
                }
                event = log.next(), if self.away.is_none() => {
                    let event = match event.map_err(WorkflowError::from) {
                        Ok(Some(event)) => event,
                        Ok(None) => return Err(ReadError::Closed.into()),
                        Err(error) => {
                            self.wait_for_store(error)?;
                            continue;
                        }
                    };
                    self.follow(&event);
                    for _ in 0..EVENTS_AT_ONCE {
                        let Some(Ok(Some(event))) = log.next().now_or_never() else { break };
                        self.follow(&event);
                    }
                }
            }
        }
        self.wind_down().await
    }

    /// Leaves the store alone for a while, if that can help.
    fn wait_for_store(&mut self, error: WorkflowError) -> Result<(), WorkflowError> {
        if error.retry() == Retry::Never {
            return Err(error);
        }
        tracing::warn!(error = &error as &dyn std::error::Error, "the store is away");
        self.away = Some(self.parts.clock.now() + PATIENCE);
        Ok(())
    }

    /// What is to be done now and then.
    async fn tick(&mut self) -> Result<(), WorkflowError> {
        let now = self.parts.clock.now();
        self.away = None;
        for run in self.index.rung(now) {
            self.consider(&run);
        }
        #[cfg(feature = "schedule")]
        self.start_recurring().await;
        self.retention.begin(&self.parts, now);
        let renews = self.active > 0 && now >= self.lease.renew_at();
        if renews {
            self.renew().await?;
        }
        let looks = now >= self.look_at;
        if looks {
            self.look_at = now + self.options.lease;
        }
        if renews || looks {
            // Whoever died meanwhile left runs behind; and nobody may wait for a limit that has room.
            self.look_at_all();
            for run in self.index.waiters(|key| self.limits.is_stale(key)) {
                self.consider(&run);
            }
        }
        Ok(())
    }

    #[cfg(feature = "schedule")]
    fn next_occurrence(&self) -> Option<Timestamp> {
        self.calendar.next_timer()
    }

    #[cfg(not(feature = "schedule"))]
    #[expect(clippy::unused_self, reason = "the same call with and without schedules")]
    const fn next_occurrence(&self) -> Option<Timestamp> {
        None
    }

    /// Starts what recurs.
    #[cfg(feature = "schedule")]
    async fn start_recurring(&mut self) {
        let open = Followed { index: &self.index, to: self.read };
        for schedule in self.calendar.due(self.parts.clock.now(), &open) {
            if let Err(error) = self.calendar.consider(&self.parts, &schedule, &open).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%schedule, error, "a schedule could not be considered");
                self.calendar.postpone(&schedule, self.parts.clock.now() + BACKOFF.1);
            }
        }
    }

    async fn renew(&mut self) -> Result<(), WorkflowError> {
        let now = self.parts.clock.now();
        match self.lease.renew(&*self.parts.store, now).await {
            Ok(()) => Ok(()),
            Err(error) => self.wait_for_store(error),
        }
    }

    /// Puts every run in line that has something to do and is nobody's.
    fn look_at_all(&mut self) {
        let due = self.index.runs().filter(|(_, entry)| entry.is_due());
        let mut due: Vec<RunId> = due.map(|(run, _)| run.clone()).collect();
        due.sort_unstable();
        for run in due {
            self.consider(&run);
        }
    }

    /// Puts a run in line, unless another worker has it.
    fn consider(&mut self, run: &RunId) {
        let Some(entry) = self.index.entry(run) else { return };
        if entry.claim.as_ref().is_some_and(|claim| self.is_held(claim)) {
            // Whatever woke it is not forgotten, should that worker die before it has seen to it.
            return self.index.due(run);
        }
        self.index.queue(run);
    }

    /// Whether another worker has the runs of this claim, and is alive.
    fn is_held(&self, claim: &Claim) -> bool {
        let now = self.parts.clock.now();
        *claim != self.lease.claim() && self.leases.holds(claim, now, self.options.skew)
    }

    fn follow(&mut self, event: &RecordedEvent) {
        self.read = event.position;
        let stream = event.stream.as_str();
        let followed = if stream.starts_with(limits::PREFIX) {
            self.limits.follow(event).map(|freed| {
                for run in freed.map(|key| self.index.freed(&key)).unwrap_or_default() {
                    self.consider(&run);
                }
            })
        } else if stream.starts_with(lease::PREFIX) {
            self.leases.follow(event)
        } else if cfg!(feature = "schedule") && stream.starts_with(SCHEDULES) {
            self.follow_schedule(event)
        } else if stream.starts_with("workflow") {
            self.follow_run(event)
        } else {
            Ok(())
        };
        if let Err(error) = followed {
            tracing::error!(position = %event.position, error = &error as &dyn std::error::Error, "passed over an event");
        }
    }

    #[cfg(feature = "schedule")]
    fn follow_schedule(&mut self, event: &RecordedEvent) -> Result<(), WorkflowError> {
        // Whether its run has ended may be known only now.
        self.look_at_schedules = true;
        self.calendar.follow(event)
    }

    #[cfg(not(feature = "schedule"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the same call with and without schedules"
    )]
    const fn follow_schedule(&self, _: &RecordedEvent) -> Result<(), WorkflowError> {
        Ok(())
    }

    fn follow_run(&mut self, event: &RecordedEvent) -> Result<(), WorkflowError> {
        match self.index.follow(event)? {
            News::None => {
                if let Some(compiled) = library::read(event)? {
                    self.parts.library.learn(compiled);
                }
            }
            news => self.heed(news),
        }
        Ok(())
    }

    fn heed(&mut self, news: News) {
        match news {
            News::Due(run) if self.live => self.consider(&run),
            News::Due(_) | News::None => {}
            News::Ended(run, at) => self.has_ended(&run, at),
            News::PlanEnded(run) => self.endings.tell(&run),
        }
    }

    fn has_ended(&mut self, run: &RunId, at: Timestamp) {
        self.endings.tell(run);
        self.retention.ended(run.clone(), at);
        #[cfg(feature = "schedule")]
        {
            self.look_at_schedules = true;
        }
    }

    /// Has the runs in line performed, as many as may be under way.
    async fn dispatch(&mut self) -> Result<(), WorkflowError> {
        if !self.index.has_ready() || self.active >= self.options.runs_at_once {
            return Ok(());
        }
        let now = self.parts.clock.now();
        if now >= self.lease.renew_at() {
            // It may have lapsed while there was nothing to do.
            self.renew().await?;
            if self.away.is_some() {
                return Ok(());
            }
        }
        let (own, skew) = (self.lease.claim(), self.options.skew);
        while self.active < self.options.runs_at_once {
            let leases = &self.leases;
            let held = |claim: &Claim| *claim != own && leases.holds(claim, now, skew);
            let Some(Next { run, snapshot, claim: before, nudge }) = self.index.next(held) else { break };
            self.active += 1;
            let (parts, reports) = (self.parts.clone(), self.reports.0.clone());
            let (claim, standing) = (self.lease.claim(), self.lease.standing.clone());
            let limits = self.limits.clone();
            let span = tracing::info_span!("workflow.run", run = %run);
            let seen = before.as_ref().map_or(Version::EMPTY, |before| self.leases.version(&before.worker));
            let performed = async move {
                let mut report = Report {
                    run: run.clone(),
                    stop: Stop::Lost,
                    version: Version::EMPTY,
                    claim: None,
                    limits: Vec::new(),
                };
                let gone = match before.as_deref().filter(|before| **before != claim) {
                    Some(before) => lease::end(&*parts.store, before, seen, now, skew).await,
                    None => Ok(true),
                };
                let loaded = match gone {
                    Ok(true) => load::load(&*parts.store, &parts.library, &run, snapshot).await,
                    Ok(false) => {
                        let _ = reports.send(report);
                        return;
                    }
                    Err(error) => Err(error),
                };
                let drive = match loaded {
                    // Another worker was faster.
                    Ok(Some(loaded)) if !may_take(loaded.claim(), before.as_deref(), &claim) => {
                        let _ = reports.send(report);
                        return;
                    }
                    Ok(Some(loaded)) => Drive::new(parts, loaded, claim, standing, limits, nudge),
                    Ok(None) => Err(WorkflowError::UnknownRun { run: run.clone() }),
                    Err(error) => Err(error),
                };
                match drive {
                    Ok(mut drive) => {
                        let driven = AssertUnwindSafe(drive.drive()).catch_unwind().await;
                        report.stop = driven.unwrap_or_else(|panic| {
                            tracing::error!(panic = %panic_text(&*panic), "performing the run panicked");
                            Stop::Lost
                        });
                        report.version = drive.run().version();
                        report.claim = drive.run().claim().cloned();
                        report.limits = drive.waits_for();
                    }
                    // It had ended, and nothing is left of it that could go on.
                    Err(WorkflowError::Archived { .. }) => report.stop = Stop::Ended,
                    Err(error) => report.stop = Stop::Failed(error),
                }
                // The worker may be gone; the run is as a crash would leave it.
                let _ = reports.send(report);
            };
            // Boxed, because it is large, and moved several times before it is first polled.
            self.drives.spawn(tracing::Instrument::instrument(Box::pin(performed), span));
        }
        Ok(())
    }

    fn report(&mut self, report: Report) {
        self.active -= 1;
        while let Some(ended) = self.drives.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a run could not be performed");
            }
        }
        let Report { run, stop, version, claim, limits } = report;
        if !matches!(stop, Stop::Failed(_)) {
            self.failures.remove(&run);
        }
        let now = self.parts.clock.now();
        match stop {
            Stop::Ended => {
                let news = self.index.ended(&run, version, now);
                self.heed(news);
            }
            Stop::Parked { until } => {
                // A place that was given back before the run was known to wait wakes nobody.
                let freed = limits.iter().any(|(key, since)| self.limits.freed(key) > *since);
                let limits = limits.into_iter().map(|(key, _)| key).collect();
                let news = self.index.parked(&run, version, claim, until, limits);
                self.heed(news);
                if freed {
                    self.consider(&run);
                }
            }
            Stop::Lost => {
                let news = self.index.released(&run, now + self.options.lease);
                self.heed(news);
            }
            Stop::Failed(error) => {
                let failures = self.failures.entry(run.clone()).or_default();
                *failures = failures.saturating_add(1);
                let wait = BACKOFF.0.saturating_mul(1 << (*failures).min(10)).min(BACKOFF.1);
                tracing::warn!(%run, error = &error as &dyn std::error::Error, "the run could not go on");
                let news = self.index.released(&run, now + wait);
                self.heed(news);
            }
        }
    }

    async fn wind_down(mut self) -> Result<(), WorkflowError> {
        let clock = self.parts.clock.clone();
        let until = clock.now() + self.options.lease;
        while self.active > 0 {
            tokio::select! {
                Some(report) = self.reports.1.recv() => self.report(report),
                () = clock.sleep_until(until) => break,
            }
        }
        self.drives.shutdown().await;
        let now = self.parts.clock.now();
        self.lease.end(&*self.parts.store, now).await
    }
}
