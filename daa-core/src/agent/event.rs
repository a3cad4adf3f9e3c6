//! What happens in an agent, for those who watch it.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::parameter::ParameterName;
use super::threshold::ThresholdName;
use crate::clock::Timestamp;
use crate::event::{DecodeError, NewEvent, RecordedEvent};
use crate::id::{ActionId, ActionKind, AgentId, EventKind, MetricName, StrategyName};

/// Something that happened in an agent. Each is in the stream of its agent, `agent/ID`, before anybody hears of
/// it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DaaEvent {
    /// A metric crossed a threshold; once per crossing.
    ThresholdRaised {
        /// The threshold.
        threshold: ThresholdName,
        /// The metric.
        metric: MetricName,
        /// Its value.
        value: f64,
    },
    /// A metric came back from beyond a threshold; once per crossing.
    ThresholdCleared {
        /// The threshold.
        threshold: ThresholdName,
        /// The metric.
        metric: MetricName,
        /// Its value.
        value: f64,
    },
    /// An action took effect.
    ActionSucceeded {
        /// The action.
        action: ActionId,
        /// What kind it is.
        kind: ActionKind,
    },
    /// An action did not succeed.
    ActionFailed {
        /// The action.
        action: ActionId,
        /// What kind it is.
        kind: ActionKind,
        /// Why, for people.
        error: String,
        /// Whether it may have taken effect all the same.
        uncertain: bool,
    },
    /// A parameter has a new value, on trial.
    ParameterChanged {
        /// The parameter.
        parameter: ParameterName,
        /// What it was.
        from: f64,
        /// What it is.
        to: f64,
    },
    /// A parameter passed its trial and keeps its value.
    AdaptationKept {
        /// The parameter.
        parameter: ParameterName,
        /// Its value.
        value: f64,
        /// The mean score before the trial.
        before: f64,
        /// The mean score during the trial.
        during: f64,
    },
    /// A parameter made things worse and has its former value again.
    AdaptationRolledBack {
        /// The parameter.
        parameter: ParameterName,
        /// The value on trial.
        from: f64,
        /// The value before and after.
        to: f64,
        /// The mean score before the trial.
        before: f64,
        /// The mean score during the trial.
        during: f64,
    },
    /// A cycle is over.
    CycleCompleted {
        /// Its number.
        cycle: u64,
        /// The strategy that was followed.
        strategy: Option<StrategyName>,
        /// What it was worth.
        score: Option<f64>,
        /// How many parts of the agent did not do their work.
        lapses: u64,
    },
}

impl DaaEvent {
    /// The name that events of this kind are stored under.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ThresholdRaised { .. } => "daa.threshold_raised.v1",
            Self::ThresholdCleared { .. } => "daa.threshold_cleared.v1",
            Self::ActionSucceeded { .. } => "daa.action_succeeded.v1",
            Self::ActionFailed { .. } => "daa.action_failed.v1",
            Self::ParameterChanged { .. } => "daa.parameter_changed.v1",
            Self::AdaptationKept { .. } => "daa.adaptation_kept.v1",
            Self::AdaptationRolledBack { .. } => "daa.adaptation_rolled_back.v1",
            Self::CycleCompleted { .. } => "daa.cycle_completed.v1",
        }
    }

    /// Reads a recorded event; `None` when it is something else.
    ///
    /// # Errors
    /// [`DecodeError`] when it is one of these, but does not decode.
    pub fn read(event: &RecordedEvent) -> Result<Option<Self>, DecodeError> {
        if event.kind.as_str().starts_with("daa.") { event.json().map(Some) } else { Ok(None) }
    }

    pub(super) fn to_new(&self, at: Timestamp) -> Result<NewEvent, DecodeError> {
        NewEvent::json(EventKind::constant(self.kind()), at, self)
    }
}

/// Hears of what happens in an agent, after it is durable. An event may be missed when the process dies between
/// the two: who must not miss any reads the agent's stream.
pub trait EventSink: Send + Sync {
    /// Takes an event. Must return at once: the agent waits for it.
    fn emit(&self, agent: &AgentId, event: &DaaEvent);
}

/// An [`EventSink`] that any number of listeners hear. It never waits for one: who is slower than its capacity
/// misses events, and is told how many.
#[derive(Clone)]
pub struct EventBroadcast {
    sender: broadcast::Sender<(AgentId, DaaEvent)>,
}

/// The largest backlog of an [`EventBroadcast`].
const MAX_BACKLOG: usize = 1 << 16;

impl EventBroadcast {
    /// A broadcast that keeps up to `backlog` events for listeners that fall behind (brought into `1..=65536`).
    #[must_use]
    pub fn new(backlog: usize) -> Self {
        Self { sender: broadcast::Sender::new(backlog.clamp(1, MAX_BACKLOG)) }
    }

    /// A listener that hears everything from now on.
    #[must_use]
    pub fn listen(&self) -> EventListener {
        EventListener { receiver: self.sender.subscribe() }
    }
}

impl fmt::Debug for EventBroadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBroadcast").field("listeners", &self.sender.receiver_count()).finish()
    }
}

impl EventSink for EventBroadcast {
    fn emit(&self, agent: &AgentId, event: &DaaEvent) {
        // Without a listener there is nobody to tell.
        let _ = self.sender.send((agent.clone(), event.clone()));
    }
}

/// Listens to an [`EventBroadcast`].
#[derive(Debug)]
pub struct EventListener {
    receiver: broadcast::Receiver<(AgentId, DaaEvent)>,
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// An event of an agent.
    Event(AgentId, DaaEvent),
    /// The listener was too slow for this many events.
    Missed(u64),
}

impl EventListener {
    /// The next event; `None` when no more will come.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.receiver.recv().await {
            Ok((agent, event)) => Some(Heard::Event(agent, event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
