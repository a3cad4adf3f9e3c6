//! What the store in front, its subscriptions and the moving of events share: reading back.

use std::sync::Arc;

use bytes::Bytes;

use super::error::ArchiveError;
use super::index::Index;
use super::shelf::{Shelf, lost};
use crate::clock::Clock;
use crate::event::{EventStore, PageSize, ReadError, RecordedEvent};

/// How often something is tried again that others came before.
pub(super) const MAX_CONFLICTS: u32 = 16;

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shelf: Shelf,
    pub(super) index: Index,
}

impl Parts {
    /// A page with the content of what was archived. It ends where its payloads would be too large together.
    pub(super) async fn restored(&self, page: Vec<RecordedEvent>) -> Result<Vec<RecordedEvent>, ReadError> {
        if !page.iter().any(RecordedEvent::is_erased) {
            return Ok(page);
        }
        // Read after the page: what was erased in it because it is archived is in the index by then.
        self.index.refresh(&*self.store).await?;
        let (mut restored, mut bytes) = (Vec::with_capacity(page.len()), 0);
        for event in page {
            let event = if event.is_erased() { self.restore(event).await? } else { event };
            if bytes >= PageSize::MAX_BYTES {
                break;
            }
            bytes += event.payload.len();
            restored.push(event);
        }
        Ok(restored)
    }

    /// An event whose content is not in the store.
    async fn restore(&self, event: RecordedEvent) -> Result<RecordedEvent, ReadError> {
        for _ in 0..MAX_CONFLICTS {
            let Some(part) = self.index.part_of(&event) else { return Ok(event) };
            match self.shelf.fetch(&part).await {
                Ok(segment) => {
                    let kept = segment.at(event.position).filter(|kept| is_same(kept, &event));
                    let kept = kept.ok_or_else(|| lost(&part).into_read())?;
                    // A copy, so that whoever holds on to an event does not hold on to its whole part.
                    let payload = Bytes::copy_from_slice(&kept.payload);
                    return Ok(RecordedEvent { kind: kept.kind.clone(), payload, ..event });
                }
                Err(ArchiveError::Lost { .. }) => {
                    // It may have been collected, because another artefact has the part now.
                    self.index.refresh(&*self.store).await?;
                    if self.index.part_of(&event) == Some(part) {
                        return Err(lost(&part).into_read());
                    }
                }
                Err(error) => return Err(error.into_read()),
            }
        }
        Err(ArchiveError::Contended { tries: MAX_CONFLICTS }.into_read())
    }
}

/// Whether it is this event, with its content.
fn is_same(kept: &RecordedEvent, event: &RecordedEvent) -> bool {
    (kept.position, &kept.stream, kept.version, kept.at)
        == (event.position, &event.stream, event.version, event.at)
}
