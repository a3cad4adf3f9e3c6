//! Moves events into artefacts, and takes their content away for good.
//!
//! A part is archived in four steps: an entry of the index says that somebody begins; the events are read and put as an
//! artefact; an entry names it; and only when the artefact gives them back, the store erases them. Whatever is cut off,
//! the events are in the store or in an artefact that the index names.

use std::collections::BTreeMap;

use super::error::ArchiveError;
use super::index::{End, Entry, Part};
use super::parts::{MAX_CONFLICTS, Parts};
use super::segment::Segment;
use super::shelf::lost;
use crate::event::{AppendError, PageSize, Position, RecordedEvent, Version};
use crate::id::StreamId;

/// A part has no more events, and is full with so many bytes of payload.
const EVENTS: usize = 10_000;
const BYTES: usize = 8 << 20;

impl Parts {
    /// Archives all up to `up_to`; answers how far it is archived.
    pub(super) async fn archive(&self, up_to: Position) -> Result<Position, ArchiveError> {
        let mut conflicts = 0;
        loop {
            let end = self.index.refresh(&*self.store).await?;
            if let Some(part) = self.index.last_part() {
                self.finish(&part).await?;
            }
            let Some(last) = self.next_end(end.last, up_to).await? else { return Ok(end.last) };
            match self.archive_part(end, last).await {
                Ok(()) => conflicts = 0,
                Err(ArchiveError::Append(AppendError::Conflict { .. })) if conflicts < MAX_CONFLICTS => {
                    conflicts += 1;
                }
                Err(ArchiveError::Append(AppendError::Conflict { .. })) => {
                    return Err(ArchiveError::Contended { tries: conflicts });
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn archive_part(&self, end: End, last: Position) -> Result<(), ArchiveError> {
        self.enter(end.version, &Entry::Begun).await?;
        // Read after it began: what others erase from now on, they tell.
        let first = end.last.next();
        let segment = Segment::new(self.range(first, last).await?);
        let artifact = self.shelf.put(&segment).await?;
        let part = Part { first, last, artifact };
        self.enter(end.version.next(), &Entry::Archived(part)).await
    }

    /// Erases in the store what a part holds, should that not be done.
    async fn finish(&self, part: &Part) -> Result<(), ArchiveError> {
        let stored = self.range(part.first, part.last).await?;
        if !stored.iter().any(|event| self.is_content(event)) {
            return Ok(());
        }
        let segment = match self.shelf.read(part).await? {
            Some(segment) => segment,
            None => {
                // It was put and collected before the index named it. Nothing was erased then.
                let again = Segment::new(stored.clone());
                if self.shelf.put(&again).await? != part.artifact {
                    return Err(lost(part));
                }
                self.shelf.read(part).await?.ok_or_else(|| lost(part))?
            }
        };
        // What is erased for good in the part may be in the store still.
        let is_kept = |event: &RecordedEvent| {
            segment.at(event.position).is_some_and(|kept| kept.is_erased() || kept == event)
        };
        if !stored.iter().filter(|event| !event.is_erased()).all(is_kept) {
            return Err(lost(part));
        }
        let mut ends: BTreeMap<&StreamId, Version> = BTreeMap::new();
        for event in segment.events().iter().filter(|event| !self.index.is_own(&event.stream)) {
            ends.insert(&event.stream, event.version);
        }
        for (stream, version) in ends {
            self.store.erase(stream, version).await?;
        }
        Ok(())
    }

    /// Where the part behind `after` ends; `None` where it is not worth one.
    async fn next_end(&self, after: Position, up_to: Position) -> Result<Option<Position>, ArchiveError> {
        let (mut last, mut events, mut bytes, mut is_worth) = (after, 0, 0, false);
        while last < up_to && events < EVENTS && bytes < BYTES {
            let page = self.store.read_all(last, PageSize::default()).await?;
            if page.is_empty() {
                break;
            }
            for event in page {
                if event.position > up_to || events == EVENTS || bytes >= BYTES {
                    break;
                }
                last = event.position;
                events += 1;
                bytes += event.payload.len();
                is_worth |= self.is_content(&event);
            }
        }
        Ok((is_worth || events == EVENTS).then_some(last))
    }

    /// Whether erasing it would free anything.
    fn is_content(&self, event: &RecordedEvent) -> bool {
        !event.is_erased() && !self.index.is_own(&event.stream)
    }

    /// The events from `first` to `last`, as they are in the store.
    async fn range(&self, first: Position, last: Position) -> Result<Vec<RecordedEvent>, ArchiveError> {
        let mut events: Vec<RecordedEvent> = Vec::new();
        let mut after = Position::new(first.get().saturating_sub(1));
        while after < last {
            let page = self.store.read_all(after, PageSize::default()).await?;
            let Some(end) = page.last() else { break };
            after = end.position;
            events.extend(page.into_iter().take_while(|event| event.position <= last));
        }
        Ok(events)
    }

    async fn enter(&self, behind: Version, entry: &Entry) -> Result<(), ArchiveError> {
        Ok(self.index.append(&*self.store, behind, entry, self.clock.now()).await?)
    }

    /// Erases events wherever they are; answers how many had content.
    pub(super) async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, ArchiveError> {
        if self.index.is_own(stream) {
            return Ok(0);
        }
        let (mut erased, mut archived) = (0, Version::EMPTY);
        for _ in 0..MAX_CONFLICTS {
            let end = self.index.refresh(&*self.store).await?;
            match self.erase_archived(stream, up_to, end, (&mut erased, &mut archived)).await {
                Ok(()) => {}
                Err(ArchiveError::Append(AppendError::Conflict { .. })) => continue,
                Err(error) => return Err(error),
            }
            // What the parts held may still be in the store, and was counted; then what only the store holds.
            if archived > Version::EMPTY {
                self.store.erase(stream, archived).await?;
            }
            erased += self.store.erase(stream, up_to).await?;
            // Whoever archives may have read it before.
            let now = self.index.refresh(&*self.store).await?;
            if now.last == end.last && !now.begun {
                return Ok(erased);
            }
            if now.begun {
                match self.enter(now.version, &Entry::Interrupted).await {
                    Ok(()) if now.last == end.last => return Ok(erased),
                    Ok(()) | Err(ArchiveError::Append(AppendError::Conflict { .. })) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Err(ArchiveError::Contended { tries: MAX_CONFLICTS })
    }

    /// Replaces the parts that hold content of the stream, from the first on. Adds to the number of events that had
    /// content, and tells the last version that is archived.
    async fn erase_archived(
        &self,
        stream: &StreamId,
        up_to: Version,
        end: End,
        (erased, archived): (&mut u64, &mut Version),
    ) -> Result<(), ArchiveError> {
        let (mut version, mut after, mut done) = (end.version, Version::EMPTY, Position::START);
        if end.last == Position::START {
            return Ok(());
        }
        loop {
            let page = self.store.read_stream(stream, after, PageSize::default()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.version;
            for event in &page {
                let part = self.index.part_of(event).filter(|_| event.version <= up_to);
                let Some(part) = part else { return Ok(()) };
                *archived = event.version;
                if part.last <= done {
                    continue;
                }
                done = part.last;
                let segment = self.shelf.fetch(&part).await?;
                let (blank, events) =
                    segment.erasing(|event| event.stream == *stream && event.version <= up_to);
                if events > 0 {
                    let artifact = self.shelf.put(&blank).await?;
                    self.enter(version, &Entry::Archived(Part { artifact, ..part })).await?;
                    version = version.next();
                    *erased += events;
                }
            }
        }
    }
}
