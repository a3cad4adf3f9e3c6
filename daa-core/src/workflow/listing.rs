//! Which runs there are.

use std::collections::BTreeMap;

use super::error::WorkflowError;
use super::run::{RunEvent, RunOutcome, RunStarted, STREAM_PREFIX};
use crate::clock::Timestamp;
use crate::event::{EventStore, PageSize, Position};
use crate::id::{RunId, WorkflowName};

/// A run in a list.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunSummary {
    /// Which.
    pub run: RunId,
    /// Of which workflow.
    pub workflow: WorkflowName,
    /// When it began.
    pub started: Timestamp,
    /// When something happened to it last.
    pub last: Timestamp,
    /// Whether it completed; `None` as long as it has not ended.
    pub completed: Option<bool>,
}

/// Reads the log for the runs it holds, in the order of their ids. Runs that were archived are not among them.
pub(super) async fn list(store: &dyn EventStore) -> Result<Vec<RunSummary>, WorkflowError> {
    let mut runs: BTreeMap<String, RunSummary> = BTreeMap::new();
    let mut read = Position::START;
    loop {
        let page = store.read_all(read, PageSize::new(PageSize::MAX)).await?;
        let Some(last) = page.last() else { break };
        read = last.position;
        for event in &page {
            let Some(id) = event.stream.as_str().strip_prefix(STREAM_PREFIX) else { continue };
            match event.kind.as_str() {
                "workflow.started.v1" => {
                    let Some(RunEvent::Started(started)) = RunEvent::read(event)? else { continue };
                    let RunStarted { run, workflow, .. } = *started;
                    let summary =
                        RunSummary { run, workflow, started: event.at, last: event.at, completed: None };
                    runs.insert(id.to_owned(), summary);
                }
                kind => {
                    let Some(summary) = runs.get_mut(id) else { continue };
                    summary.last = event.at;
                    if kind == "workflow.ended.v1"
                        && let Some(RunEvent::Ended(outcome)) = RunEvent::read(event)?
                    {
                        summary.completed = Some(matches!(outcome, RunOutcome::Completed { .. }));
                    }
                }
            }
        }
    }
    Ok(runs.into_values().collect())
}
