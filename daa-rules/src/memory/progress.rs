//! How far a counter has followed the journal of actions.

use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, Version,
};
use daa_core::id::{EventKind, StreamId};
use serde::{Deserialize, Serialize};

use super::book;
use super::counter::Counter;
use super::error::MemoryError;

pub(crate) const COUNTED_TO: &str = "rules.counted_to.v1";
/// What the names of the streams begin with that tell it.
const STREAMS: &str = "rules.counted/";

/// Up to where a counter has counted everything that was permitted under whatever rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Everything up to here is counted, and has ended. What comes later is looked at again.
    pub(super) position: Position,
    /// Everything up to here was looked at: what is erased of it by now was seen.
    #[serde(default)]
    pub(super) seen: Position,
    /// When the last of those actions was permitted, or ended, that were erased before they were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gap: Option<Timestamp>,
}

impl Progress {
    /// What is on record, and the version of its stream.
    pub(super) async fn read(
        store: &dyn EventStore,
        counter: &Counter,
    ) -> Result<(Self, Version), MemoryError> {
        let stream = stream_of(counter);
        let (mut progress, mut version) = (Self::default(), book::begin(store, &stream).await?);
        loop {
            let page = store.read_stream(&stream, version, PageSize::default()).await?;
            let Some(last) = page.last() else { return Ok((progress, version)) };
            version = last.version;
            for event in page.iter().filter(|event| event.kind.as_str() == COUNTED_TO) {
                let read: Self = event.json()?;
                progress = Self {
                    position: progress.position.max(read.position),
                    seen: progress.seen.max(read.seen).max(read.position),
                    gap: progress.gap.max(read.gap),
                };
            }
        }
    }

    /// Writes it down behind what was read at this version; answers the stream, of which everything up to there is not
    /// needed any more. Where another one was faster, nothing is written, and it is found out again another time.
    pub(super) async fn write(
        self,
        store: &dyn EventStore,
        counter: &Counter,
        version: Version,
    ) -> Result<Option<StreamId>, MemoryError> {
        let stream = stream_of(counter);
        let event = NewEvent::json(kind(), Timestamp::EPOCH, &self)?;
        let batch = Batch::new().with_event(stream.clone(), ExpectedVersion::Exact(version), event);
        match store.append(batch).await {
            Ok(_) => Ok(Some(stream)),
            Err(AppendError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[expect(clippy::expect_used, reason = "a constant, and the hexadecimal digits of a digest")]
fn stream_of(counter: &Counter) -> StreamId {
    StreamId::joined(&[STREAMS, &counter.digest().to_string()]).expect("a digest is of the id alphabet")
}

const fn kind() -> EventKind {
    EventKind::constant(COUNTED_TO)
}
