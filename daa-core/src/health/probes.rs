//! Probes of the contracts of this crate.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Condition, Probe, Without};
use crate::bus::{BusState, EventBus};
use crate::clock::Clock;
use crate::event::{EventStore, ReadError};

/// Asks an event store for its head. Without a store, work is refused: nothing can be recorded.
#[derive(Clone, Debug)]
pub struct StoreProbe {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
}

impl StoreProbe {
    /// A probe of this store; the clock tells how long an answer takes.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

#[async_trait]
impl Probe for StoreProbe {
    fn part(&self) -> &str {
        "store"
    }

    fn without(&self) -> Without {
        Without::Refuses
    }

    async fn condition(&self) -> Condition {
        let began = self.clock.now();
        match self.store.head().await {
            Ok(_) => Condition::Ready { answered_in: self.clock.now().since(began) },
            Err(ReadError::Closed) => Condition::Closed,
            Err(error) => Condition::unavailable(&error),
        }
    }
}

/// Asks a bus how it is. Without a bus, what is to be published waits: the truth is in the event store.
#[derive(Clone, Debug)]
pub struct BusProbe(Arc<dyn EventBus>);

impl BusProbe {
    /// A probe of this bus.
    #[must_use]
    pub fn new(bus: Arc<dyn EventBus>) -> Self {
        Self(bus)
    }
}

#[async_trait]
impl Probe for BusProbe {
    fn part(&self) -> &str {
        "bus"
    }

    fn without(&self) -> Without {
        Without::Waits
    }

    async fn condition(&self) -> Condition {
        match self.0.health().await.state {
            BusState::Ready { answered_in } => Condition::Ready { answered_in },
            BusState::Unavailable { reason } => Condition::Unavailable { reason },
            BusState::Closed => Condition::Closed,
        }
    }
}
