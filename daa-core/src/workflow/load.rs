//! Reading a run from its stream.

use super::error::WorkflowError;
use super::library::Library;
use super::run::{Run, RunEvent, stream_of};
use crate::event::{EventStore, PageSize, RecordedEvent, Version};
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
            run = apply(store, library, id, run, event).await?;
        }
    }
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
            follow(store, library, run, event).await?;
        }
    }
}

async fn apply(
    store: &dyn EventStore,
    library: &Library,
    id: &RunId,
    run: Option<Run>,
    event: &RecordedEvent,
) -> Result<Option<Run>, WorkflowError> {
    if let Some(mut run) = run {
        follow(store, library, &mut run, event).await?;
        return Ok(Some(run));
    }
    let damaged = || WorkflowError::Damaged { run: id.clone() };
    Ok(match RunEvent::read(event)? {
        Some(RunEvent::Started(started)) => {
            let definition = library.definition(store, started.definition).await?;
            Some(Run::new(*started, definition, event.at))
        }
        Some(RunEvent::Snapshot(snapshot)) => {
            let definition = library.definition(store, snapshot.definition()).await?;
            Some(Run::restore(*snapshot, definition, event.version))
        }
        // What stood there was archived.
        None => None,
        Some(_) => return Err(damaged()),
    })
}

async fn follow(
    store: &dyn EventStore,
    library: &Library,
    run: &mut Run,
    event: &RecordedEvent,
) -> Result<(), WorkflowError> {
    match RunEvent::read(event)? {
        Some(RunEvent::Migrated { definition }) => {
            let definition = library.definition(store, definition).await?;
            run.rebase(definition);
            run.skip_to(event.version);
        }
        Some(event_) => run.apply(event_, event.at),
        None => run.skip_to(event.version),
    }
    Ok(())
}
