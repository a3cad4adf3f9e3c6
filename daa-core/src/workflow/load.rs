//! Reading a run from its stream.

use std::sync::Arc;

use super::archive::HistoryEntry;
use super::definition::Compiled;
use super::error::WorkflowError;
use super::library::Library;
use super::parts::Parts;
use super::run::{Run, RunEvent, RunStarted, stream_of};
use crate::agent::plan_of;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::event::{EventStore, PageSize, Version};
use crate::id::{RunId, StreamId};

/// The stream of a run.
pub(super) fn stream(run: &RunId) -> Result<StreamId, WorkflowError> {
    stream_of(run).map_err(|source| WorkflowError::Id { run: run.clone(), source })
}

/// Reads a run. `snapshot` is the version of its latest snapshot, if that is known: what is before is not read.
pub(super) async fn load(
    store: &dyn EventStore,
    library: &Library,
    id: &RunId,
    snapshot: Version,
) -> Result<Option<Run>, WorkflowError> {
    let stream = stream(id)?;
    let mut run = None;
    let mut after = Version::new(snapshot.get().saturating_sub(1));
    loop {
        let page = store.read_stream(&stream, after, PageSize::default()).await?;
        let Some(last) = page.last() else { return Ok(run) };
        after = last.version;
        for event in &page {
            let (version, at) = (event.version, event.at);
            run = apply(store, library, id, run, RunEvent::read(event)?, version, at).await?;
        }
    }
}

/// Reads a run from the latest snapshot that this engine has come across.
pub(super) async fn latest(parts: &Parts, id: &RunId) -> Result<Option<Run>, WorkflowError> {
    let known = parts.snapshots.of(id);
    let mut run = load(&*parts.store, &parts.library, id, known).await?;
    if run.is_none() && known > Version::EMPTY {
        run = load(&*parts.store, &parts.library, id, Version::EMPTY).await?;
    }
    let snapshot = run.as_ref().map_or(Version::EMPTY, Run::snapshot_version);
    if snapshot != known {
        parts.snapshots.note(id, snapshot);
    }
    Ok(run)
}

/// Reads what happened to a run since it was read last. Says whether there was anything.
pub(super) async fn catch_up(
    store: &dyn EventStore,
    library: &Library,
    run: &mut Run,
) -> Result<bool, WorkflowError> {
    let stream = stream(run.id())?;
    let before = run.version();
    loop {
        let page = store.read_stream(&stream, run.version(), PageSize::default()).await?;
        if page.is_empty() {
            return Ok(run.version() > before);
        }
        for event in &page {
            follow(store, library, run, RunEvent::read(event)?, event.version, event.at).await?;
        }
    }
}

/// A run from its history.
pub(super) async fn replay(
    store: &dyn EventStore,
    library: &Library,
    id: &RunId,
    history: Vec<HistoryEntry>,
) -> Result<Option<Run>, WorkflowError> {
    let mut run = None;
    for HistoryEntry { version, at, event } in history {
        run = apply(store, library, id, run, Some(event), version, at).await?;
    }
    Ok(run)
}

async fn apply(
    store: &dyn EventStore,
    library: &Library,
    id: &RunId,
    run: Option<Run>,
    event: Option<RunEvent>,
    version: Version,
    at: Timestamp,
) -> Result<Option<Run>, WorkflowError> {
    if let Some(mut run) = run {
        follow(store, library, &mut run, event, version, at).await?;
        return Ok(Some(run));
    }
    let damaged = || WorkflowError::Damaged { run: id.clone() };
    Ok(match event {
        Some(RunEvent::Started(started)) => {
            let definition = pinned_to(store, library, &started, started.definition).await?;
            Some(Run::new(*started, definition, at))
        }
        Some(RunEvent::Snapshot(snapshot)) => {
            let definition = pinned_to(store, library, snapshot.started(), snapshot.definition()).await?;
            Some(Run::restore(*snapshot, definition, version))
        }
        // What stood there was moved to an archive, and the event that says where comes later.
        None => None,
        Some(RunEvent::Archived { artifact, .. }) => {
            return Err(WorkflowError::Archived { run: id.clone(), artifact });
        }
        Some(_) => return Err(damaged()),
    })
}

/// The definition that a run is pinned to. That of an agent's plan is made again of the agent's journal.
async fn pinned_to(
    store: &dyn EventStore,
    library: &Library,
    started: &RunStarted,
    digest: Digest,
) -> Result<Arc<Compiled>, WorkflowError> {
    match library.definition(store, digest).await {
        Err(WorkflowError::UnknownDefinition { .. }) if started.attached => {
            let plan = plan_of(store, &started.run).await?.map(Compiled::plan);
            plan.filter(|plan| plan.digest == digest).ok_or(WorkflowError::UnknownDefinition { digest })
        }
        known => known,
    }
}

async fn follow(
    store: &dyn EventStore,
    library: &Library,
    run: &mut Run,
    event: Option<RunEvent>,
    version: Version,
    at: Timestamp,
) -> Result<(), WorkflowError> {
    match event {
        Some(RunEvent::Migrated { definition }) => {
            let definition = library.definition(store, definition).await?;
            run.rebase(definition);
            run.skip_to(version);
        }
        // What stands before it may be erased at any moment.
        Some(RunEvent::Archived { artifact, .. }) => {
            return Err(WorkflowError::Archived { run: run.id().clone(), artifact });
        }
        Some(event) => run.apply(event, at),
        None => run.skip_to(version),
    }
    Ok(())
}
