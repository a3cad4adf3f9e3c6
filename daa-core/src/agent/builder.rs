//! Puts an agent together.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::adapt::{Adapter, HillClimber};
use super::error::AgentError;
use super::event::EventSink;
use super::limits::TimeLimits;
use super::machine::Config;
use super::observe::DataCollector;
use super::parameter::Parameter;
use super::reason::{Reasoner, Strategy, WeightedReasoner};
use super::reflect::{ExpectationReflector, Reflector};
use super::runtime::{Agent, Parts};
use super::state::MAX_STRATEGIES;
use super::threshold::Threshold;
use crate::action::{Executor, Executors, Gate};
use crate::clock::Clock;
use crate::event::{EventStore, Version};
use crate::id::{ActionKind, AgentId, StreamId};

/// The longest id of an agent: action ids are made of it.
const MAX_AGENT_ID: usize = 120;
/// The most collectors, thresholds, and parameters, each.
const MAX_PARTS: usize = 64;
/// After how many cycles a snapshot is written.
const SNAPSHOT_EVERY: u64 = 64;

/// Puts an [`Agent`] together.
pub struct AgentBuilder {
    id: AgentId,
    gate: Gate,
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    parts: Parts,
    thresholds: Vec<Threshold>,
    parameters: Vec<Parameter>,
    cadence: Duration,
}

impl fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AgentBuilder {
    pub(super) fn new(id: AgentId, gate: Gate, store: Arc<dyn EventStore>, clock: Arc<dyn Clock>) -> Self {
        let parts = Parts {
            collectors: Vec::new(),
            strategies: Vec::new(),
            reasoner: Arc::new(WeightedReasoner),
            executors: Executors::new(),
            reflector: Arc::new(ExpectationReflector),
            adapter: Arc::new(HillClimber::default()),
            sink: None,
            limits: TimeLimits::default(),
        };
        let (thresholds, parameters, cadence) = (Vec::new(), Vec::new(), Duration::from_secs(1));
        Self { id, gate, store, clock, parts, thresholds, parameters, cadence }
    }

    /// Adds a collector.
    #[must_use]
    pub fn with_collector(mut self, collector: impl DataCollector + 'static) -> Self {
        self.parts.collectors.push(Arc::new(collector));
        self
    }

    /// Adds a threshold.
    #[must_use]
    pub fn with_threshold(mut self, threshold: Threshold) -> Self {
        self.thresholds.push(threshold);
        self
    }

    /// Adds a strategy.
    #[must_use]
    pub fn with_strategy(mut self, strategy: impl Strategy + 'static) -> Self {
        self.parts.strategies.push(Arc::new(strategy));
        self
    }

    /// Sets the reasoner; by default [`WeightedReasoner`].
    #[must_use]
    pub fn with_reasoner(mut self, reasoner: impl Reasoner + 'static) -> Self {
        self.parts.reasoner = Arc::new(reasoner);
        self
    }

    /// Adds the executor of a kind of action; an earlier one is replaced.
    #[must_use]
    pub fn with_executor(mut self, kind: ActionKind, executor: impl Executor + 'static) -> Self {
        self.parts.executors = self.parts.executors.with(kind, executor);
        self
    }

    /// Sets all executors.
    #[must_use]
    pub fn with_executors(mut self, executors: Executors) -> Self {
        self.parts.executors = executors;
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with_parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Sets the reflector; by default [`ExpectationReflector`].
    #[must_use]
    pub fn with_reflector(mut self, reflector: impl Reflector + 'static) -> Self {
        self.parts.reflector = Arc::new(reflector);
        self
    }

    /// Sets the adapter; by default [`HillClimber`].
    #[must_use]
    pub fn with_adapter(mut self, adapter: impl Adapter + 'static) -> Self {
        self.parts.adapter = Arc::new(adapter);
        self
    }

    /// Sets who hears of events; by default nobody.
    #[must_use]
    pub fn with_events(mut self, sink: impl EventSink + 'static) -> Self {
        self.parts.sink = Some(Arc::new(sink));
        self
    }

    /// Sets the time from the beginning of one cycle to that of the next in [`Agent::run`]; by default one second.
    #[must_use]
    pub const fn with_cadence(mut self, cadence: Duration) -> Self {
        self.cadence = cadence;
        self
    }

    /// Sets the time limits.
    #[must_use]
    pub const fn with_time_limits(mut self, limits: TimeLimits) -> Self {
        self.parts.limits = limits;
        self
    }

    /// Builds the agent: reads what it has learned from its stream, and takes the stream over from any earlier
    /// instance, which can write nothing from then on.
    ///
    /// # Errors
    /// [`AgentError`] when parts have the same name or are too many, or the store is not available.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn build(self) -> Result<Agent, AgentError> {
        let config = self.config()?;
        let mut agent = Agent {
            stream: StreamId::new(format!("agent/{}", self.id))?,
            id: self.id,
            store: self.store,
            clock: self.clock,
            gate: self.gate,
            parts: self.parts,
            config: Arc::new(config),
            cadence: self.cadence,
            incarnation: 0,
            deposed: None,
            version: Version::EMPTY,
            machine: None,
        };
        agent.take_over().await?;
        Ok(agent)
    }

    fn config(&self) -> Result<Config, AgentError> {
        if self.id.as_str().len() > MAX_AGENT_ID {
            return Err(AgentError::IdTooLong { agent: self.id.clone() });
        }
        let collectors: Vec<_> =
            self.parts.collectors.iter().map(|part| (part.name().clone(), part.interval())).collect();
        check("collectors", MAX_PARTS, collectors.iter().map(|(name, _)| name.as_str()))?;
        check("thresholds", MAX_PARTS, self.thresholds.iter().map(|part| part.name().as_str()))?;
        check("parameters", MAX_PARTS, self.parameters.iter().map(|part| part.name().as_str()))?;
        check("strategies", MAX_STRATEGIES, self.parts.strategies.iter().map(|part| part.name().as_str()))?;
        Ok(Config {
            collectors,
            thresholds: self.thresholds.clone(),
            parameters: self.parameters.clone().into(),
            snapshot_every: SNAPSHOT_EVERY,
        })
    }
}

fn check<'a>(
    what: &'static str,
    limit: usize,
    names: impl ExactSizeIterator<Item = &'a str>,
) -> Result<(), AgentError> {
    let actual = names.len();
    if actual > limit {
        return Err(AgentError::TooMany { what, actual, limit });
    }
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(AgentError::Duplicate { what, name: name.to_owned() });
        }
    }
    Ok(())
}
