//! The lease of a worker: as long as it is renewed, nobody takes its runs.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, RecordedEvent, StreamWrite, Version,
};
use crate::id::{EventKind, StreamId, WorkerName};
use crate::workflow::drive::Standing;
use crate::workflow::error::WorkflowError;
use crate::workflow::run::Claim;

/// What stands before the name of a worker in the name of its stream.
pub(super) const PREFIX: &str = "workflow-worker/";
const KIND: &str = "workflow_worker.lease.v1";
/// How often the beginning of a life is tried again when another is faster.
const MAX_CONFLICTS: u32 = 32;

/// A lease: in which life the worker is, and until when nobody takes its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    pub(super) incarnation: u64,
    pub(super) until: Timestamp,
}

impl Lease {
    /// Reads a lease from an event; `None` when it is another event.
    pub(super) fn read(event: &RecordedEvent) -> Result<Option<Self>, WorkflowError> {
        if event.kind.as_str() != KIND {
            return Ok(None);
        }
        Ok(Some(event.json()?))
    }
}

/// The leases of all workers of a store.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_worker: HashMap<WorkerName, Lease>,
}

impl Leases {
    pub(super) fn follow(&mut self, event: &RecordedEvent) -> Result<(), WorkflowError> {
        if let (Some(lease), Some(name)) = (Lease::read(event)?, event.stream.as_str().strip_prefix(PREFIX))
            && let Ok(worker) = WorkerName::new(name)
        {
            self.by_worker.insert(worker, lease);
        }
        Ok(())
    }

    /// Whether a claim still keeps others away.
    pub(super) fn holds(&self, claim: &Claim, now: Timestamp, skew: Duration) -> bool {
        self.by_worker
            .get(&claim.worker)
            .is_some_and(|lease| lease.incarnation == claim.incarnation && now <= lease.until + skew)
    }

    pub(super) fn set(&mut self, worker: &WorkerName, lease: Lease) {
        self.by_worker.insert(worker.clone(), lease);
    }
}

/// The lease of this worker.
#[derive(Debug)]
pub(super) struct OwnLease {
    worker: WorkerName,
    stream: StreamId,
    version: Version,
    pub(super) lease: Lease,
    pub(super) standing: Standing,
    span: Duration,
}

impl OwnLease {
    /// Begins a new life of the worker; an earlier one is fenced off from now on.
    pub(super) async fn begin(
        store: &dyn EventStore,
        worker: &WorkerName,
        now: Timestamp,
        span: Duration,
    ) -> Result<Self, WorkflowError> {
        let stream =
            StreamId::new(format!("{PREFIX}{worker}")).map_err(|_| WorkflowError::Contended { tries: 0 })?;
        for _ in 0..MAX_CONFLICTS {
            let (mut version, mut last) = (Version::EMPTY, None);
            loop {
                let page = store.read_stream(&stream, version, PageSize::default()).await?;
                let Some(event) = page.last() else { break };
                version = event.version;
                last = Lease::read(event)?.or(last);
            }
            let incarnation = last.map_or(0, |lease| lease.incarnation).saturating_add(1);
            let lease = Lease { incarnation, until: now + span };
            let own = Self {
                worker: worker.clone(),
                stream: stream.clone(),
                version,
                lease,
                standing: Standing::until(lease.until),
                span,
            };
            match own.write(store, lease, now).await {
                Ok(()) => return Ok(Self { version: version.next(), ..own }),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(WorkflowError::Contended { tries: MAX_CONFLICTS })
    }

    pub(super) fn claim(&self) -> Claim {
        Claim { worker: self.worker.clone(), incarnation: self.lease.incarnation }
    }

    /// When it is to be renewed.
    pub(super) fn renew_at(&self) -> Timestamp {
        Timestamp::from_millis(self.lease.until.as_millis().saturating_sub(span_millis(self.span) * 2 / 3))
    }

    /// Says that the worker is alive.
    pub(super) async fn renew(
        &mut self,
        store: &dyn EventStore,
        now: Timestamp,
    ) -> Result<(), WorkflowError> {
        let lease = Lease { until: now + self.span, ..self.lease };
        self.put(store, lease, now).await
    }

    /// Gives the lease up, so that others need not wait for its end.
    pub(super) async fn end(&mut self, store: &dyn EventStore, now: Timestamp) -> Result<(), WorkflowError> {
        let lease = Lease { until: Timestamp::EPOCH, ..self.lease };
        self.put(store, lease, now).await
    }

    async fn put(
        &mut self,
        store: &dyn EventStore,
        lease: Lease,
        now: Timestamp,
    ) -> Result<(), WorkflowError> {
        match self.write(store, lease, now).await {
            Ok(()) => {
                self.version = self.version.next();
                self.lease = lease;
                self.standing.extend(lease.until);
                Ok(())
            }
            Err(AppendError::Conflict { .. }) => {
                self.standing.extend(Timestamp::EPOCH);
                let page = store.read_stream(&self.stream, self.version, PageSize::default()).await?;
                let theirs = page.iter().filter_map(|event| Lease::read(event).ok().flatten()).next_back();
                Err(WorkflowError::Replaced {
                    worker: self.worker.clone(),
                    ours: self.lease.incarnation,
                    theirs: theirs.map_or(0, |lease| lease.incarnation),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, store: &dyn EventStore, lease: Lease, now: Timestamp) -> Result<(), AppendError> {
        let Ok(event) = NewEvent::json(kind(), now, &lease) else { return Err(AppendError::Empty) };
        let expected = ExpectedVersion::Exact(self.version);
        let write = StreamWrite::new(self.stream.clone(), expected, vec![event]);
        store.append(Batch::new().with(write)).await.map(|_| ())
    }
}

fn span_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::expect_used, reason = "a constant of the id alphabet")]
fn kind() -> EventKind {
    EventKind::new(KIND).expect("a constant kind is an id")
}
