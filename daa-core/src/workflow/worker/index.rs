//! The runs that are open: a projection of the log, small enough to hold a hundred thousand.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

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
    priority: i16,
    pub(super) claim: Option<Arc<Claim>>,
    /// Set while it is performed here.
    driven: Option<Arc<Notify>>,
    queued: bool,
    /// The version of the last event that somebody else wrote while it was performed here.
    disturbed: Version,
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
    /// One of each, so that a claim costs an entry no more than a pointer.
    claims: HashMap<u64, Vec<Arc<Claim>>>,
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

/// What an event of a run means to the worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    /// There is something to do for the run.
    Due(RunId),
    Ended(RunId),
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
            return Ok(self.reopened(id, event));
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
                return Ok(News::Ended(run));
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
        if let Some(driver) = &entry.driven {
            // Its own events are no news; these are written by others.
            if is_foreign(kind) {
                entry.disturbed = event.version;
                driver.notify_one();
            }
            if kind == "workflow.snapshot.v1" {
                entry.snapshot = event.version;
            }
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
            return Ok(News::None);
        }
        let entry = Entry {
            version: event.version,
            snapshot: Version::EMPTY,
            rest: Rest::Due,
            priority: started.priority,
            claim: None,
            driven: None,
            queued: false,
            disturbed: Version::EMPTY,
        };
        self.runs.insert(started.run.clone(), entry);
        Ok(News::Due(started.run))
    }

    /// A run that had ended goes on: what it did is undone.
    fn reopened(&mut self, id: &str, event: &RecordedEvent) -> News {
        let Ok(run) = RunId::new(id) else { return News::None };
        let entry = Entry {
            version: event.version,
            snapshot: Version::EMPTY,
            rest: Rest::Due,
            priority: 0,
            claim: None,
            driven: None,
            queued: false,
            disturbed: Version::EMPTY,
        };
        self.runs.insert(run.clone(), entry);
        News::Due(run)
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
    }

    /// There is something to do for a run, whoever does it.
    pub(super) fn due(&mut self, run: &RunId) {
        self.rest(run, Rest::Due);
    }

    fn park(&mut self, run: &RunId, until: Option<Timestamp>, on: Vec<LimitKey>) {
        self.rest(run, Rest::Parked(until));
        let Some(entry) = self.runs.get(run) else { return };
        for key in on {
            self.waiters.entry(key).or_default().insert((Reverse(entry.priority), run.clone()));
        }
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

    /// A run is no longer performed here: it was followed to `version`, and rests. Answers whether something
    /// happened to it meanwhile.
    pub(super) fn parked(
        &mut self,
        run: &RunId,
        version: Version,
        claim: Option<Claim>,
        until: Option<Timestamp>,
        on: Vec<LimitKey>,
    ) -> bool {
        let claim = claim.map(|claim| self.shared(claim));
        let Some(entry) = self.runs.get_mut(run) else { return false };
        entry.driven = None;
        entry.version = entry.version.max(version);
        entry.claim = claim;
        let disturbed = entry.disturbed > version;
        if disturbed {
            self.rest(run, Rest::Due)
        } else {
            self.park(run, until, on)
        }
        disturbed
    }

    /// A run is no longer performed here, and is looked at again at this moment.
    pub(super) fn released(&mut self, run: &RunId, again: Timestamp) {
        if let Some(entry) = self.runs.get_mut(run) {
            entry.driven = None;
            self.rest(run, Rest::Parked(Some(again)));
        }
    }

    pub(super) fn ended(&mut self, run: &RunId) {
        self.remove(run);
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
    pub(super) fn is_due(&self) -> bool {
        self.rest == Rest::Due && self.driven.is_none() && !self.queued
    }

    pub(super) const fn is_driven(&self) -> bool {
        self.driven.is_some()
    }
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
