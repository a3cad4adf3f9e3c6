//! What several tests need.

use daa_core::clock::Timestamp;
use daa_core::event::testing::{ModelStep, ModelWrite};
use daa_core::event::{
    Appended, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, RecordedEvent, StreamWrite,
};
use proptest::prelude::*;

/// A batch of three events in two streams; all payloads name the batch.
pub(crate) fn small(tag: u64) -> Batch {
    of_size(tag, 40)
}

/// As [`small`], with payloads of about `bytes` bytes.
pub(crate) fn of_size(tag: u64, bytes: usize) -> Batch {
    let payload = format!("{tag:06} {}", "x".repeat(bytes));
    let event = || {
        let kind = "test.happened.v1".try_into().unwrap();
        NewEvent::new(kind, Timestamp::from_millis(tag), payload.clone().into())
    };
    let own = StreamWrite::new(
        format!("own/{}", tag % 7).try_into().unwrap(),
        ExpectedVersion::Any,
        vec![event(), event()],
    );
    Batch::new().with(own).with_event("shared".try_into().unwrap(), ExpectedVersion::Any, event())
}

pub(crate) async fn append(store: &dyn EventStore, batch: Batch) -> Appended {
    store.append(batch).await.unwrap()
}

/// Everything in the store, which must be whole batches of [`small`] or [`of_size`] without a gap.
pub(crate) async fn everything(store: &dyn EventStore) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |event| event.position);
        let more = store.read_all(after, PageSize::default()).await.unwrap();
        if more.is_empty() {
            break;
        }
        events.extend(more);
    }
    check_whole(&events);
    events
}

/// The batches are whole, and the order has no gap.
pub(crate) fn check_whole(events: &[RecordedEvent]) {
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position.get(), position, "a gap");
    }
    assert_eq!(events.len() % 3, 0, "part of a batch");
    for batch in events.chunks(3) {
        assert!(batch.iter().all(|event| event.payload == batch[0].payload), "part of a batch");
        assert_eq!(batch[2].stream.as_str(), "shared");
    }
}

/// The tag of the batch that an event is of.
pub(crate) fn tag(event: &RecordedEvent) -> u64 {
    event.at.as_millis()
}

/// Steps for [`behaves_as_the_model`](daa_core::event::testing::behaves_as_the_model).
pub(crate) fn model_steps() -> impl Strategy<Value = Vec<ModelStep>> {
    let off = prop_oneof![4 => Just(Some(0)), 4 => Just(None), 1 => (-2_i8..=2).prop_map(Some)];
    let write =
        (0_u8..4, off, 0_u8..4).prop_map(|(stream, off, events)| ModelWrite::new(stream, off, events));
    let append = prop::collection::vec(write, 1..4).prop_map(ModelStep::Append);
    let erase = (0_u8..5, 0_u8..12).prop_map(|(stream, up_to)| ModelStep::Erase { stream, up_to });
    prop::collection::vec(prop_oneof![4 => append, 1 => erase], 0..30)
}
