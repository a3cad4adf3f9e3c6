//! The runs that are open: a projection of the log, small enough to hold a hundred thousand.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use foldhash::HashMap;
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::event::{RecordedEvent, Version};
use crate::id::{LimitKey, RunId};
use crate::workflow::error::WorkflowError;
use crate::workflow::run::{Claim, RunEvent, STREAM_PREFIX};

/// The kind of the event after which a run goes on that had ended.
const REOPENED: &str = "workflow.roll_back_requested.v1";
/// How many runs that wait for a limit are woken when a place is given back. All are looked at now and then.
const WOKEN: usize = 8;

/// A run that is open.
#[derive(Debug)]
pub(super) struct Entry {
    /// The version up to which the run was followed.
    version: Version,
    /// The version of its latest snapshot.
    pub(super) snapshot: Version,
    rest: Rest,
    /// The limits under which it waits for room while it is parked.
    waits_for: Box<[LimitKey]>,
    priority: i16,
    pub(super) claim: Option<Arc<Claim>>,
    /// Set while it is performed here.
    driven: Option<Arc<Notify>>,
    queued: bool,
    /// The version of the last event that somebody else wrote while it was performed here.
    disturbed: Version,
    /// Where and when it came to its end while it was performed here.
    ended: Option<(Version, Timestamp)>,
    /// The version of the last event after which it went on though it had ended, while it was performed here.
    reopened: Version,
}

/// Whether a run has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Due,
    Parked(Option<Timestamp>),
}

/// The open runs of a store.
#[derive(Debug, Default)]
pub(super) struct Index {
    runs: HashMap<RunId, Entry>,
    timers: BTreeSet<(Timestamp, RunId)>,
    ready: BinaryHeap<(i16, Reverse<u64>, RunId)>,
    order: u64,
    waiters: HashMap<LimitKey, BTreeSet<(Reverse<i16>, RunId)>>,
    /// The latest plan of each agent, by what stands before the number of its cycle.
    plans: HashMap<String, Plan>,
    /// One of each, so that a claim costs an entry no more than a pointer.
    claims: HashMap<u64, Vec<Arc<Claim>>>,
}

/// A plan that its agent performs. As long as it is the agent's latest, the agent may ask what became of it.
#[derive(Debug)]
struct Plan {
    run: RunId,
    ended: Option<Timestamp>,
}

/// A run that is to be performed.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) run: RunId,
    /// The version of its latest snapshot.
    pub(super) snapshot: Version,
    /// Who had it last.
    pub(super) claim: Option<Arc<Claim>>,
    pub(super) nudge: Arc<Notify>,
}

/// What an event of a run, or a report of who performed it, means to the worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    /// There is something to do for the run.
    Due(RunId),
    Ended(RunId, Timestamp),
    /// The plan of an agent has ended, and the agent may still ask what became of it.
    PlanEnded(RunId),
}

impl Index {
    pub(super) fn entry(&self, run: &RunId) -> Option<&Entry> {
        self.runs.get(run)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = (&RunId, &Entry)> {
        self.runs.iter()
    }

    /// Follows an event of the log.
    pub(super) fn follow(&mut self, event: &RecordedEvent) -> Result<News, WorkflowError> {
        let Some(id) = event.stream.as_str().strip_prefix(STREAM_PREFIX) else { return Ok(News::None) };
        let kind = event.kind.as_str();
        if kind == "workflow.started.v1" {
            return self.started(event);
        }
        if kind == REOPENED && !self.runs.contains_key(id) {
            return self.reopened(id, event);
        }
        if kind == "workflow.ended.v1"
            && let Some(plan) = self.plans.get_mut(series(id)).filter(|plan| plan.run.as_str() == id)
        {
            plan.ended = Some(event.at);
            return Ok(News::PlanEnded(plan.run.clone()));
        }
        // Most events are those of the runs that are performed here, and say nothing new.
        let Some(entry) = self.runs.get(id) else { return Ok(News::None) };
        if event.version <= entry.version || (entry.is_driven() && is_own(kind)) {
            return Ok(News::None);
        }
        let Some((run, entry)) = self.runs.get_key_value(id) else { return Ok(News::None) };
        let run = run.clone();
        match kind {
            "workflow.ended.v1" if entry.driven.is_none() => {
                self.remove(&run);
                return Ok(News::Ended(run, event.at));
            }
            "workflow.claimed.v1" => {
                let claim = match RunEvent::read(event)? {
                    Some(RunEvent::Claimed(claim)) => Some(self.shared(claim)),
                    _ => None,
                };
                if let Some(entry) = self.runs.get_mut(&run) {
                    entry.claim = claim.or(entry.claim.take());
                }
            }
            _ => {}
        }
        let Some(entry) = self.runs.get_mut(&run) else { return Ok(News::None) };
        if entry.is_driven() {
            entry.overhear(event);
            return Ok(News::None);
        }
        entry.version = event.version;
        match kind {
            "workflow.snapshot.v1" => entry.snapshot = event.version,
            "workflow.claimed.v1" | "workflow.archived.v1" => {}
            "workflow.parked.v1" => {
                if let Some(RunEvent::Parked { until, on }) = RunEvent::read(event)? {
                    self.park(&run, until, on);
                }
            }
            _ => {
                self.rest(&run, Rest::Due);
                return Ok(News::Due(run));
            }
        }
        Ok(News::None)
    }

    fn started(&mut self, event: &RecordedEvent) -> Result<News, WorkflowError> {
        let Some(RunEvent::Started(started)) = RunEvent::read(event)? else { return Ok(News::None) };
        if started.attached {
            let series = series(started.run.as_str()).to_owned();
            let before = self.plans.insert(series, Plan { run: started.run, ended: None });
            let ended = before.and_then(|before| Some((before.run, before.ended?)));
            return Ok(ended.map_or(News::None, |(run, at)| News::Ended(run, at)));
        }
        self.runs.insert(started.run.clone(), Entry::new(event.version, started.priority));
        Ok(News::Due(started.run))
    }

    /// A run that had ended goes on: what it did is undone.
    fn reopened(&mut self, id: &str, event: &RecordedEvent) -> Result<News, WorkflowError> {
        let Ok(run) = RunId::new(id) else { return Ok(News::None) };
        let Some(RunEvent::RollBackRequested { priority, .. }) = RunEvent::read(event)? else {
            return Ok(News::None);
        };
        self.runs.insert(run.clone(), Entry::new(event.version, priority));
        Ok(News::Due(run))
    }

    fn shared(&mut self, claim: Claim) -> Arc<Claim> {
        let same = self.claims.entry(claim.incarnation).or_default();
        if let Some(known) = same.iter().find(|known| ***known == claim) {
            return known.clone();
        }
        let claim = Arc::new(claim);
        same.push(claim.clone());
        claim
    }

    fn rest(&mut self, run: &RunId, rest: Rest) {
        let Some(entry) = self.runs.get_mut(run) else { return };
        if let Rest::Parked(Some(until)) = entry.rest {
            self.timers.remove(&(until, run.clone()));
        }
        if let Rest::Parked(Some(until)) = rest {
            self.timers.insert((until, run.clone()));
        }
        entry.rest = rest;
        let waiter = (Reverse(entry.priority), run.clone());
        for key in std::mem::take(&mut entry.waits_for) {
            if let Some(waiters) = self.waiters.get_mut(&key) {
                waiters.remove(&waiter);
                if waiters.is_empty() {
                    self.waiters.remove(&key);
                }
            }
        }
    }

    /// There is something to do for a run, whoever does it.
    pub(super) fn due(&mut self, run: &RunId) {
        self.rest(run, Rest::Due);
    }

    fn park(&mut self, run: &RunId, until: Option<Timestamp>, on: Vec<LimitKey>) {
        self.rest(run, Rest::Parked(until));
        let Some(entry) = self.runs.get_mut(run) else { return };
        let waiter = (Reverse(entry.priority), run.clone());
        for key in &on {
            self.waiters.entry(key.clone()).or_default().insert(waiter.clone());
        }
        entry.waits_for = on.into();
    }

    fn remove(&mut self, run: &RunId) {
        self.rest(run, Rest::Due);
        self.runs.remove(run);
    }

    /// Puts a run in line, unless it is there, or performed already.
    pub(super) fn queue(&mut self, run: &RunId) {
        let Some(entry) = self.runs.get_mut(run) else { return };
        if !entry.queued && entry.driven.is_none() {
            entry.queued = true;
            self.order += 1;
            self.ready.push((entry.priority, Reverse(self.order), run.clone()));
        }
    }

    /// The next run in line that nobody else holds; from now on it is performed here.
    pub(super) fn next(&mut self, held: impl Fn(&Claim) -> bool) -> Option<Next> {
        loop {
            let (_, _, run) = self.ready.pop()?;
            self.rest(&run, Rest::Due);
            let Some(entry) = self.runs.get_mut(&run) else { continue };
            entry.queued = false;
            if entry.driven.is_some() || entry.claim.as_ref().is_some_and(|claim| held(claim)) {
                continue;
            }
            let nudge = Arc::new(Notify::new());
            entry.driven = Some(nudge.clone());
            return Some(Next { run, snapshot: entry.snapshot, claim: entry.claim.clone(), nudge });
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A run is no longer performed here: it was followed to `version`, and rests.
    pub(super) fn parked(
        &mut self,
        run: &RunId,
        version: Version,
        claim: Option<Claim>,
        until: Option<Timestamp>,
        on: Vec<LimitKey>,
    ) -> News {
        let claim = claim.map(|claim| self.shared(claim));
        let Some(entry) = self.runs.get_mut(run) else { return News::None };
        if let Some((ended, at)) = entry.ended
            && ended > version
        {
            return self.over(run, at);
        }
        entry.driven = None;
        entry.version = entry.version.max(version);
        if entry.disturbed > version {
            // What the log said since is newer, also about who has it.
            self.rest(run, Rest::Due);
            return News::Due(run.clone());
        }
        entry.claim = claim;
        self.park(run, until, on);
        News::None
    }

    /// A run is no longer performed here, and is looked at again at this moment, unless others have ended it.
    pub(super) fn released(&mut self, run: &RunId, again: Timestamp) -> News {
        let Some(entry) = self.runs.get_mut(run) else { return News::None };
        if let Some((_, at)) = entry.ended {
            return self.over(run, at);
        }
        entry.driven = None;
        self.rest(run, Rest::Parked(Some(again)));
        News::None
    }

    /// A run came to its end here, at `version`; it may have been reopened since.
    pub(super) fn ended(&mut self, run: &RunId, version: Version, at: Timestamp) -> News {
        let Some(entry) = self.runs.get_mut(run) else { return News::Ended(run.clone(), at) };
        if entry.reopened <= version {
            return self.over(run, at);
        }
        entry.driven = None;
        entry.version = entry.version.max(entry.reopened);
        self.rest(run, Rest::Due);
        News::Due(run.clone())
    }

    fn over(&mut self, run: &RunId, at: Timestamp) -> News {
        self.remove(run);
        News::Ended(run.clone(), at)
    }

    /// When the next run goes on by itself.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The runs whose moment has come.
    pub(super) fn rung(&mut self, now: Timestamp) -> Vec<RunId> {
        let mut rung = Vec::new();
        while let Some((at, run)) = self.timers.first()
            && *at <= now
        {
            let run = run.clone();
            self.rest(&run, Rest::Due);
            rung.push(run);
        }
        rung
    }

    /// The runs to be woken because a place under a limit was given back.
    pub(super) fn freed(&mut self, key: &LimitKey) -> Vec<RunId> {
        let Some(waiters) = self.waiters.get_mut(key) else { return Vec::new() };
        let mut woken = Vec::new();
        while woken.len() < WOKEN
            && let Some((_, run)) = waiters.pop_first()
        {
            woken.push(run);
        }
        if waiters.is_empty() {
            self.waiters.remove(key);
        }
        woken
    }

    /// The runs that wait for a limit to which something happened.
    pub(super) fn waiters(&mut self, changed: impl Fn(&LimitKey) -> bool) -> Vec<RunId> {
        let mut runs: Vec<_> =
            self.waiters.extract_if(|key, _| changed(key)).flat_map(|(_, runs)| runs).collect();
        runs.sort_unstable();
        runs.into_iter().map(|(_, run)| run).collect()
    }
}

impl Entry {
    fn new(version: Version, priority: i16) -> Self {
        Self {
            version,
            snapshot: Version::EMPTY,
            rest: Rest::Due,
            waits_for: Box::default(),
            priority,
            claim: None,
            driven: None,
            queued: false,
            disturbed: Version::EMPTY,
            ended: None,
            reopened: Version::EMPTY,
        }
    }

    /// Follows an event of a run that is performed here.
    fn overhear(&mut self, event: &RecordedEvent) {
        let kind = event.kind.as_str();
        // Its own events are no news; these are written by others.
        if is_foreign(kind)
            && let Some(driver) = &self.driven
        {
            self.disturbed = event.version;
            driver.notify_one();
        }
        match kind {
            "workflow.snapshot.v1" => self.snapshot = event.version,
            "workflow.ended.v1" => {
                self.ended = Some((event.version, event.at));
                self.reopened = Version::EMPTY;
            }
            REOPENED => {
                self.ended = None;
                self.reopened = event.version;
                self.claim = None;
            }
            _ => {}
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.rest == Rest::Due && self.driven.is_none() && !self.queued
    }

    pub(super) const fn is_driven(&self) -> bool {
        self.driven.is_some()
    }
}

/// What the ids of an agent's plans have in common.
fn series(id: &str) -> &str {
    id.rsplit_once('/').map_or(id, |(series, _)| series)
}

/// Events that only whoever performs the run writes, and whose content the index does not keep.
fn is_own(kind: &str) -> bool {
    matches!(
        kind,
        "workflow.began.v1" | "workflow.succeeded.v1" | "workflow.waiting.v1" | "workflow.failed.v1"
    )
}

/// Events that are not written by whoever performs the run.
fn is_foreign(kind: &str) -> bool {
    matches!(
        kind,
        "workflow.claimed.v1"
            | "workflow.signalled.v1"
            | "workflow.decided.v1"
            | "workflow.asked_again.v1"
            | "workflow.child_ended.v1"
            | "workflow.child_undone.v1"
            | REOPENED
            | "workflow.updated.v1"
            | "workflow.paused.v1"
            | "workflow.resumed.v1"
            | "workflow.cancel_requested.v1"
            | "workflow.migrated.v1"
    )
}
