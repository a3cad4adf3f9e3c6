//! The end of a stream, without reading all of it.

use super::error::ReadError;
use super::record::{RecordedEvent, Version};
use super::store::{EventStore, PageSize};
use crate::id::StreamId;

/// So many events are read where the end may be near.
const NEAR: usize = 16;

/// The last event of a stream, which has at least `known` events; `None` when there is none behind `known`.
///
/// Looks ever further ahead until there is nothing, and then halves: a stream of *n* further events costs about
/// 2·log₂ *n* reads of one event.
///
/// # Errors
/// [`ReadError`] when the store cannot be read.
pub async fn last_event(
    store: &dyn EventStore,
    stream: &StreamId,
    known: Version,
) -> Result<Option<RecordedEvent>, ReadError> {
    let Some(mut last) = store.read_stream(stream, known, PageSize::new(NEAR)).await?.pop() else {
        return Ok(None);
    };
    // There is an event at `last.version`, and none at `end` once it is known.
    let (mut step, mut end) = (1_u64, None);
    loop {
        let there = last.version.get();
        let probe = match end {
            Some(end) if end - there <= 1 => return Ok(Some(last)),
            Some(end) => there + (end - there) / 2,
            None => there.saturating_add(step),
        };
        let found = store.read_stream(stream, Version::new(probe - 1), PageSize::new(1)).await?;
        match found.into_iter().next() {
            Some(event) => last = event,
            None => end = Some(probe),
        }
        step = step.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::{Batch, ExpectedVersion, MemoryEventStore, NewEvent, StreamWrite};

    #[tokio::test]
    async fn finds_the_end_of_streams_of_any_length() {
        for length in [0_usize, 1, 2, 15, 16, 17, 18, 31, 33, 1_000] {
            let (store, stream) = (MemoryEventStore::new(), StreamId::new("s").unwrap());
            let event = NewEvent::new("k".parse().unwrap(), Timestamp::EPOCH, bytes::Bytes::new());
            if length > 0 {
                let write = StreamWrite::new(stream.clone(), ExpectedVersion::Any, vec![event; length]);
                store.append(Batch::new().with(write)).await.unwrap();
            }
            for known in [0, 1, length / 2, length.saturating_sub(1), length] {
                let known = known.min(length);
                let last = last_event(&store, &stream, Version::new(known as u64)).await.unwrap();
                let expected = (known < length).then_some(length as u64);
                assert_eq!(last.map(|event| event.version.get()), expected, "{known} of {length}");
            }
        }
    }
}
