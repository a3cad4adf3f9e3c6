//! How a projector is.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::metrics::{Counters, ProjectorMetrics};
use crate::clock::Clock;
use crate::event::{EventStore, Lag, Position, ReadError};
use crate::relay::lag_text;

/// What a projector does right now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProjectorState {
    /// It has not begun yet.
    Starting,
    /// It builds a version that readers do not see yet.
    Building,
    /// It keeps the live version up to date.
    Following,
    /// Another process does.
    StandingBy,
    /// The store or the model fails; it goes on trying.
    Resting {
        /// Why, for people.
        error: String,
    },
    /// It has ended.
    Ended,
}

/// How a projector is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectorStatus {
    /// What it does.
    pub state: ProjectorState,
    /// How far the version that it keeps is behind the store.
    pub lag: Lag,
    /// How long the oldest event has waited that is not in the model.
    pub waited: Duration,
    /// What it has done.
    pub metrics: ProjectorMetrics,
}

impl ProjectorStatus {
    /// Whether its version is the one that readers see, and is kept up to date, here or elsewhere.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, ProjectorState::Following | ProjectorState::StandingBy)
    }
}

/// In the text format that Prometheus reads.
impl fmt::Display for ProjectorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.metrics, f)?;
        lag_text(f, "daa_projector", &self.lag, self.waited)
    }
}

/// What a projector shows of itself.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) counters: Counters,
    state: Mutex<ProjectorState>,
    /// How far the version is, wherever it is.
    pub(super) position: watch::Sender<Position>,
    /// How far readers see it.
    pub(super) live: watch::Sender<Option<Position>>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            counters: Counters::default(),
            state: Mutex::new(ProjectorState::Starting),
            position: watch::Sender::new(Position::START),
            live: watch::Sender::new(None),
        }
    }

    pub(super) fn is(&self, state: ProjectorState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(super) fn is_at(&self, position: Position, live: bool) {
        self.position.send_replace(position);
        if live {
            self.live.send_replace(Some(position));
        }
    }
}

/// Looks at a [`Projector`](super::Projector) while it runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProjectorMonitor {
    pub(super) shared: Arc<Shared>,
    pub(super) live: watch::Receiver<Option<Position>>,
    pub(super) store: Arc<dyn EventStore>,
    pub(super) clock: Arc<dyn Clock>,
}

impl ProjectorMonitor {
    /// What the projector does right now.
    #[must_use]
    pub fn state(&self) -> ProjectorState {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has done so far.
    #[must_use]
    pub fn metrics(&self) -> ProjectorMetrics {
        self.shared.counters.read()
    }

    /// Waits until readers see everything up to `position`, as far as this projector knows; so whoever appended something
    /// can wait until it is in the model. For ever, should the projector end before.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn reached(&mut self, position: Position) {
        // The sender lives in `self`.
        let _ = self.live.wait_for(|live| live.is_some_and(|live| live >= position)).await;
    }

    /// How it is; asks the store how far behind it the model is.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn status(&self) -> Result<ProjectorStatus, ReadError> {
        let position = *self.shared.position.borrow();
        let lag = Lag::of(&*self.store, position).await?;
        let waited = lag.time(self.clock.now());
        Ok(ProjectorStatus { state: self.state(), lag, waited, metrics: self.metrics() })
    }
}
