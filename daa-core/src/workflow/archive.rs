//! The history of a run outside the store: moved to an artefact once the run has ended, and read from there.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::WorkflowError;
use super::load;
use super::parts::Parts;
use super::run::{Run, RunEvent};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::event::{Batch, ExpectedVersion, PageSize, RecordedEvent, StreamWrite, Version};
use crate::id::{EventKind, RunId, StreamId};

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

/// Moves the history of a run that has ended to an artefact, and frees its place in the store. Answers where it is.
///
/// First the artefact is durable, then the event that names it, and only then is anything erased.
pub(super) async fn archive(parts: &Parts, run: &RunId) -> Result<Digest, WorkflowError> {
    let stream = load::stream(run)?;
    let unknown = || WorkflowError::UnknownRun { run: run.clone() };
    let events = read(parts, &stream).await?;
    let last = events.last().ok_or_else(unknown)?;
    if let Some(RunEvent::Archived { artifact, .. }) = RunEvent::read(last)? {
        erase(parts, &stream, last.version).await?;
        return Ok(artifact);
    }
    // A run that had completed may be being undone.
    let place = |kind: &str| events.iter().rposition(|event| event.kind.as_str() == kind);
    let ended = place("workflow.ended.v1") > place("workflow.roll_back_requested.v1");
    if !ended {
        return Err(WorkflowError::Open { run: run.clone() });
    }
    // As long as the run that waited for this one is open, this one may have to be undone.
    if let Some(RunEvent::Started(started)) = events.first().map(RunEvent::read).transpose()?.flatten()
        && let Some(parent) = started.parent
        && let Ok(Some(waiting)) =
            load::load(&*parts.store, &parts.library, &parent.run, Version::EMPTY).await
        && waiting.outcome().is_none()
    {
        return Err(WorkflowError::Open { run: parent.run });
    }
    let artifacts = parts.artifacts.as_ref();
    let artifacts = artifacts.ok_or(WorkflowError::NoArchive)?;
    let mut text = Vec::new();
    for event in &events {
        let json = String::from_utf8_lossy(&event.payload).into_owned();
        let Ok(raw) = RawValue::from_string(json) else { continue };
        let line = Line { version: event.version, at: event.at, kind: event.kind.clone(), event: raw };
        if serde_json::to_writer(&mut text, &line).is_ok() {
            text.push(b'\n');
        }
    }
    let artifact = artifacts.put(Bytes::from(text)).await?;
    let archived = RunEvent::Archived { artifact, events: events.len() as u64 };
    let event = archived.to_new(parts.clock.now())?;
    let expected = ExpectedVersion::Exact(last.version);
    let version = last.version.next();
    parts.store.append(Batch::new().with(StreamWrite::new(stream.clone(), expected, vec![event]))).await?;
    erase(parts, &stream, version).await?;
    Ok(artifact)
}

/// Frees the place of everything before the event that says where it is.
pub(super) async fn erase(parts: &Parts, stream: &StreamId, archived: Version) -> Result<(), WorkflowError> {
    let up_to = Version::new(archived.get().saturating_sub(1));
    parts.store.erase(stream, up_to).await?;
    Ok(())
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
    let mut entries = Vec::new();
    for event in read(parts, &stream).await? {
        if let Some(read) = RunEvent::read(&event)? {
            entries.push(HistoryEntry { version: event.version, at: event.at, event: read });
        }
    }
    match entries.as_slice() {
        [] => Err(WorkflowError::UnknownRun { run: run.clone() }),
        [HistoryEntry { event: RunEvent::Archived { artifact, .. }, .. }] => {
            let mut archived = fetch(parts, run, *artifact).await?;
            archived.extend(entries);
            Ok(archived)
        }
        _ => Ok(entries),
    }
}

async fn fetch(parts: &Parts, run: &RunId, artifact: Digest) -> Result<Vec<HistoryEntry>, WorkflowError> {
    let missing = || WorkflowError::Archived { run: run.clone(), artifact };
    let artifacts = parts.artifacts.as_ref().ok_or_else(missing)?;
    let bytes = artifacts.get(&artifact).await?.ok_or_else(missing)?;
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let entries = lines.map(|line| {
        let line: Line = serde_json::from_slice(line).map_err(|_| missing())?;
        let event: RunEvent = serde_json::from_str(line.event.get()).map_err(|_| missing())?;
        Ok(HistoryEntry { version: line.version, at: line.at, event })
    });
    entries.collect()
}

/// A run, wherever its history is.
pub(super) async fn load(parts: &Parts, run: &RunId) -> Result<Run, WorkflowError> {
    let unknown = || WorkflowError::UnknownRun { run: run.clone() };
    match load::load(&*parts.store, &parts.library, run, Version::EMPTY).await {
        Err(WorkflowError::Archived { artifact, .. }) => {
            let history = fetch(parts, run, artifact).await?;
            load::replay(&*parts.store, &parts.library, run, history).await?.ok_or_else(unknown)
        }
        loaded => loaded?.ok_or_else(unknown),
    }
}
