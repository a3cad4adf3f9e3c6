//! How long histories stay in the store, and their way out of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::fault::{Reaction, Retry};
use crate::id::RunId;
use crate::workflow::archive::{self, Kept};
use crate::workflow::error::WorkflowError;
use crate::workflow::parts::Parts;

/// How many histories are archived one after the other.
const AT_ONCE: usize = 16;
/// The wait after one that could not be archived.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the histories that were due, by when their runs had ended.
type Looked = Vec<(Timestamp, RunId, Result<Result<Digest, Kept>, WorkflowError>)>;

/// Histories that are to be archived.
#[derive(Debug)]
pub(super) struct Retention {
    span: Option<Duration>,
    /// By when the runs ended, or those that waited for them.
    due: BTreeSet<(Timestamp, RunId)>,
    /// What stays as long as this run is open.
    held: HashMap<RunId, Vec<RunId>>,
    /// What is being archived; beside the other duties, which must not wait for a store of artefacts.
    under_way: JoinSet<Looked>,
    batch: Vec<(Timestamp, RunId)>,
    not_before: Timestamp,
}

impl Retention {
    pub(super) fn new(span: Option<Duration>) -> Self {
        Self {
            span,
            due: BTreeSet::new(),
            held: HashMap::new(),
            under_way: JoinSet::new(),
            batch: Vec::new(),
            not_before: Timestamp::EPOCH,
        }
    }

    /// A run has ended, and with it what keeps the histories of those it waited for.
    pub(super) fn ended(&mut self, run: RunId, at: Timestamp) {
        if self.span.is_none() {
            return;
        }
        for child in self.held.remove(&run).into_iter().flatten() {
            self.due.insert((at, child));
        }
        self.due.insert((at, run));
    }

    /// When there is something to archive.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let (first, _) = self.due.first().filter(|_| self.under_way.is_empty())?;
        Some((*first + self.span?).max(self.not_before))
    }

    /// Begins to archive what ended long enough ago, unless that is under way.
    pub(super) fn begin(&mut self, parts: &Arc<Parts>, now: Timestamp) {
        let Some(span) = self.span.filter(|_| self.next().is_some_and(|next| next <= now)) else { return };
        while let Some(entry) = self.due.pop_first() {
            if entry.0 + span > now || self.batch.len() == AT_ONCE {
                self.due.insert(entry);
                break;
            }
            self.batch.push(entry);
        }
        let by = Timestamp::from_millis(now.as_millis().saturating_sub(millis(span)));
        let (parts, batch) = (parts.clone(), self.batch.clone());
        self.under_way.spawn(async move {
            let mut looked = Vec::new();
            for (at, run) in batch {
                let result = archive::archive_what_ended_by(&parts, &run, by).await;
                looked.push((at, run, result));
            }
            looked
        });
    }

    /// Waits for what is under way; for ever, if nothing is.
    ///
    /// Safe to cancel.
    pub(super) async fn looked(&mut self) -> Option<Looked> {
        match self.under_way.join_next().await {
            Some(Ok(looked)) => Some(looked),
            Some(Err(error)) => {
                tracing::error!(%error, "histories could not be archived");
                None
            }
            None => std::future::pending().await,
        }
    }

    /// Takes note of what came of it.
    pub(super) fn settle(
        &mut self,
        looked: Option<Looked>,
        is_open: impl Fn(&RunId) -> bool,
        now: Timestamp,
    ) {
        let batch = std::mem::take(&mut self.batch);
        let Some(looked) = looked else {
            self.due.extend(batch);
            self.not_before = now + PATIENCE;
            return;
        };
        for (at, run, result) in looked {
            match result {
                Ok(Ok(_)) => {}
                // Its next end is told like the first.
                Ok(Err(Kept::Open(open))) if open == run => {}
                Ok(Err(Kept::Open(open))) if is_open(&open) => self.held.entry(open).or_default().push(run),
                // That has ended meanwhile.
                Ok(Err(Kept::Open(_))) => drop(self.due.insert((now, run))),
                Ok(Err(Kept::Recent(at))) => drop(self.due.insert((at, run))),
                Err(error) => {
                    tracing::warn!(%run, error = &error as &dyn std::error::Error, "a history could not be archived");
                    if error.retry() != Retry::Never {
                        self.due.insert((at, run));
                        self.not_before = now + PATIENCE;
                    }
                }
            }
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
