//! The counts of a store, as far as they were read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daa_core::event::{EventStore, PageSize, ReadError, Version};
use daa_core::id::StreamId;

use super::error::MemoryError;
use super::event::CountEvent;
use super::tally::Tally;

/// How many entries are kept in memory; counts that were not used for longest are read again when they are.
const MAX_WEIGHT: usize = 1 << 20;
/// How many counts are.
const MAX_TALLIES: usize = 1 << 16;

/// A cache in front of the streams of counts.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    tallies: HashMap<StreamId, Page>,
    weight: usize,
    uses: u64,
}

#[derive(Debug)]
struct Page {
    tally: Arc<Tally>,
    used: u64,
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The count of a stream, with everything that is durable.
    pub(crate) async fn read(
        &self,
        store: &dyn EventStore,
        stream: &StreamId,
    ) -> Result<Arc<Tally>, MemoryError> {
        let known = self.pages().get(stream);
        let mut tally = match known {
            Some(tally) => tally,
            None => {
                let version = begin(store, stream).await?;
                Arc::new(Tally::behind(version))
            }
        };
        loop {
            let page = store.read_stream(stream, tally.version, PageSize::default()).await?;
            if page.is_empty() {
                break;
            }
            let grown = Arc::make_mut(&mut tally);
            for recorded in &page {
                match CountEvent::read(recorded)? {
                    Some(event) => grown.apply(event, recorded.version),
                    None => grown.version = recorded.version,
                }
            }
        }
        self.keep(stream, &tally);
        Ok(tally)
    }

    /// Takes note of what a count has become.
    pub(crate) fn keep(&self, stream: &StreamId, tally: &Arc<Tally>) {
        self.pages().put(stream, tally);
    }
}

impl Pages {
    fn get(&mut self, stream: &StreamId) -> Option<Arc<Tally>> {
        self.uses += 1;
        let page = self.tallies.get_mut(stream)?;
        page.used = self.uses;
        Some(Arc::clone(&page.tally))
    }

    fn put(&mut self, stream: &StreamId, tally: &Arc<Tally>) {
        self.uses += 1;
        match self.tallies.get_mut(stream) {
            // Another one was faster.
            Some(page) if page.tally.version > tally.version => {}
            Some(page) => {
                self.weight = (self.weight + tally.weight()).saturating_sub(page.tally.weight());
                *page = Page { tally: Arc::clone(tally), used: self.uses };
            }
            None => {
                self.weight += tally.weight();
                let page = Page { tally: Arc::clone(tally), used: self.uses };
                self.tallies.insert(stream.clone(), page);
            }
        }
        if self.weight > MAX_WEIGHT || self.tallies.len() > MAX_TALLIES {
            self.make_room();
        }
    }

    /// Drops the half that was not used for longest.
    fn make_room(&mut self) {
        let mut uses: Vec<u64> = self.tallies.values().map(|page| page.used).collect();
        let half = uses.len() / 2;
        if uses.is_empty() {
            return;
        }
        let (_, &mut median, _) = uses.select_nth_unstable(half);
        self.tallies.retain(|_, page| page.used >= median);
        self.weight = self.tallies.values().map(|page| page.tally.weight()).sum();
    }
}

/// The version behind which the first event of a stream stands that was not erased: what was erased is a prefix, and is
/// not worth reading.
pub(super) async fn begin(store: &dyn EventStore, stream: &StreamId) -> Result<Version, ReadError> {
    let is_erased = async |after: u64| {
        let page = store.read_stream(stream, Version::new(after), PageSize::new(1)).await?;
        Ok::<bool, ReadError>(page.first().is_some_and(|event| event.is_erased()))
    };
    // Up to and with `low`, everything is erased; behind `high`, nothing is.
    let (mut low, mut high) = (0u64, 1u64);
    while is_erased(high - 1).await? {
        (low, high) = (high, high.saturating_mul(2));
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if is_erased(middle - 1).await? { low = middle } else { high = middle }
    }
    Ok(Version::new(low))
}

#[cfg(test)]
mod tests {
    use daa_core::clock::Timestamp;
    use daa_core::event::{Batch, ExpectedVersion, MemoryEventStore, NewEvent};

    use super::*;

    #[tokio::test]
    async fn what_was_erased_is_not_read() {
        for total in [0u64, 1, 2, 3, 17] {
            for erased in 0..=total {
                let store = MemoryEventStore::new();
                let stream: StreamId = "s".parse().unwrap();
                for _ in 0..total {
                    let event = NewEvent::json("k".parse().unwrap(), Timestamp::EPOCH, &()).unwrap();
                    let batch = Batch::new().with_event(stream.clone(), ExpectedVersion::Any, event);
                    store.append(batch).await.unwrap();
                }
                store.erase(&stream, Version::new(erased)).await.unwrap();
                assert_eq!(begin(&store, &stream).await.unwrap().get(), erased, "{erased} of {total}");
            }
        }
    }
}
