//! How far a reader is behind a store.

use std::time::Duration;

use super::error::ReadError;
use super::record::Position;
use super::store::{EventStore, PageSize};
use crate::clock::Timestamp;

/// How far one who follows a store is behind it, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// Everything up to here is dealt with.
    pub position: Position,
    /// The last event of the store.
    pub head: Position,
    /// When the first event that is not dealt with happened, by its writer's clock; `None` when there is none.
    pub oldest: Option<Timestamp>,
}

impl Lag {
    /// Measures it, by reading the first event behind `position`.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub async fn of(store: &dyn EventStore, position: Position) -> Result<Self, ReadError> {
        let head = store.head().await?;
        let oldest = match head > position {
            true => store.read_all(position, PageSize::new(1)).await?.first().map(|event| event.at),
            false => None,
        };
        Ok(Self { position, head: head.max(position), oldest })
    }

    /// How many events there are to deal with.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.head.get().saturating_sub(self.position.get())
    }

    /// How long the oldest of them has waited; zero when there is none. As right as the writers' clocks.
    #[must_use]
    pub fn time(&self, now: Timestamp) -> Duration {
        self.oldest.map_or(Duration::ZERO, |oldest| now.since(oldest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, ExpectedVersion, MemoryEventStore, NewEvent};

    #[tokio::test]
    async fn counts_events_and_time_since_the_first_that_waits() {
        let store = MemoryEventStore::new();
        for at in [1_000, 2_000, 3_000] {
            let event = NewEvent::new("k".parse().unwrap(), Timestamp::from_millis(at), bytes::Bytes::new());
            let batch = Batch::new().with_event("s".parse().unwrap(), ExpectedVersion::Any, event);
            store.append(batch).await.unwrap();
        }
        let lag = Lag::of(&store, Position::new(1)).await.unwrap();
        assert_eq!((lag.events(), lag.head), (2, Position::new(3)));
        assert_eq!(lag.time(Timestamp::from_millis(2_500)), Duration::from_millis(500));
        let none = Lag::of(&store, Position::new(3)).await.unwrap();
        assert_eq!((none.events(), none.time(Timestamp::from_millis(9_000))), (0, Duration::ZERO));
    }
}
