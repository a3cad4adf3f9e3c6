//! One count: what the events of its stream add up to. Pure.

use std::borrow::Cow;
use std::collections::VecDeque;

use daa_core::clock::Timestamp;
use daa_core::event::Version;
use daa_core::id::ActionId;

use super::event::{CountEvent, Entry};
use super::extent::Extent;
use super::quantity::Quantity;

/// Entries in one event of those that are kept.
const PART: usize = 500;
/// Beyond so many events more than twice what still counts, what counts is written anew.
const SLACK: u64 = 64;

/// What counts for one key, and how far its stream was read.
///
/// The time of a tally never goes back: an action that is counted by a slower clock than one before counts as of that
/// one's moment. So what has left the window has left it for everybody.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// In the order of their time.
    entries: VecDeque<Entry>,
    /// The sum of their amounts; `None` once it does not fit, which only a damaged stream brings about.
    total: Option<Quantity>,
    latest: Timestamp,
    pub(crate) version: Version,
    /// The version of the event that began what was kept last.
    kept_at: Version,
}

/// How long actions count, for ever where there is no extent, and how many at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds<'c> {
    pub(crate) extent: Option<&'c Extent>,
    pub(crate) most: usize,
}

/// How an action ended that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It took effect, and this is what counts of it.
    Effect(Quantity),
    /// It was tried, and took no effect.
    NoEffect,
    /// It was never tried.
    Unused,
}

/// What cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotCount {
    #[error("the sum overflows")]
    Overflow,
    #[error("it holds {limit} actions, and no more fit")]
    Full { limit: usize },
    #[error("the action is counted already")]
    Again,
}

impl Tally {
    fn new() -> Self {
        Self { total: Some(Quantity::ZERO), ..Self::default() }
    }

    /// Nothing, of a stream whose events up to this version do not matter.
    pub(crate) fn behind(version: Version) -> Self {
        Self { version, ..Self::new() }
    }

    /// The moment that counts where the clock shows `now`.
    pub(crate) fn moment(&self, now: Timestamp) -> Timestamp {
        now.max(self.latest)
    }

    /// The sum of what counts now.
    pub(crate) fn sum(&self, extent: &Extent, now: Timestamp) -> Option<Quantity> {
        let earliest = extent.earliest(self.moment(now));
        let mut sum = self.total?;
        for entry in self.entries.iter().take_while(|entry| entry.at < earliest) {
            sum = sum.checked_sub(entry.amount)?;
        }
        Some(sum)
    }

    /// What counts now, the earliest first.
    pub(crate) fn within(&self, extent: &Extent, now: Timestamp) -> impl Iterator<Item = &Entry> + Clone {
        let earliest = extent.earliest(self.moment(now));
        self.entries.iter().skip_while(move |entry| entry.at < earliest)
    }

    /// As it would be without an action that has not ended: one that is asked for again does not stand in its own way.
    pub(crate) fn without(&self, action: &ActionId) -> Cow<'_, Self> {
        if self.open(action).is_none() {
            return Cow::Borrowed(self);
        }
        let mut without = self.clone();
        without.apply(CountEvent::Released { action: action.clone() }, self.version);
        Cow::Owned(without)
    }

    /// When the first action was counted that took effect, or still may.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.entries.front().map(|entry| entry.at)
    }

    /// When the first one was counted that is not this one.
    pub(crate) fn first_but(&self, action: &ActionId) -> Option<Timestamp> {
        self.entries.iter().find(|entry| entry.action != *action).map(|entry| entry.at)
    }

    /// Whether the first action took effect, so that nothing changes any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.entries.front().is_some_and(|entry| !entry.open)
    }

    /// What is counted of an action that has not ended.
    pub(crate) fn open(&self, action: &ActionId) -> Option<&Entry> {
        self.entries.get(self.find(action)?).filter(|entry| entry.open)
    }

    fn find(&self, action: &ActionId) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.action == *action)
    }

    /// Whether one more may be counted.
    pub(crate) fn check(&self, bounds: Bounds<'_>, now: Timestamp) -> Result<(), CannotCount> {
        let earliest = bounds.extent.map(|extent| extent.earliest(self.moment(now)));
        let is_over = |entry: &&Entry| earliest.is_some_and(|earliest| entry.at < earliest);
        let over = self.entries.iter().take_while(is_over).count();
        if self.total.is_none() {
            return Err(CannotCount::Overflow);
        }
        let limit = bounds.most;
        if self.entries.len() - over >= limit { Err(CannotCount::Full { limit }) } else { Ok(()) }
    }

    /// Counts an action, and answers what has to be appended for that. What has left the span is forgotten.
    pub(crate) fn count(&mut self, entry: Entry, bounds: Bounds<'_>) -> Result<Vec<CountEvent>, CannotCount> {
        let entry = Entry { at: self.moment(entry.at), ..entry };
        match bounds.extent {
            Some(extent) => self.prune(extent, entry.at),
            None => self.forget_later(),
        }
        let mut events = Vec::with_capacity(2);
        match self.find(&entry.action).and_then(|at| self.entries.get(at)) {
            // It was found in the journal and had not ended, or its end was not told: it is what is asked for again.
            Some(held) if held.open => events.push(CountEvent::Released { action: entry.action.clone() }),
            Some(held) if !held.is_failed() => return Err(CannotCount::Again),
            _ => {}
        }
        self.take(&events);
        self.check(bounds, entry.at)?;
        self.total.and_then(|total| total.checked_add(entry.amount)).ok_or(CannotCount::Overflow)?;
        let counted = [CountEvent::Counted(entry)];
        self.take(&counted);
        events.extend(counted);
        if self.version.get() - self.kept_at.get() > SLACK + 2 * self.entries.len() as u64 {
            events.extend(self.rewrite());
        }
        Ok(events)
    }

    /// Ends an action that is counted; nothing where it is not, or not any more.
    pub(crate) fn end(&mut self, action: &ActionId, ending: Ending) -> Vec<CountEvent> {
        let Some(entry) = self.open(action) else { return Vec::new() };
        let action = action.clone();
        let event = match ending {
            Ending::Effect(amount) => CountEvent::Settled { action, amount },
            Ending::NoEffect if entry.trace.is_some() => CountEvent::Failed { action },
            Ending::NoEffect | Ending::Unused => CountEvent::Released { action },
        };
        let events = vec![event];
        self.take(&events);
        events
    }

    fn take(&mut self, events: &[CountEvent]) {
        for event in events {
            self.apply(event.clone(), self.version.next());
        }
    }

    /// Writes everything anew that counts.
    pub(crate) fn rewrite(&mut self) -> Vec<CountEvent> {
        let kept = self.keep();
        self.take(&kept);
        kept
    }

    /// Everything that counts, as events.
    fn keep(&self) -> Vec<CountEvent> {
        let entries: Vec<Entry> = self.entries.iter().cloned().collect();
        let part = |entries: &[Entry], first| CountEvent::Kept {
            first,
            latest: self.latest,
            entries: entries.to_vec(),
        };
        if entries.is_empty() {
            return vec![part(&[], true)];
        }
        entries.chunks(PART).enumerate().map(|(at, entries)| part(entries, at == 0)).collect()
    }

    /// Up to where the events of the stream are not needed any more.
    pub(crate) fn erasable(&self) -> Version {
        Version::new(self.kept_at.get().saturating_sub(1))
    }

    /// Takes the next event of the stream. One that makes no sense where it stands has no effect.
    pub(crate) fn apply(&mut self, event: CountEvent, version: Version) {
        self.version = version;
        match event {
            CountEvent::Counted(entry) => self.push(entry),
            CountEvent::Settled { action, amount } => {
                let Some(at) = self.find(&action) else { return };
                let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.open) else { return };
                let before = std::mem::replace(&mut entry.amount, amount);
                entry.open = false;
                let total = self.total.and_then(|total| total.checked_sub(before));
                self.total = total.and_then(|total| total.checked_add(amount));
            }
            CountEvent::Released { action } => {
                let Some(at) = self.find(&action) else { return };
                if self.entries.get(at).is_some_and(|entry| entry.open) {
                    self.entries.remove(at).into_iter().for_each(|entry| self.withdraw(&entry));
                }
            }
            CountEvent::Failed { action } => {
                let Some(at) = self.find(&action) else { return };
                let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.open) else { return };
                entry.open = false;
                entry.trace.iter_mut().for_each(|trace| trace.failed = true);
            }
            CountEvent::Kept { first, latest, entries } => {
                if first {
                    let kept_at = version;
                    *self = Self { latest, version, kept_at, ..Self::new() };
                }
                entries.into_iter().for_each(|entry| self.push(entry));
            }
        }
    }

    fn push(&mut self, entry: Entry) {
        self.latest = self.moment(entry.at);
        self.total = self.total.and_then(|total| total.checked_add(entry.amount));
        self.entries.push_back(entry);
    }

    fn withdraw(&mut self, entry: &Entry) {
        self.total = self.total.and_then(|total| total.checked_sub(entry.amount));
    }

    /// Forgets what has left the span.
    fn prune(&mut self, extent: &Extent, now: Timestamp) {
        let earliest = extent.earliest(now);
        while self.entries.front().is_some_and(|entry| entry.at < earliest) {
            self.entries.pop_front().into_iter().for_each(|entry| self.withdraw(&entry));
        }
    }

    /// Forgets what came after the first action that took effect: only the first one matters.
    fn forget_later(&mut self) {
        if let Some(settled) = self.entries.iter().position(|entry| !entry.open) {
            let later: Vec<Entry> = self.entries.drain(settled + 1..).collect();
            later.iter().for_each(|entry| self.withdraw(entry));
        }
    }

    /// Counts what was permitted before anybody counted it, at the moments at which it was; answers whether there was
    /// anything to be added.
    pub(crate) fn add_missing(&mut self, missing: Vec<Entry>, extent: Option<&Extent>) -> bool {
        let before = self.entries.clone();
        let is_held =
            |entry: &Entry| before.iter().any(|held| held.action == entry.action && held.at == entry.at);
        let missing = missing.into_iter().filter(|entry| !is_held(entry));
        let mut all: Vec<Entry> = self.entries.drain(..).chain(missing).collect();
        all.sort_by_key(|entry| entry.at);
        self.total = Some(Quantity::ZERO);
        all.into_iter().for_each(|entry| self.push(entry));
        match extent {
            Some(extent) => self.prune(extent, self.latest),
            None => self.forget_later(),
        }
        self.entries != before
    }

    /// As [`Self::end`], where what is counted of the action is what was permitted at this moment.
    pub(crate) fn end_of(&mut self, action: &ActionId, at: Timestamp, ending: Ending) -> Vec<CountEvent> {
        if self.open(action).is_some_and(|entry| entry.at == at) {
            self.end(action, ending)
        } else {
            Vec::new()
        }
    }

    /// How much room it takes.
    pub(crate) fn weight(&self) -> usize {
        self.entries.len() + 1
    }
}
