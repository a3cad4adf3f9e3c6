//! Follows the journal of actions: counts what was permitted before anybody counted it, and what others permitted under
//! other rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use daa_core::action::{Action, ActionEvent, Context, Request, Verdict};
use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Batch, ExpectedVersion, PageSize, Position, RecordedEvent, StreamWrite, Version,
};
use daa_core::id::{ActionId, StreamId};

use super::counter::{Counter, Measure, settled};
use super::error::MemoryError;
use super::event::Entry;
use super::progress::Progress;
use super::sequence::Trace;
use super::tally::{Bounds, Ending};
use super::{Gaps, Memory};
use crate::condition::Budget;
use crate::ruleset::Ruleset;

/// How often a write is tried again when others were faster. Each of them has written something by then.
const MAX_CONFLICTS: u32 = 256;
/// What the names of the streams of actions begin with.
const ACTIONS: &str = "action/";
/// How far the log grows before progress is written down without any action in it.
const QUIET: u64 = 1_000;

/// What was found in the journal.
struct Found<'r> {
    rules: &'r Ruleset,
    /// From where each counter has to be looked at.
    due: Vec<Due<'r>>,
    /// What has to be counted, by stream.
    missing: BTreeMap<StreamId, Missing<'r>>,
    /// Where what is missing stands, as long as it has not ended.
    open: HashMap<ActionId, Open>,
    /// Whether there was anything about actions.
    any: bool,
    /// By the clock that counts, nothing happened later.
    now: Option<Timestamp>,
}

/// A counter, and how far it has come.
struct Due<'r> {
    counter: &'r Counter,
    progress: Progress,
    version: Version,
    /// The time of the last action that is erased and was never seen.
    gap: Option<Timestamp>,
}

struct Missing<'r> {
    entries: Vec<Entry>,
    /// What has ended by now, of what was permitted at a moment.
    ended: Vec<(ActionId, Timestamp, Ending)>,
    bounds: Bounds<'r>,
}

struct Open {
    streams: Vec<StreamId>,
    action: Action,
    since: Position,
}

impl Memory {
    /// Counts what these counters of these rules have not counted yet; answers what cannot be known of each.
    pub(super) async fn count_missing<'r>(
        &self,
        rules: &'r Ruleset,
        counters: impl Iterator<Item = &'r Counter>,
    ) -> Result<Gaps, MemoryError> {
        let store = &*self.store;
        let mut due = Vec::new();
        for counter in counters {
            let (progress, version) = Progress::read(store, counter).await?;
            due.push(Due { counter, progress, version, gap: progress.gap });
        }
        let Some(begin) = due.iter().map(|due| due.progress.position).min() else { return Ok(Gaps::new()) };
        let (missing, open) = (BTreeMap::new(), HashMap::new());
        let mut found = Found { rules, due, missing, open, any: false, now: store.now().await? };
        let mut head = begin;
        loop {
            let page = store.read_all(head, PageSize::default()).await?;
            let Some(last) = page.last() else { break };
            head = last.position;
            for recorded in &page {
                if recorded.is_erased() {
                    found.erased(recorded);
                } else if let Ok(Some(event)) = ActionEvent::read(recorded) {
                    // What others wrote, and we cannot read, was permitted by nobody here.
                    self.look(&mut found, event, recorded).await?;
                }
            }
        }
        let Found { missing, open, due, any, .. } = found;
        for (stream, missing) in missing {
            self.add(&stream, missing).await?;
        }
        // What has not ended is looked at again another time.
        let to = open.values().map(|open| open.since.get().saturating_sub(1)).min();
        let to = Position::new(to.unwrap_or(head.get()));
        for (action, open) in open {
            self.adopt(action, open.streams);
        }
        let mut gaps = Gaps::new();
        for Due { counter, progress, version, gap } in due {
            gaps.extend(gap.map(|gap| (counter.digest(), gap)));
            let now = Progress { position: to.max(progress.position), seen: head.max(progress.seen), gap };
            let quiet = !any && gap == progress.gap && head.get() < progress.seen.get() + QUIET;
            if now == progress || quiet {
                continue;
            }
            if let Some(stream) = now.write(store, counter, version).await? {
                self.erasing.begin(&self.store, stream, version);
            }
        }
        Ok(gaps)
    }

    async fn look(
        &self,
        found: &mut Found<'_>,
        event: ActionEvent,
        recorded: &RecordedEvent,
    ) -> Result<(), MemoryError> {
        found.any = true;
        match event {
            ActionEvent::Permitted { action, context, verdict, .. } => {
                self.permitted(found, action, &context, &verdict, recorded).await
            }
            ActionEvent::Succeeded { outcome, .. } => {
                found.ended(&recorded.stream, |entry, action| {
                    Ending::Effect(settled(entry, action, outcome.cost))
                });
                Ok(())
            }
            ActionEvent::Failed { .. } => {
                found.ended(&recorded.stream, |_, _| Ending::NoEffect);
                Ok(())
            }
            ActionEvent::Expired => {
                found.ended(&recorded.stream, |_, _| Ending::Unused);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn permitted(
        &self,
        found: &mut Found<'_>,
        action: Action,
        context: &Context,
        verdict: &Verdict,
        recorded: &RecordedEvent,
    ) -> Result<(), MemoryError> {
        let at = found.now.map_or(recorded.at, |now| recorded.at.min(now));
        let asked = Request::new(&action, context, at);
        let given = self.given_then(found, &asked, verdict).await?;
        let request = asked.with_given(&given);
        let mut streams = Vec::new();
        let is_due =
            |due: &&Due<'_>| recorded.position > due.progress.position && due.counter.matches(action.kind());
        let due: Vec<&Counter> = found.due.iter().filter(is_due).map(|due| due.counter).collect();
        for counter in due {
            let mut budget = Budget::new();
            // What had no key, or no amount, is nothing that can be counted.
            let Ok(true) = counter.applies(&request, &mut budget) else { continue };
            let Ok(place) = counter.place(&request, &mut budget) else { continue };
            if verdict.counts.contains(&place.stream) {
                continue;
            }
            let Ok(entry) = counter.entry(&request, &place, at, &mut budget) else { continue };
            let nothing = || Missing { entries: Vec::new(), ended: Vec::new(), bounds: counter.bounds() };
            let missing = found.missing.entry(place.stream.clone()).or_insert_with(nothing);
            missing.entries.retain(|entry| entry.action != *action.id() || entry.is_failed());
            missing.entries.push(entry);
            streams.push(place.stream);
        }
        if !streams.is_empty() {
            let open = Open { streams, action: action.clone(), since: recorded.position };
            found.open.insert(action.id().clone(), open);
        }
        Ok(())
    }

    /// What the rules would have been given when an action was permitted: what they were given then, and what had been
    /// seen, if nobody told them.
    async fn given_then(
        &self,
        found: &Found<'_>,
        asked: &Request<'_>,
        verdict: &Verdict,
    ) -> Result<Context, MemoryError> {
        let mut given = verdict.given.clone();
        let is_seen = |counter: &&Counter| matches!(counter.measure, Measure::Seen);
        for counter in found.rules.counters().iter().filter(is_seen) {
            let about = asked.with_given(&given);
            let Ok(place) = counter.place(&about, &mut Budget::new()) else { continue };
            if verdict.counts.contains(&place.stream) {
                continue;
            }
            let (action, now) = (asked.action.id(), asked.now);
            let tally = self.book.read(&*self.store, &place.stream).await?;
            let missing = found.missing.get(&place.stream);
            let here = missing.into_iter().flat_map(|missing| &missing.entries);
            let here = here.filter(|entry| entry.action != *action).map(|entry| entry.at).min();
            let first = [tally.first_but(action), here].into_iter().flatten().min();
            if let Some(first) = first.filter(|first| *first <= now) {
                given = given.with(counter.path.clone(), now.since(first).as_secs());
            }
        }
        Ok(given)
    }

    async fn add(&self, stream: &StreamId, missing: Missing<'_>) -> Result<(), MemoryError> {
        for _ in 0..MAX_CONFLICTS {
            let mut tally = self.book.read(&*self.store, stream).await?;
            let (base, grown) = (tally.version, Arc::make_mut(&mut tally));
            let mut events = Vec::new();
            for (action, at, ending) in &missing.ended {
                events.extend(grown.end_of(action, *at, *ending));
            }
            if grown.add_missing(missing.entries.clone(), missing.bounds.extent) {
                events.extend(grown.rewrite());
            }
            if events.is_empty() {
                return Ok(());
            }
            let at = grown.moment(Timestamp::EPOCH);
            let events: Result<Vec<_>, _> = events.iter().map(|event| event.to_new(at)).collect();
            let write = StreamWrite::new(stream.clone(), ExpectedVersion::Exact(base), events?);
            match self.store.append(Batch::new().with(write)).await {
                Ok(_) => {
                    self.book.keep(stream, &tally);
                    self.erasing.begin(&self.store, stream.clone(), tally.erasable());
                    return Ok(());
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(MemoryError::Contended { tries: MAX_CONFLICTS })
    }
}

impl Found<'_> {
    /// Something of an action is erased that nobody may have counted: what it was, nobody knows.
    fn erased(&mut self, recorded: &RecordedEvent) {
        if !recorded.stream.as_str().starts_with(ACTIONS) {
            return;
        }
        self.any = true;
        for due in self.due.iter_mut().filter(|due| recorded.position > due.progress.seen) {
            due.gap = due.gap.max(Some(recorded.at));
        }
    }

    fn ended(&mut self, stream: &StreamId, ending: impl Fn(&Entry, &Action) -> Ending) {
        let Some(id) = stream.as_str().strip_prefix(ACTIONS).and_then(|id| ActionId::new(id).ok()) else {
            return;
        };
        let Some(open) = self.open.remove(&id) else { return };
        for stream in open.streams {
            let Some(missing) = self.missing.get_mut(&stream) else { continue };
            let Some(at) = missing.entries.iter().rposition(|entry| entry.action == id) else { continue };
            let entry = missing.entries.remove(at);
            let ending = ending(&entry, &open.action);
            missing.ended.push((id.clone(), entry.at, ending));
            missing.entries.extend(ended(entry, ending));
        }
    }
}

/// What still counts of an action that has ended.
fn ended(entry: Entry, ending: Ending) -> Option<Entry> {
    match (ending, entry.trace) {
        (Ending::Effect(amount), trace) => Some(Entry { amount, open: false, trace, ..entry }),
        (Ending::NoEffect, Some(trace)) => {
            Some(Entry { open: false, trace: Some(Trace { failed: true, ..trace }), ..entry })
        }
        (Ending::NoEffect | Ending::Unused, _) => None,
    }
}
