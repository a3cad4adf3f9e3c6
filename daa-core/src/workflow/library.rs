//! The definitions that are known, by digest and by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::definition::{Compiled, Workflow};
use super::error::WorkflowError;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, RecordedEvent, Version,
};
use crate::id::{EventKind, StreamId, WorkflowName};

/// The kind of the one event in the stream of a definition.
const REGISTERED: &str = "workflow_definition.registered.v1";
/// What stands before the digest in the name of its stream.
const PREFIX: &str = "workflow-definition/";

/// The definitions that are known. What is not is read from the store: definitions are kept there by their digest,
/// for as long as runs are pinned to them.
#[derive(Debug, Default)]
pub(super) struct Library {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_digest: HashMap<Digest, Arc<Compiled>>,
    /// The version of each name that was registered last by this engine.
    registered: HashMap<WorkflowName, Digest>,
    /// The version of each name that was registered last by anybody, as far as the log was followed.
    seen: HashMap<WorkflowName, Digest>,
}

impl Library {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a definition durable, and the latest of its name.
    pub(super) async fn register(
        &self,
        store: &dyn EventStore,
        compiled: Arc<Compiled>,
        now: Timestamp,
    ) -> Result<(), WorkflowError> {
        let event = NewEvent::json(registered(), now, &compiled.workflow)?;
        let batch = Batch::new().with_event(stream_of(compiled.digest), ExpectedVersion::NO_STREAM, event);
        match store.append(batch).await {
            // It was registered before.
            Ok(_) | Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let mut known = self.known();
        known.registered.insert(compiled.workflow.name.clone(), compiled.digest);
        known.by_digest.insert(compiled.digest, compiled);
        Ok(())
    }

    /// Takes note of a definition that is in the store.
    pub(super) fn learn(&self, compiled: Arc<Compiled>) {
        let mut known = self.known();
        known.seen.insert(compiled.workflow.name.clone(), compiled.digest);
        known.by_digest.insert(compiled.digest, compiled);
    }

    /// The version of a name that this engine registered last, or else anybody.
    pub(super) fn latest(&self, name: &WorkflowName) -> Option<Arc<Compiled>> {
        let known = self.known();
        let digest = known.registered.get(name).or_else(|| known.seen.get(name))?;
        known.by_digest.get(digest).cloned()
    }

    /// The definition of a digest.
    pub(super) async fn definition(
        &self,
        store: &dyn EventStore,
        digest: Digest,
    ) -> Result<Arc<Compiled>, WorkflowError> {
        if let Some(known) = self.known().by_digest.get(&digest) {
            return Ok(known.clone());
        }
        let events = store.read_stream(&stream_of(digest), Version::EMPTY, PageSize::new(1)).await?;
        let event = events.first().ok_or(WorkflowError::UnknownDefinition { digest })?;
        // It was checked when it was registered, and runs go on by it, whatever is checked since.
        let compiled = workflow(event)?.map(Compiled::link).filter(|compiled| compiled.digest == digest);
        let compiled = compiled.ok_or(WorkflowError::UnknownDefinition { digest })?;
        self.known().by_digest.entry(digest).or_insert_with(|| compiled.clone());
        Ok(compiled)
    }
}

/// Reads a definition from its event; `None` when it is another event, or does not pass the checks of this version.
pub(super) fn read(event: &RecordedEvent) -> Result<Option<Arc<Compiled>>, WorkflowError> {
    Ok(workflow(event)?.and_then(|workflow| workflow.compile().ok()))
}

fn workflow(event: &RecordedEvent) -> Result<Option<Workflow>, WorkflowError> {
    if event.kind.as_str() != REGISTERED {
        return Ok(None);
    }
    Ok(Some(event.json()?))
}

const fn registered() -> EventKind {
    EventKind::constant(REGISTERED)
}

#[expect(clippy::expect_used, reason = "a prefix and hexadecimal digits")]
fn stream_of(digest: Digest) -> StreamId {
    StreamId::new(format!("{PREFIX}{digest}")).expect("a digest is part of an id")
}
