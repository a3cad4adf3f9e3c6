//! The runner: follows the event store, and lets the rules do what they do when something happens.

mod error;
mod gather;
mod react;
mod record;
mod submit;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{Action, Context, Executor, Gate, GateError};
use daa_core::clock::Clock;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, StreamWrite, Version,
    last_event,
};
use daa_core::id::{ActionId, AgentId, EventKind, IdError, StreamId};
use daa_core::shutdown::Shutdown;
use futures_util::future::{Either, select};

pub use error::RunnerError;
use record::STATES;
pub(crate) use record::{FIRED, NOTIFIED, STATE};
pub use record::{FIRED_STREAMS, Fired, NOTIFICATIONS_STREAM, Notification};

use crate::engine::RulesEngine;
use crate::parameters::ParameterBook;
use crate::trigger::{LeftOut, State, Step};

/// Events that one pass reads.
const PAGE: usize = 256;
/// Events that trigger nothing, after which the place is put on record.
const UNSAVED: u64 = 1_000;
/// States after which those that are no more needed are erased.
const ERASED: u64 = 64;
/// How often a step is made again because somebody else set parameters.
const TRIES: u32 = 32;

/// Follows an event store, and lets the rules that govern emit, notify and set parameters when they are triggered.
///
/// What a rule does about one cause it does once: firings, notifications and parameters are in one append with the
/// runner's place, and an emitted action has an id that follows from rule and cause, under which the gate performs it
/// once. See the design of rules for what becomes of a crash at each point.
///
/// # Contract
/// - `gate` decides by `engine`, and both have `store`; windows and parameters are known only to an engine with a
///   [memory](RulesEngine::with_memory).
/// - At a time one process runs a name; hold a [lease](daa_core::lease). One that starts later takes over, and the one
///   before it ends with [`RunnerError::Superseded`] at its next append.
/// - One name goes with one ruleset and its successors: two runners of different names notify and set twice.
/// - Actions are performed one after the other, within a pass. Give the executor a time limit.
/// - What the gate does not permit, and what fails, is not tried again. An action whose outcome is uncertain is left to whoever [reconciles](Gate::reconcile) open actions.
#[derive(Debug)]
pub struct TriggerRunner {
    name: String,
    actor: AgentId,
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    engine: RulesEngine,
    gate: Gate,
    executor: Executed,
    parameters: ParameterBook,
    streams: Streams,
    loaded: Option<Loaded>,
    /// A pass was begun, and has not come to its end.
    passing: bool,
    superseded: bool,
}

/// Whoever performs; it need not be `Debug`.
struct Executed(Arc<dyn Executor>);

impl std::fmt::Debug for Executed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Executor")
    }
}

#[derive(Debug)]
struct Streams {
    state: StreamId,
    fired: StreamId,
    notified: StreamId,
}

/// The state, and what belongs to it in memory.
#[derive(Debug)]
struct Loaded {
    state: State,
    version: Version,
    fired: Version,
    /// Events since the place was put on record.
    unsaved: u64,
    /// What was left out as far as it is on record. A rule that was held back is so for good, so the place goes with it.
    left_out: LeftOut,
    /// Actions that wait to be submitted, as far as they need not be read.
    at_hand: HashMap<ActionId, (Action, Context)>,
}

/// What a pass came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Pass {
    /// Events that were looked at.
    pub events: u64,
    /// The rules that fired, in order.
    pub fired: Vec<Fired>,
    /// Emitted actions that the gate has seen to its end: performed, or not permitted.
    pub submitted: u64,
    /// Those among them that were not performed, or that may not have been, and what the gate said.
    pub unperformed: Vec<(ActionId, GateError)>,
    /// Emitted actions whose event was erased before they were submitted. Whether they were before a crash, the gate knows.
    pub lost: Vec<ActionId>,
    /// Emitted actions that wait.
    pub waiting: usize,
    /// Why the first of them waits.
    pub problem: Option<GateError>,
}

impl TriggerRunner {
    /// A runner of this name, which emits actions in the name of `actor`.
    ///
    /// # Errors
    /// [`IdError`] for a name of which no name of a stream can be made.
    pub fn new(
        name: &str,
        actor: AgentId,
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
        engine: RulesEngine,
        gate: Gate,
        executor: Arc<dyn Executor>,
    ) -> Result<Self, IdError> {
        let streams = Streams {
            state: StreamId::joined(&[STATES, name])?,
            fired: StreamId::joined(&[FIRED_STREAMS, name])?,
            notified: StreamId::new(NOTIFICATIONS_STREAM)?,
        };
        let (name, gate, executor) = (name.to_owned(), gate.reserved(), Executed(executor));
        let (parameters, loaded) = (ParameterBook::default(), None);
        Ok(Self {
            name,
            actor,
            store,
            clock,
            engine,
            gate,
            executor,
            parameters,
            streams,
            loaded,
            passing: false,
            superseded: false,
        })
    }

    /// How often rules were left out since the runner of this name was first started; `None` before the first pass.
    #[must_use]
    pub fn left_out(&self) -> Option<LeftOut> {
        self.loaded.as_ref().map(|loaded| loaded.state.left_out)
    }

    /// Up to where events have been considered; `None` before the first pass.
    #[must_use]
    pub fn place(&self) -> Option<Position> {
        self.loaded.as_ref().map(|loaded| loaded.state.place)
    }

    /// One pass: submits what waits, looks at the next events, at the time and at thresholds, and lets rules fire.
    ///
    /// # Errors
    /// [`RunnerError`]. What was on record before stays so; the next pass goes on from there.
    ///
    /// # Cancel safety
    /// A dropped call leaves everything as a crash would.
    pub async fn look(&mut self) -> Result<Pass, RunnerError> {
        if self.superseded {
            return Err(RunnerError::Superseded { name: self.name.clone() });
        }
        // What is on record is read again after a pass that was dropped, or failed: an append may have gone through.
        if std::mem::replace(&mut self.passing, true) {
            self.loaded = None;
        }
        let done = self.pass().await;
        self.passing = false;
        if let Err(error) = &done {
            self.loaded = None;
            self.superseded = matches!(error, RunnerError::Superseded { .. });
        }
        done
    }

    async fn pass(&mut self) -> Result<Pass, RunnerError> {
        let mut pass = Pass::default();
        if self.loaded.is_none() {
            self.loaded = Some(self.load().await?);
        }
        self.submit(&mut pass).await?;
        let place = self.loaded()?.state.place;
        if !self.loaded()?.state.is_full() {
            for event in &self.store.read_all(place, PageSize::new(PAGE)).await? {
                if !self.event(event, &mut pass).await? {
                    break;
                }
                pass.events += 1;
                if self.loaded()?.state.is_full() {
                    break;
                }
            }
            self.times(&mut pass).await?;
            self.submit(&mut pass).await?;
        }
        let loaded = self.loaded()?;
        if loaded.unsaved >= UNSAVED || loaded.left_out != loaded.state.left_out {
            let state = self.loaded()?.state.clone();
            self.append(Step::of(state), Version::EMPTY, &mut pass).await?;
        }
        pass.waiting = self.loaded()?.state.pending.len();
        Ok(pass)
    }

    /// Passes until it is told to end, and tells `report` of those that came to something. Between passes in which nothing
    /// happened it waits for `every`: so late may a rule be.
    ///
    /// # Errors
    /// [`RunnerError`] that does not pass by itself: it is told which, and ends. Others are told, and it goes on.
    ///
    /// # Cancel safety
    /// As [`Self::look`].
    pub async fn follow(
        mut self,
        every: Duration,
        mut shutdown: Shutdown,
        mut report: impl FnMut(Result<Pass, RunnerError>) + Send,
    ) -> Result<(), RunnerError> {
        while !shutdown.is_requested() {
            let is_idle = match self.look().await {
                Ok(pass) => {
                    let is_idle = pass.events == 0 && pass.fired.is_empty();
                    if !is_idle || !pass.fired.is_empty() || pass.submitted > 0 || pass.problem.is_some() {
                        report(Ok(pass));
                    }
                    is_idle
                }
                Err(error) if error.is_final() => return Err(error),
                Err(error) => {
                    report(Err(error));
                    true
                }
            };
            if is_idle {
                let (ended, slept) = (std::pin::pin!(shutdown.requested()), self.clock.sleep(every));
                if matches!(select(ended, slept).await, Either::Left(_)) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn loaded(&mut self) -> Result<&mut Loaded, RunnerError> {
        self.loaded.as_mut().ok_or(RunnerError::NotLoaded)
    }

    /// Reads where the runner stands, and claims it: whoever ran before is told at the next append.
    async fn load(&self) -> Result<Loaded, RunnerError> {
        for _ in 0..TRIES {
            let last = last_event(&*self.store, &self.streams.state, Version::EMPTY).await?;
            let (state, version) = match last {
                Some(event) => (event.json::<State>()?, event.version),
                None => (State::at(self.store.head().await?), Version::EMPTY),
            };
            let mut state = state.known().map_err(|format| RunnerError::TooNew { format })?;
            state.starts += 1;
            let write = self.state_write(&state, version)?;
            match self.store.append(Batch::new().with(write)).await {
                Ok(_) => {}
                // Whoever ran before goes on until it is told.
                Err(AppendError::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            // From here on nobody else appends to it.
            let fired = last_event(&*self.store, &self.streams.fired, Version::EMPTY).await?;
            let fired = fired.map_or(Version::EMPTY, |event| event.version);
            let (version, left_out) = (version.next(), state.left_out);
            return Ok(Loaded { state, version, fired, unsaved: 0, left_out, at_hand: HashMap::new() });
        }
        Err(RunnerError::Contended { tries: TRIES })
    }

    fn state_write(&self, state: &State, before: Version) -> Result<StreamWrite, RunnerError> {
        let event = NewEvent::json(EventKind::new(STATE)?, self.clock.now(), state)?;
        Ok(StreamWrite::new(self.streams.state.clone(), ExpectedVersion::Exact(before), vec![event]))
    }

    fn refused(&self, error: AppendError) -> RunnerError {
        match error {
            AppendError::Conflict { stream, .. }
                if stream == self.streams.state || stream == self.streams.fired =>
            {
                RunnerError::Superseded { name: self.name.clone() }
            }
            error => error.into(),
        }
    }
}
