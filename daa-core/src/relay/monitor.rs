//! How a relay is.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::metrics::{Counters, RelayMetrics};
use crate::clock::Clock;
use crate::event::{EventStore, Lag, Position, ReadError};

/// What a relay does right now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayState {
    /// Another is active, or this one does not run yet.
    StandingBy,
    /// It relays.
    Active,
    /// It is active, and the bus does not take what it publishes; it goes on trying.
    Waiting {
        /// Why, for people.
        error: String,
    },
    /// It cannot use the store; it goes on trying.
    Resting {
        /// Why, for people.
        error: String,
    },
    /// It has ended.
    Ended,
}

/// How a relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayStatus {
    /// What it does.
    pub state: RelayState,
    /// How far it is behind the store; for one that stands by, how far the active one is as far as it knows.
    pub lag: Lag,
    /// How long the oldest event has waited that is not relayed.
    pub waited: Duration,
    /// What it has done.
    pub metrics: RelayMetrics,
}

impl RelayStatus {
    /// Whether it does what it is there for: relays, or stands by.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, RelayState::Active | RelayState::StandingBy)
    }
}

/// In the text format that Prometheus reads.
impl fmt::Display for RelayStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.metrics, f)?;
        lag_text(f, "daa_relay", &self.lag, self.waited)
    }
}

/// The lag in the text format that Prometheus reads.
pub(crate) fn lag_text(f: &mut fmt::Formatter<'_>, prefix: &str, lag: &Lag, waited: Duration) -> fmt::Result {
    let mut gauge = |name: &str, help: &str, value: f64| {
        let name = format!("{prefix}_{name}");
        writeln!(f, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}")
    };
    gauge("position", "Everything up to here is dealt with.", lag.position.get() as f64)?;
    gauge("head", "The last event of the store.", lag.head.get() as f64)?;
    gauge("lag_events", "Events that are not dealt with.", lag.events() as f64)?;
    gauge("lag_seconds", "How long the oldest of them has waited.", waited.as_secs_f64())
}

/// What a relay shows of itself.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) counters: Counters,
    position: AtomicU64,
    waiting: AtomicBool,
    state: Mutex<RelayState>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            counters: Counters::default(),
            position: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            state: Mutex::new(RelayState::StandingBy),
        }
    }

    pub(super) fn is(&self, state: RelayState) {
        self.waiting.store(matches!(state, RelayState::Waiting { .. }), Ordering::Release);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(super) fn is_at(&self, position: Position) {
        self.position.store(position.get(), Ordering::Release);
    }

    pub(super) fn published(&self, duplicate: bool) {
        self.counters.published.one();
        self.counters.repeated.add(u64::from(duplicate));
        if self.waiting.load(Ordering::Acquire) {
            self.is(RelayState::Active);
        }
    }

    pub(super) fn waits(&self, error: String) {
        self.counters.retried.one();
        self.is(RelayState::Waiting { error });
    }
}

/// Looks at a [`Relay`](super::Relay) while it runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RelayMonitor {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) clock: Arc<dyn Clock>,
}

impl RelayMonitor {
    /// What the relay does right now.
    #[must_use]
    pub fn state(&self) -> RelayState {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has done so far.
    #[must_use]
    pub fn metrics(&self) -> RelayMetrics {
        self.shared.counters.read()
    }

    /// How it is; asks the store how far behind it the relay is.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn status(&self) -> Result<RelayStatus, ReadError> {
        let position = Position::new(self.shared.position.load(Ordering::Acquire));
        let lag = Lag::of(&*self.store, position).await?;
        let waited = lag.time(self.clock.now());
        Ok(RelayStatus { state: self.state(), lag, waited, metrics: self.metrics() })
    }
}
