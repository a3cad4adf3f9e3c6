//! The history of a run outside the store: moved to an artefact once the run has ended, and read from there.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::WorkflowError;
use super::load;
use super::parts::Parts;
use super::run::{Refused, Run, RunEvent, RunStarted};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::event::{
    AppendError, Batch, ExpectedVersion, PageSize, Position, RecordedEvent, StreamWrite, Version,
};
use crate::id::{EventKind, RunId, StreamId};

/// How often archiving is tried again when something else was written to the stream meanwhile.
const MAX_CONFLICTS: u32 = 8;

/// One line of an archive: an event as it stood in the stream.
#[derive(Serialize, Deserialize)]
struct Line {
    version: Version,
    at: Timestamp,
    kind: EventKind,
    event: Box<RawValue>,
}

/// An event of a run, from its stream or from its archive.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its place in the history, from 1.
    pub version: Version,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: RunEvent,
}

/// Why a history stays in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// This run is open: the one itself, or one that waited for it, and that it may have to be undone with.
    Open(RunId),
    /// One of them came to its end at this moment, which is not long ago.
    Recent(Timestamp),
}

/// The stream of a run as it stands.
struct Stream {
    id: StreamId,
    events: Vec<RecordedEvent>,
    /// The event that says where those before it were moved.
    archived: Option<(Version, Digest)>,
}

impl Stream {
    async fn read(parts: &Parts, run: &RunId) -> Result<Self, WorkflowError> {
        let id = load::stream(run)?;
        let events = read(parts, &id).await?;
        let mut archived = None;
        for event in events.iter().filter(|event| event.kind.as_str() == "workflow.archived.v1") {
            if let Some(RunEvent::Archived { artifact, .. }) = RunEvent::read(event)? {
                archived = archived.or(Some((event.version, artifact)));
            }
        }
        Ok(Self { id, events, archived })
    }

    /// When the run came to its end; `None` where it is open, or is being undone after all.
    fn ended(&self) -> Option<Timestamp> {
        let last = |kind: &str| self.events.iter().rev().find(|event| event.kind.as_str() == kind);
        let (ended, reopened) = (last("workflow.ended.v1")?, last("workflow.roll_back_requested.v1"));
        reopened.is_none_or(|reopened| reopened.version < ended.version).then_some(ended.at)
    }

    fn started(&self) -> Result<Option<RunStarted>, WorkflowError> {
        Ok(match self.events.first().map(RunEvent::read).transpose()?.flatten() {
            Some(RunEvent::Started(started)) => Some(*started),
            _ => None,
        })
    }

    /// What keeps the history where it is, if what ended by `by` may be moved.
    async fn kept(&self, parts: &Parts, run: &RunId, by: Timestamp) -> Result<Option<Kept>, WorkflowError> {
        let Some(mut latest) = self.ended() else { return Ok(Some(Kept::Open(run.clone()))) };
        let mut parent = self.started()?.and_then(|started| started.parent);
        while let Some(waited) = parent {
            let stream = Self::read(parts, &waited.run).await?;
            if stream.archived.is_some() || stream.events.is_empty() {
                break;
            }
            let Some(ended) = stream.ended() else { return Ok(Some(Kept::Open(waited.run))) };
            latest = latest.max(ended);
            parent = stream.started()?.and_then(|started| started.parent);
        }
        Ok((latest > by).then_some(Kept::Recent(latest)))
    }

    /// The events before the one of this version, as they are archived.
    fn lines(&self, run: &RunId) -> Result<Bytes, WorkflowError> {
        let mut text = Vec::new();
        for event in &self.events {
            let unreadable = || WorkflowError::NotArchivable { run: run.clone(), version: event.version };
            let json = std::str::from_utf8(&event.payload).map_err(|_| unreadable())?;
            let raw = RawValue::from_string(json.to_owned()).map_err(|_| unreadable())?;
            let line = Line { version: event.version, at: event.at, kind: event.kind.clone(), event: raw };
            serde_json::to_writer(&mut text, &line).map_err(|_| unreadable())?;
            text.push(b'\n');
        }
        Ok(Bytes::from(text))
    }

    /// Erases what stands before `archived`, once the artefact has given back all of it.
    async fn erase(
        &self,
        parts: &Parts,
        run: &RunId,
        (archived, artifact): (Version, Digest),
    ) -> Result<(), WorkflowError> {
        let before = self.events.iter().filter(|event| event.version < archived && !event.is_erased());
        let before: Vec<&RecordedEvent> = before.collect();
        if before.is_empty() {
            return Ok(());
        }
        let kept = fetch(parts, run, &self.id, artifact).await?;
        let same = |event: &&RecordedEvent| {
            let index = usize::try_from(event.version.get()).ok().and_then(|version| version.checked_sub(1));
            let kept = index.and_then(|index| kept.get(index));
            kept.is_some_and(|kept| {
                (kept.version, kept.at, &kept.kind, &kept.payload)
                    == (event.version, event.at, &event.kind, &event.payload)
            })
        };
        if !before.iter().all(same) {
            return Err(WorkflowError::ArchiveDiffers { run: run.clone(), artifact });
        }
        parts.store.erase(&self.id, Version::new(archived.get().saturating_sub(1))).await?;
        Ok(())
    }
}

/// Moves the history of a run that has ended to an artefact, and frees its place in the store. Answers where it is.
pub(super) async fn archive(parts: &Parts, run: &RunId) -> Result<Digest, WorkflowError> {
    match archive_what_ended_by(parts, run, Timestamp::from_millis(u64::MAX)).await? {
        Ok(artifact) => Ok(artifact),
        Err(Kept::Open(run)) => Err(WorkflowError::Open { run }),
        Err(Kept::Recent(_)) => Err(WorkflowError::Open { run: run.clone() }),
    }
}

/// The same for a run that ended by this moment, and so did all that it may have to be undone with.
///
/// First the artefact is durable, then the event that names it; only then is anything erased, and only what the
/// artefact was seen to hold.
pub(super) async fn archive_what_ended_by(
    parts: &Parts,
    run: &RunId,
    by: Timestamp,
) -> Result<Result<Digest, Kept>, WorkflowError> {
    for _ in 0..MAX_CONFLICTS {
        let mut stream = Stream::read(parts, run).await?;
        let unknown = || WorkflowError::UnknownRun { run: run.clone() };
        let last = stream.events.last().ok_or_else(unknown)?.version;
        if let Some(archived) = stream.archived {
            stream.erase(parts, run, archived).await?;
            return Ok(Ok(archived.1));
        }
        if let Some(kept) = stream.kept(parts, run, by).await? {
            return Ok(Err(kept));
        }
        let artifacts = parts.artifacts.as_ref().ok_or(WorkflowError::NoArchive)?;
        let artifact = artifacts.put(stream.lines(run)?).await?;
        let archived = RunEvent::Archived { artifact, events: stream.events.len() as u64 };
        let event = archived.to_new(parts.clock.now())?;
        let write = StreamWrite::new(stream.id.clone(), ExpectedVersion::Exact(last), vec![event]);
        match parts.store.append(Batch::new().with(write)).await {
            Ok(_) => {}
            Err(AppendError::Conflict { .. }) => continue,
            Err(error) => return Err(error.into()),
        }
        let archived = (last.next(), artifact);
        stream.archived = Some(archived);
        stream.erase(parts, run, archived).await?;
        return Ok(Ok(artifact));
    }
    Err(WorkflowError::Contended { tries: MAX_CONFLICTS })
}

async fn read(parts: &Parts, stream: &StreamId) -> Result<Vec<RecordedEvent>, WorkflowError> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Version::EMPTY, |event| event.version);
        let page = parts.store.read_stream(stream, after, PageSize::default()).await?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page);
    }
}

/// Everything that happened to a run, from its stream, and from its archive if it was moved there.
pub(super) async fn history(parts: &Parts, run: &RunId) -> Result<Vec<HistoryEntry>, WorkflowError> {
    let stream = load::stream(run)?;
    let entries = entries(&read(parts, &stream).await?)?;
    match entries.as_slice() {
        [] => Err(WorkflowError::UnknownRun { run: run.clone() }),
        // What others noted later stands behind it.
        [HistoryEntry { event: RunEvent::Archived { artifact, .. }, .. }, ..] => {
            let mut archived = self::entries(&fetch(parts, run, &stream, *artifact).await?)?;
            archived.extend(entries);
            Ok(archived)
        }
        _ => Ok(entries),
    }
}

fn entries(events: &[RecordedEvent]) -> Result<Vec<HistoryEntry>, WorkflowError> {
    let mut entries = Vec::new();
    for event in events {
        if let Some(read) = RunEvent::read(event)? {
            entries.push(HistoryEntry { version: event.version, at: event.at, event: read });
        }
    }
    Ok(entries)
}

/// The events of an archive; they have no place in the order of the store any more.
async fn fetch(
    parts: &Parts,
    run: &RunId,
    stream: &StreamId,
    artifact: Digest,
) -> Result<Vec<RecordedEvent>, WorkflowError> {
    let missing = || WorkflowError::Archived { run: run.clone(), artifact };
    let artifacts = parts.artifacts.as_ref().ok_or_else(missing)?;
    let bytes = artifacts.get(&artifact).await?.ok_or_else(missing)?;
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let events = lines.map(|line| {
        let Line { version, at, kind, event } = serde_json::from_slice(line).map_err(|_| missing())?;
        let payload = Bytes::from(String::from(Box::<str>::from(event)));
        Ok(RecordedEvent::new(Position::START, stream.clone(), version, kind, at, payload))
    });
    events.collect()
}

/// A run, wherever its history is.
pub(super) async fn load(parts: &Parts, run: &RunId) -> Result<Run, WorkflowError> {
    let unknown = || WorkflowError::UnknownRun { run: run.clone() };
    match load::latest(parts, run).await {
        Err(WorkflowError::Archived { artifact, .. }) => {
            let history = entries(&fetch(parts, run, &load::stream(run)?, artifact).await?)?;
            load::replay(&*parts.store, &parts.library, run, history).await?.ok_or_else(unknown)
        }
        loaded => loaded?.ok_or_else(unknown),
    }
}

/// A run to which something may still be written.
pub(super) async fn load_open(parts: &Parts, run: &RunId) -> Result<Run, WorkflowError> {
    let unknown = || WorkflowError::UnknownRun { run: run.clone() };
    match load::latest(parts, run).await {
        Err(WorkflowError::Archived { artifact, .. }) => Err(Refused::Archived { artifact }.into()),
        loaded => loaded?.ok_or_else(unknown),
    }
}
