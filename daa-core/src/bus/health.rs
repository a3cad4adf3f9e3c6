//! How a bus is.

use std::time::Duration;

/// Whether a bus can be used right now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusState {
    /// It answered.
    Ready {
        /// How long it took to answer; zero within a process.
        answered_in: Duration,
    },
    /// The broker cannot be reached or does not answer; the bus goes on trying by itself.
    Unavailable {
        /// Why, without addresses' secrets.
        reason: String,
    },
    /// It was closed and stays so.
    Closed,
}

/// How a bus is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusHealth {
    /// Whether it can be used right now.
    pub state: BusState,
    /// How often the connection to the broker was made anew.
    pub reconnects: u64,
}

impl BusHealth {
    /// For those who implement a bus.
    #[must_use]
    pub const fn new(state: BusState, reconnects: u64) -> Self {
        Self { state, reconnects }
    }

    /// Whether the bus takes and delivers messages: readiness. A bus that is closed is not alive either.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, BusState::Ready { .. })
    }

    /// Whether the bus is ready, or becomes so by itself: liveness.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        !matches!(self.state, BusState::Closed)
    }
}
