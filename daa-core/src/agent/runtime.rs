//! The agent: performs what the cycle's machine asks for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::adapt::Adapter;
use super::builder::AgentBuilder;
use super::error::AgentError;
use super::event::EventSink;
use super::journal::{LoadError, Record, load};
use super::lapse::{Lapse, Part};
use super::limits::{TimeLimits, caught, sheltered};
use super::machine::{Collection, Config, Effect, Input, Machine};
use super::observe::DataCollector;
use super::reason::{Reasoner, Strategy};
use super::reflect::Reflector;
use super::report::CycleReport;
use super::situation::{Candidate, Situation};
use super::state::AgentState;
use crate::action::{Executors, Gate};
use crate::clock::Clock;
use crate::event::{AppendError, Batch, EventStore, ExpectedVersion, StreamWrite, Version};
use crate::fault::{Reaction, Retry};
use crate::id::{AgentId, StreamId};
use crate::shutdown::Shutdown;

/// How often a write is tried again after a conflict that was no second instance.
const MAX_CONFLICTS: u32 = 32;
/// The waits after the first failed cycle and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// An autonomous agent: monitors, reasons, acts, reflects and adapts, cycle after cycle.
///
/// Every action passes the [`Gate`]. Every cycle is in the stream `agent/ID`: its plan before it acts, its result
/// after. In between the plan is a run of the [workflow](crate::workflow) engine, in the stream
/// `workflow/agent/ID/CYCLE`: a step that fails has those before it undone, the last first. A process that dies anywhere goes on with the same plan and the same action ids when the agent is built
/// again, so that nothing takes effect twice.
///
/// See the [module](crate::agent) for an example.
pub struct Agent {
    pub(super) id: AgentId,
    pub(super) stream: StreamId,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) gate: Gate,
    pub(super) parts: Parts,
    pub(super) config: Arc<Config>,
    pub(super) cadence: Duration,
    /// The start of this instance.
    pub(super) incarnation: u64,
    /// The start of the instance that took over.
    pub(super) deposed: Option<u64>,
    pub(super) version: Version,
    /// `None` after a cycle that was interrupted: the next one begins by reading the stream.
    pub(super) machine: Option<Machine>,
}

/// What an agent is made of.
pub(super) struct Parts {
    pub(super) collectors: Vec<Arc<dyn DataCollector>>,
    pub(super) strategies: Vec<Arc<dyn Strategy>>,
    pub(super) reasoner: Arc<dyn Reasoner>,
    pub(super) executors: Executors,
    pub(super) reflector: Arc<dyn Reflector>,
    pub(super) adapter: Arc<dyn Adapter>,
    pub(super) sink: Option<Arc<dyn EventSink>>,
    pub(super) limits: TimeLimits,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Why an attempt at a cycle ended early.
pub(super) enum Interruption {
    /// Somebody wrote to the agent's stream, or to that of its plan.
    Conflict,
    Error(AgentError),
}

impl<E: Into<AgentError>> From<E> for Interruption {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl From<LoadError> for AgentError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Read(error) => error.into(),
            LoadError::Decode(error) => error.into(),
        }
    }
}

impl Agent {
    /// Starts with what an agent cannot do without. The gate must use the same store.
    #[must_use]
    pub fn builder(
        id: AgentId,
        gate: Gate,
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
    ) -> AgentBuilder {
        AgentBuilder::new(id, gate, store, clock)
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &AgentId {
        &self.id
    }

    /// What it has learned; `None` after a cycle that was interrupted, until the next one.
    #[must_use]
    pub fn state(&self) -> Option<&AgentState> {
        self.machine.as_ref().map(|machine| &*machine.state)
    }

    /// Runs one whole cycle, or brings one that was interrupted to its end.
    ///
    /// A part of the agent that fails, panics or takes too long degrades the cycle, and its report says so.
    ///
    /// # Errors
    /// [`AgentError`] when the cycle cannot be recorded; the next call goes on from what is durable.
    /// [`AgentError::SecondInstance`] when another instance of this agent took over; so will all later calls.
    ///
    /// # Cancel safety
    /// Dropping the future is like a crash: the next call, here or in another process, brings the cycle to its
    /// end with the same plan and the same action ids.
    pub async fn cycle(&mut self) -> Result<CycleReport, AgentError> {
        for _ in 0..MAX_CONFLICTS {
            if let Some(theirs) = self.deposed {
                let (agent, ours) = (self.id.clone(), self.incarnation);
                return Err(AgentError::SecondInstance { agent, ours, theirs });
            }
            match self.attempt().await {
                Ok(report) => return Ok(report),
                Err(Interruption::Error(error)) => return Err(error),
                // Another instance, or an append of a cancelled cycle that was still on its way: reading tells.
                Err(Interruption::Conflict) => {}
            }
        }
        Err(AgentError::Contended { agent: self.id.clone(), tries: MAX_CONFLICTS })
    }

    /// Runs cycles at the agent's cadence until `shutdown`, which is heeded between cycles: a cycle under way is
    /// brought to its end. When the store fails, waits and goes on; the wait grows from 100 ms to 30 s.
    ///
    /// # Errors
    /// The [`AgentError`]s that no retry can help, such as a second instance.
    ///
    /// # Cancel safety
    /// As [`Self::cycle`].
    pub async fn run(&mut self, mut shutdown: Shutdown) -> Result<(), AgentError> {
        let clock = self.clock.clone();
        let mut backoff = BACKOFF.0;
        while !shutdown.is_requested() {
            let next = clock.now() + self.cadence;
            let until = match self.cycle().await {
                Ok(_) => {
                    backoff = BACKOFF.0;
                    next
                }
                Err(error) if error.retry() == Retry::Never => return Err(error),
                Err(error) => {
                    tracing::warn!(agent = %self.id, error = &error as &dyn std::error::Error, "cycle failed");
                    let until = clock.now() + backoff;
                    backoff = backoff.saturating_mul(2).min(BACKOFF.1);
                    until
                }
            };
            let (asked, rested) = (std::pin::pin!(shutdown.requested()), clock.sleep_until(until));
            futures_util::future::select(asked, rested).await;
        }
        Ok(())
    }

    async fn attempt(&mut self) -> Result<CycleReport, Interruption> {
        let mut machine = match self.machine.take() {
            Some(machine) => machine,
            None => self.reload().await?,
        };
        let mut effects = VecDeque::from(machine.step(Input::Begin { now: self.clock.now() }));
        while let Some(effect) = effects.pop_front() {
            let input = match effect {
                Effect::Announce(events) => {
                    if let Some(sink) = &self.parts.sink {
                        events.iter().for_each(|event| sink.emit(&self.id, event));
                    }
                    continue;
                }
                Effect::Finish(report) => {
                    self.machine = Some(machine);
                    return Ok(*report);
                }
                effect => self.effect(effect).await?,
            };
            effects.extend(machine.step(input));
        }
        Err(AgentError::Stalled.into())
    }

    async fn effect(&mut self, effect: Effect) -> Result<Input, Interruption> {
        Ok(match effect {
            Effect::Collect(due) => {
                let collections = self.parts.collect(&*self.clock, &due).await;
                Input::Collected { now: self.clock.now(), collections }
            }
            Effect::Propose(situation) => {
                let (candidates, lapses) = self.parts.propose(&situation);
                Input::Proposed { candidates, lapses }
            }
            Effect::Reason(situation) => {
                let reasoned = self.parts.reasoner.reason(&situation);
                let limit = self.parts.limits.reason;
                Input::Reasoned(sheltered(&*self.clock, limit, || Part::Reasoner, reasoned).await)
            }
            Effect::Record(records) => {
                self.record(&records).await?;
                Input::Recorded
            }
            Effect::Act { planned, resumed } => Input::Acted(self.act(planned, resumed).await?),
            Effect::Reflect(hindsight) => {
                let reflector = &self.parts.reflector;
                Input::Reflected(caught(|| Part::Reflector, || reflector.reflect(&hindsight)))
            }
            Effect::Adapt(review) => {
                Input::Adapted(caught(|| Part::Adapter, || self.parts.adapter.adapt(&review)))
            }
            Effect::Announce(_) | Effect::Finish(_) => return Err(AgentError::Stalled.into()),
        })
    }

    async fn record(&mut self, records: &[Record]) -> Result<(), Interruption> {
        let now = self.clock.now();
        let events: Result<Vec<_>, _> = records.iter().map(|record| record.to_new(now)).collect();
        let events = events?;
        let written = events.len() as u64;
        let expected = ExpectedVersion::Exact(self.version);
        let write = StreamWrite::new(self.stream.clone(), expected, events);
        match self.store.append(Batch::new().with(write)).await {
            Ok(_) => {
                self.version = Version::new(self.version.get().saturating_add(written));
                Ok(())
            }
            Err(AppendError::Conflict { .. }) => Err(Interruption::Conflict),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the stream; notices an instance that took over.
    async fn reload(&mut self) -> Result<Machine, Interruption> {
        let (state, version) = load(&*self.store, &self.stream).await.map_err(AgentError::from)?;
        self.version = version;
        if state.incarnation > self.incarnation {
            self.deposed = Some(state.incarnation);
            return Err(Interruption::Conflict);
        }
        Ok(Machine::new(self.config.clone(), state))
    }

    /// Takes over the agent's stream: from now on every earlier instance meets a conflict.
    pub(super) async fn take_over(&mut self) -> Result<(), AgentError> {
        for _ in 0..MAX_CONFLICTS {
            let (mut state, version) = load(&*self.store, &self.stream).await?;
            self.version = version;
            let started = Record::Started { incarnation: state.incarnation.saturating_add(1) };
            match self.record(std::slice::from_ref(&started)).await {
                Ok(()) => {
                    state.apply(&started);
                    self.incarnation = state.incarnation;
                    self.machine = Some(Machine::new(self.config.clone(), state));
                    return Ok(());
                }
                Err(Interruption::Conflict) => {}
                Err(Interruption::Error(error)) => return Err(error),
            }
        }
        Err(AgentError::Contended { agent: self.id.clone(), tries: MAX_CONFLICTS })
    }
}

impl Parts {
    async fn collect(&self, clock: &dyn Clock, due: &[usize]) -> Vec<Collection> {
        let collector = |&index: &usize| Some((index, self.collectors.get(index)?));
        join_all(due.iter().filter_map(collector).map(|(index, collector)| async move {
            let limit = collector.timeout().unwrap_or(self.limits.collect);
            let part = || Part::Collector(collector.name().clone());
            // Lazy, so that a panic while the future is made is caught too.
            let collect = async { collector.collect().await };
            Collection { collector: index, result: sheltered(clock, limit, part, collect).await }
        }))
        .await
    }

    fn propose(&self, situation: &Situation) -> (Vec<Candidate>, Vec<Lapse>) {
        let (mut candidates, mut lapses) = (Vec::new(), Vec::new());
        for strategy in &self.strategies {
            let plan = || if strategy.applies(situation) { strategy.plan(situation) } else { Vec::new() };
            match caught(|| Part::Strategy(strategy.name().clone()), plan) {
                Ok(steps) if steps.is_empty() => {}
                Ok(steps) => candidates.push(situation.candidate(strategy.name().clone(), steps)),
                Err(lapse) => lapses.push(lapse),
            }
        }
        (candidates, lapses)
    }
}
