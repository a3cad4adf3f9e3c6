//! The state machine of one schedule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::due::{Due, Skipped};
use super::policy::{MAX_CATCH_UP, MissedRuns, Overlap};
use super::recurrence::Recurrence;
use super::spec::Schedule;
use crate::clock::Timestamp;

/// How far one schedule has been considered, and what is under way.
///
/// It depends on nothing but the calls made to it, so it can be rebuilt from a record of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleState {
    considered_to: Timestamp,
    paused: bool,
    open: Option<Timestamp>,
    queued: Option<Timestamp>,
}

impl ScheduleState {
    /// The state of a schedule that begins at `moment`: what occurs until then, that moment included, is not its
    /// business.
    #[must_use]
    pub const fn starting_at(moment: Timestamp) -> Self {
        Self { considered_to: moment, paused: false, open: None, queued: None }
    }

    /// Occurrences until here have been considered.
    #[must_use]
    pub const fn considered_to(&self) -> Timestamp {
        self.considered_to
    }

    /// Whether nothing starts.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// The last occurrence that was started, if its run is still open.
    #[must_use]
    pub const fn open(&self) -> Option<Timestamp> {
        self.open
    }

    /// The occurrence that waits for the end of the open run.
    #[must_use]
    pub const fn queued(&self) -> Option<Timestamp> {
        self.queued
    }

    /// Decides what is due at `now`. Changes nothing, so the decision can be recorded before it is applied.
    ///
    /// Of the occurrences after [`considered_to`](Self::considered_to) and not after `now`, [`MissedRuns`] selects
    /// those that may start; [`Overlap`] then decides, one after the other, which of them do. While paused nothing is
    /// due. A `now` before what has been considered already finds nothing new.
    #[must_use]
    pub fn due(&self, schedule: &Schedule, now: Timestamp) -> Due {
        let now = now.max(self.considered_to);
        if self.paused {
            return Due {
                fire: Vec::new(),
                queued: self.queued,
                skipped: Skipped::NONE,
                considered_to: self.considered_to,
                next: None,
            };
        }
        let recurrence = schedule.recurrence();
        let selected = self.selected(schedule, now);
        let missed = match selected.first() {
            Some(&first) => count(recurrence, self.considered_to, first),
            None => count_to(recurrence, self.considered_to, now),
        };
        let mut line = Line { busy: self.open.is_some(), queued: self.queued, fire: Vec::new(), skipped: 0 };
        line.release();
        for occurrence in selected {
            line.admit(occurrence, schedule.overlap());
        }
        Due {
            fire: line.fire,
            queued: line.queued,
            skipped: missed.plus(line.skipped),
            considered_to: now,
            next: recurrence.next_after(now),
        }
    }

    /// Takes over a decision that this state made, once. The runs of `fire` count as open from here on. A decision
    /// that considers less than this state does is ignored.
    pub fn apply(&mut self, due: &Due) {
        if due.considered_to < self.considered_to {
            return;
        }
        self.considered_to = due.considered_to;
        self.queued = due.queued;
        if let Some(&last) = due.fire.last() {
            self.open = Some(last);
        }
    }

    /// Learns that the run of an occurrence has ended. If one is queued, it is due at once.
    pub fn closed(&mut self, occurrence: Timestamp) {
        if self.open == Some(occurrence) {
            self.open = None;
        }
    }

    /// Stops starting runs. Those that are open go on.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Starts runs again, from `now` on: what occurred during the pause is neither made up for nor counted as
    /// skipped. A queued occurrence still starts.
    pub fn resume(&mut self, now: Timestamp) {
        if self.paused {
            self.paused = false;
            self.considered_to = self.considered_to.max(now);
        }
    }

    fn selected(&self, schedule: &Schedule, now: Timestamp) -> Vec<Timestamp> {
        let (after, at_most) = match schedule.missed() {
            MissedRuns::Skip { grace } => (self.considered_to.max(before(now, grace)), MAX_CATCH_UP),
            MissedRuns::RunOnce => (self.considered_to, 1),
            MissedRuns::RunAll { at_most } => (self.considered_to, at_most.get().min(MAX_CATCH_UP)),
        };
        let at_most = usize::try_from(at_most).unwrap_or(usize::MAX);
        schedule.recurrence().latest_between(after, now, at_most)
    }
}

/// Occurrences that wait to be started, in the light of a run that may be open.
struct Line {
    busy: bool,
    queued: Option<Timestamp>,
    fire: Vec<Timestamp>,
    skipped: u64,
}

impl Line {
    fn release(&mut self) {
        if !self.busy
            && let Some(waiting) = self.queued.take()
        {
            self.start(waiting);
        }
    }

    fn admit(&mut self, occurrence: Timestamp, overlap: Overlap) {
        match overlap {
            Overlap::Allow => self.start(occurrence),
            _ if !self.busy => self.start(occurrence),
            Overlap::QueueOne if self.queued.is_none() => self.queued = Some(occurrence),
            Overlap::QueueOne | Overlap::Skip => self.skipped = self.skipped.saturating_add(1),
        }
    }

    fn start(&mut self, occurrence: Timestamp) {
        self.busy = true;
        self.fire.push(occurrence);
    }
}

/// The last moment that is more than `grace` before `now`.
fn before(now: Timestamp, grace: Duration) -> Timestamp {
    let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(grace).saturating_sub(1))
}

/// Counts the occurrences after `after` and before `until`, up to a bound.
fn count(recurrence: &Recurrence, after: Timestamp, until: Timestamp) -> Skipped {
    let next = |&at: &Timestamp| recurrence.next_after(at).filter(|&occurrence| occurrence < until);
    let mut counted = 0;
    let mut at = next(&after);
    while let Some(occurrence) = at {
        if counted == Skipped::MAX_COUNTED {
            return Skipped::AtLeast(counted);
        }
        counted += 1;
        at = next(&occurrence);
    }
    Skipped::Exactly(counted)
}

fn count_to(recurrence: &Recurrence, after: Timestamp, to: Timestamp) -> Skipped {
    count(recurrence, after, to + Duration::from_millis(1))
}
