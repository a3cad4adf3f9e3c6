//! The durable record of a relay: who is active, and how far it has come.
//!
//! Each event of the stream is a whole record, so that the last one suffices, and each write expects the version that
//! its writer knows, so that the write of one that was replaced is refused.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::RelayError;
use crate::clock::Clock;
use crate::event::{
    AppendError, Batch, DecodeError, EventStore, ExpectedVersion, NewEvent, Position, Version, last_event,
};
use crate::id::{EventKind, HolderId, RelayName, StreamId};

/// What begins the names of streams that are never relayed: what follows a store must not follow itself, and where
/// events were archived to is nothing that happened.
const OWN: [&str; 4] = ["relay/", "relay.skipped/", "inbox/", "archive/"];
/// So many records are kept before the earlier ones are erased.
const KEPT: u64 = 1_000;

/// Whether the events of a stream are records of relays, inboxes and archives.
pub(crate) fn is_own(stream: &StreamId) -> bool {
    OWN.iter().any(|own| stream.as_str().starts_with(own))
}

/// What a record says was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// The holder became the active one.
    Claimed,
    /// Everything up to the position is relayed.
    Advanced,
    /// The holder lives, and cannot get on.
    Waiting,
    /// The holder is not active any more.
    Released,
}

impl Done {
    const RELEASED: &str = "relay.released.v1";

    const fn kind(self) -> EventKind {
        EventKind::constant(match self {
            Self::Claimed => "relay.claimed.v1",
            Self::Advanced => "relay.advanced.v1",
            Self::Waiting => "relay.waiting.v1",
            Self::Released => Self::RELEASED,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    holder: HolderId,
    position: Position,
}

/// An event that was passed over because it could not be relayed.
#[derive(Debug, Serialize)]
pub(super) struct Skipped {
    pub(super) position: Position,
    pub(super) stream: StreamId,
    pub(super) kind: EventKind,
    pub(super) reason: String,
}

/// The last record.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) version: Version,
    pub(super) position: Position,
    /// Who is active; `None` once released.
    pub(super) holder: Option<HolderId>,
}

/// Why nothing was recorded.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another has written since.
    Replaced,
    Failed(AppendError),
}

#[derive(Debug)]
pub(super) struct Journal {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    stream: StreamId,
    skipped: StreamId,
    pub(super) holder: HolderId,
}

impl Journal {
    pub(super) fn new(
        name: &RelayName,
        holder: HolderId,
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RelayError> {
        let stream = |prefix| {
            let stream = StreamId::new(format!("{prefix}/{name}"));
            stream.map_err(|source| RelayError::Name { name: name.clone(), source })
        };
        // Its messages are named by the longest number behind its name, which is longer than both prefixes.
        StreamId::new(format!("{name}:{}", u64::MAX))
            .map_err(|source| RelayError::Name { name: name.clone(), source })?;
        Ok(Self { stream: stream("relay")?, skipped: stream("relay.skipped")?, store, clock, holder })
    }

    /// The last record behind version `known`, if there is one.
    pub(super) async fn tail(&self, known: Version) -> Result<Option<Tail>, RelayError> {
        let Some(last) = last_event(&*self.store, &self.stream, known).await? else { return Ok(None) };
        let Record { holder, position } = last.json()?;
        let holder = (last.kind.as_str() != Done::RELEASED).then_some(holder);
        Ok(Some(Tail { version: last.version, position, holder }))
    }

    /// Records what was done, if the stream is at `version`; answers its version after that.
    pub(super) async fn record(
        &self,
        done: Done,
        version: Version,
        position: Position,
        skipped: &[Skipped],
    ) -> Result<Version, Refused> {
        let batch = self.batch(done, version, position, skipped).map_err(Refused::Failed)?;
        match self.store.append(batch).await {
            Ok(_) => {}
            Err(AppendError::Conflict { .. }) => return Err(Refused::Replaced),
            Err(error) => return Err(Refused::Failed(error)),
        }
        if version.get().is_multiple_of(KEPT)
            && let Err(error) = self.store.erase(&self.stream, version).await
        {
            tracing::debug!(stream = %self.stream, %error, "earlier records of a relay are kept until the next time");
        }
        Ok(version.next())
    }

    fn batch(
        &self,
        done: Done,
        version: Version,
        position: Position,
        skipped: &[Skipped],
    ) -> Result<Batch, AppendError> {
        let now = self.clock.now();
        let unwritable = |error: DecodeError| AppendError::Unavailable { source: error.into() };
        let record = Record { holder: self.holder.clone(), position };
        let event = NewEvent::json(done.kind(), now, &record).map_err(unwritable)?;
        let mut batch = Batch::new().with_event(self.stream.clone(), ExpectedVersion::Exact(version), event);
        for skipped in skipped {
            let event = NewEvent::json(SKIPPED, now, skipped).map_err(unwritable)?;
            batch = batch.with_event(self.skipped.clone(), ExpectedVersion::Any, event);
        }
        Ok(batch)
    }
}

const SKIPPED: EventKind = EventKind::constant("relay.skipped.v1");
