//! Decisions that rest on counts, and what they count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use daa_core::action::{Context, End, Ended, PolicyChange, PolicyError, Request, Verdict};
use daa_core::clock::Timestamp;
use daa_core::event::{ExpectedVersion, NewEvent, StreamWrite, Version};
use daa_core::id::{ActionId, StreamId};
use serde_json::Value;
use tokio::sync::OwnedRwLockReadGuard;

use super::Memory;
use super::counter::{Counter, Measure, Place, is_ours, settled};
use super::crowd::Turn;
use super::error::MemoryError;
use super::event::CountEvent;
use super::tally::{CannotCount, Ending, Tally};
use crate::condition::Budget;
use crate::parameters::Values;
use crate::provider::Providers;
use crate::ruleset::Ruleset;

/// Why a count is not known.
const FORGETFUL: &str = "the rules have no memory here";
/// Why it is not known whether a sequence is complete.
const OPEN: &str = "it depends on an action that has not ended";

/// One change of what the rules remember; it decides by one ruleset.
#[derive(Debug)]
pub(crate) struct Change {
    rules: Arc<Ruleset>,
    providers: Option<Arc<Providers>>,
    /// Where nothing is remembered, there is none.
    kept: Option<Kept>,
    /// The counts that were read for this change, with what it did to them.
    counts: BTreeMap<StreamId, Staged>,
    /// The actions that have ended with it.
    ended: Vec<ActionId>,
    /// The latest moment that it was told.
    now: Timestamp,
    /// The values of parameters that all its decisions use, once one of them asked for any.
    parameters: Option<Arc<Values>>,
    confirmed: bool,
}

/// The memory that a change is part of.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) memory: Arc<Memory>,
    /// While it is held, nobody begins to count anything that is not counted yet. One that only ends actions does not
    /// need it: what it changes is there already.
    pub(super) maintained: Option<OwnedRwLockReadGuard<()>>,
    /// Its turn, where there is a crowd.
    pub(super) turn: Option<Turn>,
}

#[derive(Debug)]
struct Staged {
    tally: Arc<Tally>,
    /// The version of the stream that this rests on.
    base: Version,
    /// Up to where the events of the stream were not needed any more when it was read.
    erasable: Version,
    events: Vec<NewEvent>,
}

impl Change {
    pub(super) const fn new(
        rules: Arc<Ruleset>,
        providers: Option<Arc<Providers>>,
        kept: Option<Kept>,
    ) -> Self {
        Self {
            rules,
            providers,
            kept,
            counts: BTreeMap::new(),
            ended: Vec::new(),
            now: Timestamp::EPOCH,
            parameters: None,
            confirmed: false,
        }
    }

    /// One that remembers nothing.
    pub(crate) const fn forgetful(rules: Arc<Ruleset>, providers: Option<Arc<Providers>>) -> Self {
        Self::new(rules, providers, None)
    }

    /// The moment of what is decided next, by the clock that counts.
    async fn set_time(&mut self, now: Timestamp) -> Result<(), MemoryError> {
        self.now = match &self.kept {
            Some(kept) => kept.memory.time.of(&*kept.memory.store, now).await?,
            None => now,
        };
        Ok(())
    }

    /// The count of a stream: with everything that is durable, and what this change did.
    async fn read(&mut self, stream: &StreamId) -> Result<&mut Staged, MemoryError> {
        let known = self.counts.get(stream).is_some_and(|staged| !staged.events.is_empty());
        if !known {
            let forgotten = || MemoryError::Uncountable { stream: stream.clone(), why: FORGETFUL.to_owned() };
            let memory = &self.kept.as_ref().ok_or_else(forgotten)?.memory;
            let tally = memory.book.read(&*memory.store, stream).await?;
            let (base, erasable) = (tally.version, tally.erasable());
            let staged = Staged { base, erasable, tally, events: Vec::new() };
            self.counts.insert(stream.clone(), staged);
        }
        let unread =
            || MemoryError::Uncountable { stream: stream.clone(), why: "it was not read".to_owned() };
        self.counts.get_mut(stream).ok_or_else(unread)
    }

    /// What providers and counts say that the rules about this kind of action may ask for, or that count it. A count whose key
    /// cannot be told is missing.
    async fn gather(&mut self, request: &Request<'_>) -> Result<Context, MemoryError> {
        let rules = Arc::clone(&self.rules);
        let (counters, provided) = rules.gathered_about(request.action.kind());
        let mut given = match &self.providers {
            Some(providers) => providers.ask(&provided, request).await,
            None => provided.into_iter().fold(Context::new(), |given, fact| {
                given.with(format!("{}.problem", fact.path), "the rules have no providers here")
            }),
        };
        given = self.parameters(request, given).await?;
        // What was seen comes first: whether an action counts in a window may depend on it.
        for counter in counters {
            if self.kept.is_none() {
                given = Untold::Uncountable(FORGETFUL.to_owned()).note(given, counter);
                continue;
            }
            let known = self.count_of(counter, &request.with_given(&given)).await?;
            given = match known {
                Ok(Some(value)) => given.with(counter.path.clone(), value),
                Ok(None) => given,
                Err(untold) => untold.note(given, counter),
            };
        }
        Ok(given)
    }

    /// What a counter says to an action, if anything; or why that is not known.
    async fn count_of(
        &mut self,
        counter: &Counter,
        request: &Request<'_>,
    ) -> Result<Result<Option<Value>, Untold>, MemoryError> {
        let mut budget = Budget::new();
        let place = match counter.place(request, &mut budget) {
            Ok(place) => place,
            Err(why) => return Ok(Err(Untold::Unknown(why.to_string()))),
        };
        let Some(kept) = &self.kept else { return Ok(Err(Untold::Uncountable(FORGETFUL.to_owned()))) };
        let gap = kept.memory.gap(counter);
        let now = self.now;
        let tally = &self.read(&place.stream).await?.tally;
        Ok(told(counter, &place, &tally.without(request.action.id()), (request, now), gap, &mut budget))
    }

    /// Adds the parameters that the rules about this kind of action may ask for.
    async fn parameters(&mut self, request: &Request<'_>, given: Context) -> Result<Context, MemoryError> {
        let rules = Arc::clone(&self.rules);
        let asked = rules.parameters_about(request.action.kind());
        if asked.is_empty() {
            return Ok(given);
        }
        let Some(kept) = &self.kept else {
            return Ok(asked.into_iter().fold(given, |given, parameter| {
                given.with(format!("parameter.{}.problem", parameter.name), FORGETFUL)
            }));
        };
        let values = match &self.parameters {
            Some(values) => Arc::clone(values),
            None => kept.memory.parameters().await?,
        };
        let given = values.give(asked.into_iter(), given);
        self.parameters = Some(values);
        Ok(given)
    }

    fn count(&mut self, request: &Request<'_>) -> Result<(), MemoryError> {
        let rules = Arc::clone(&self.rules);
        let places = rules.places(request, &mut Budget::new()).map_err(|(counter, why)| {
            MemoryError::Undecided { counter: counter.path.clone(), why: why.to_string() }
        })?;
        for (counter, place) in places {
            let unread = || MemoryError::Uncountable {
                stream: place.stream.clone(),
                why: "it was not read".to_owned(),
            };
            let staged = self.counts.get_mut(&place.stream).ok_or_else(unread)?;
            if matches!(counter.measure, Measure::Seen) && staged.tally.is_settled() {
                continue;
            }
            let entry = counter.entry(request, &place, self.now, &mut Budget::new());
            let entry = entry.map_err(|why| MemoryError::Undecided {
                counter: counter.path.clone(),
                why: why.to_string(),
            })?;
            let events = Arc::make_mut(&mut staged.tally)
                .count(entry, counter.bounds())
                .map_err(|why| MemoryError::uncountable(&place.stream, why))?;
            staged.add(&events, request.now)?;
        }
        Ok(())
    }
}

impl Staged {
    fn add(&mut self, events: &[CountEvent], at: Timestamp) -> Result<(), MemoryError> {
        for event in events {
            self.events.push(event.to_new(at)?);
        }
        Ok(())
    }
}

/// What a counter says to an action, in view of what counts where the action would: a number, an amount, whether a
/// sequence is complete; nothing where nobody was seen.
fn told(
    counter: &Counter,
    place: &Place,
    tally: &Tally,
    (request, now): (&Request<'_>, Timestamp),
    gap: Option<Timestamp>,
    budget: &mut Budget,
) -> Result<Option<Value>, Untold> {
    let uncountable = |why: CannotCount| Untold::Uncountable(why.to_string());
    let lacks = |gap| Untold::Unknown(lacks(gap));
    let Some(extent) = counter.extent() else {
        // One who is not found may have been there once.
        let first = tally
            .first()
            .map_or_else(|| gap.map_or(Ok(None), |gap| Err(lacks(gap))), |first| Ok(Some(first)))?;
        if !tally.is_settled() {
            tally.check(counter.bounds(), now).map_err(uncountable)?;
        }
        return Ok(first.map(|first| tally.moment(now).since(first).as_secs().into()));
    };
    tally.check(counter.bounds(), now).map_err(uncountable)?;
    let gap = gap.filter(|gap| *gap >= extent.earliest(tally.moment(now)));
    if let Measure::Sequence(sequence) = &counter.measure {
        if let Some(gap) = gap {
            return Err(lacks(gap));
        }
        let completes = sequence.completes(tally.within(extent, now), request, budget);
        let completes = completes.map_err(|why| Untold::Unknown(why.to_string()))?;
        return completes
            .map(|completes| Some(completes.into()))
            .ok_or_else(|| Untold::Unknown(OPEN.to_owned()));
    }
    let overflows = || uncountable(CannotCount::Overflow);
    let sum = tally.sum(extent, now).ok_or_else(overflows)?;
    sum.checked_add(place.amount).ok_or_else(overflows)?;
    if let Some(gap) = gap {
        return Err(lacks(gap));
    }
    match &place.code {
        Some(code) => Ok(Some(format!("{sum} {code}").into())),
        None => match sum.whole().map(i64::try_from) {
            Some(Ok(number)) => Ok(Some(number.into())),
            _ => Err(Untold::Uncountable("the sum is no number of 64 bits".to_owned())),
        },
    }
}

/// Why it is not known what counts: something was erased that nobody had counted, the last of it at this time.
pub(super) fn lacks(gap: Timestamp) -> String {
    let until = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(gap.as_millis()));
    format!("what was permitted until {until} is erased")
}

/// Why a counter says nothing.
enum Untold {
    /// What it would say is not known. It counts all the same.
    Unknown(String),
    /// It cannot count one more action, and what it says is of no use.
    Uncountable(String),
}

impl Untold {
    fn note(self, given: Context, counter: &Counter) -> Context {
        let (why, uncountable) = match self {
            Self::Unknown(why) => (why, false),
            Self::Uncountable(why) => (why, true),
        };
        let why: String = why.chars().take(200).collect();
        let given = if uncountable { given.with(counter.uncountable(), why.clone()) } else { given };
        given.with(format!("{}.problem", counter.path), why)
    }
}

#[async_trait]
impl PolicyChange for Change {
    fn decides(&self) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.maintained.is_some())
    }

    async fn decide(&mut self, request: &Request<'_>) -> Result<Verdict, PolicyError> {
        self.set_time(request.now).await?;
        let given = self.gather(request).await?;
        let mut verdict = self.rules.decide(&request.with_given(&given));
        verdict.given = given;
        Ok(verdict)
    }

    fn permitted(&mut self, request: &Request<'_>, verdict: &Verdict) -> Result<(), PolicyError> {
        self.count(&request.with_given(&verdict.given))?;
        Ok(())
    }

    async fn ended(&mut self, ended: &Ended<'_>) -> Result<(), PolicyError> {
        let Some(kept) = &self.kept else { return Ok(()) };
        self.now = self.now.max(ended.now);
        let mut streams: BTreeSet<StreamId> = kept.memory.adopted(ended.action.id()).into_iter().collect();
        streams.extend(ended.counts.iter().filter(|stream| is_ours(stream)).cloned());
        self.ended.push(ended.action.id().clone());
        for stream in &streams {
            let staged = self.read(stream).await.map_err(PolicyError::from)?;
            let Some(entry) = staged.tally.open(ended.action.id()) else { continue };
            let ending = match ended.end {
                End::Effect(cost) => Ending::Effect(settled(entry, ended.action, cost)),
                End::NoEffect => Ending::NoEffect,
                End::Unused => Ending::Unused,
            };
            let events = Arc::make_mut(&mut staged.tally).end(ended.action.id(), ending);
            staged.add(&events, ended.now)?;
        }
        Ok(())
    }

    fn writes(&self) -> Vec<StreamWrite> {
        let changed = self.counts.iter().filter(|(_, staged)| !staged.events.is_empty());
        let write = |(stream, staged): (&StreamId, &Staged)| {
            StreamWrite::new(stream.clone(), ExpectedVersion::Exact(staged.base), staged.events.clone())
        };
        changed.map(write).collect()
    }

    fn confirm(mut self: Box<Self>) {
        self.confirmed = true;
        let Some(kept) = &self.kept else { return };
        kept.memory.follow_later(self.now);
        self.ended.iter().for_each(|action| kept.memory.settled(action));
        for (stream, staged) in &self.counts {
            if staged.events.is_empty() {
                continue;
            }
            kept.memory.book.keep(stream, &staged.tally);
            if staged.tally.erasable() > staged.erasable {
                let memory = &kept.memory;
                memory.erasing.begin(&memory.store, stream.clone(), staged.tally.erasable());
            }
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let lost = !self.confirmed && self.counts.values().any(|staged| !staged.events.is_empty());
        if let Some(kept) = &self.kept {
            kept.memory.crowd.ended(kept.turn.is_some(), lost);
        }
    }
}
