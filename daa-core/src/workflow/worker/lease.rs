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
/// After so many renewals the earlier ones are erased: only the last one counts.
const KEPT: u64 = 64;
/// How often the beginning of a life is tried again when another is faster.
const MAX_CONFLICTS: u32 = 32;

/// A lease: in which life the worker is, and until when nobody takes its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    pub(super) incarnation: u64,
    pub(super) until: Timestamp,
}

impl Lease {
    /// Whether the claim is of this life, and keeps others away.
    fn keeps(&self, claim: &Claim, now: Timestamp, skew: Duration) -> bool {
        self.incarnation == claim.incarnation && now <= self.until + skew
    }

    /// Reads a lease from an event; `None` when it is another event.
    pub(super) fn read(event: &RecordedEvent) -> Result<Option<Self>, WorkflowError> {
        if event.kind.as_str() != KIND {
            return Ok(None);
        }
        Ok(Some(event.json()?))
    }
}

/// The leases of all workers of a store, as far as the log was followed.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_worker: HashMap<WorkerName, (Lease, Version)>,
}

impl Leases {
    pub(super) fn follow(&mut self, event: &RecordedEvent) -> Result<(), WorkflowError> {
        if let (Some(lease), Some(name)) = (Lease::read(event)?, event.stream.as_str().strip_prefix(PREFIX))
            && let Ok(worker) = WorkerName::new(name)
        {
            self.by_worker.insert(worker, (lease, event.version));
        }
        Ok(())
    }

    /// Whether a claim still keeps others away.
    pub(super) fn holds(&self, claim: &Claim, now: Timestamp, skew: Duration) -> bool {
        self.by_worker.get(&claim.worker).is_some_and(|(lease, _)| lease.keeps(claim, now, skew))
    }

    /// The version of the stream of a worker's lease.
    pub(super) fn version(&self, worker: &WorkerName) -> Version {
        self.by_worker.get(worker).map_or(Version::EMPTY, |(_, version)| *version)
    }
}

/// Ends the life of a worker that is silent for longer than its lease, so that it cannot be renewed any more; answers
/// whether it has ended. `seen` is the version of its stream as far as it was followed.
///
/// That the clock says so is not enough: the worker may have renewed its lease a moment ago, or do so before its runs
/// are taken.
pub(super) async fn end(
    store: &dyn EventStore,
    claim: &Claim,
    seen: Version,
    now: Timestamp,
    skew: Duration,
) -> Result<bool, WorkflowError> {
    let Ok(stream) = stream_of(&claim.worker) else { return Ok(true) };
    let mut last = None;
    let mut version = Version::new(seen.get().saturating_sub(1));
    for _ in 0..MAX_CONFLICTS {
        (version, last) = read_on(store, &stream, version, last).await?;
        let Some(lease) = last.filter(|lease| lease.incarnation == claim.incarnation) else {
            return Ok(true);
        };
        if lease.until == Timestamp::EPOCH {
            return Ok(true);
        }
        if lease.keeps(claim, now, skew) {
            return Ok(false);
        }
        match write(store, &stream, version, Lease { until: Timestamp::EPOCH, ..lease }, now).await {
            Ok(()) => return Ok(true),
            Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(WorkflowError::Contended { tries: MAX_CONFLICTS })
}

/// Reads on in the stream of a lease.
async fn read_on(
    store: &dyn EventStore,
    stream: &StreamId,
    mut version: Version,
    mut last: Option<Lease>,
) -> Result<(Version, Option<Lease>), WorkflowError> {
    loop {
        let page = store.read_stream(stream, version, PageSize::default()).await?;
        let Some(event) = page.last() else { return Ok((version, last)) };
        version = event.version;
        last = Lease::read(event)?.or(last);
    }
}

async fn write(
    store: &dyn EventStore,
    stream: &StreamId,
    version: Version,
    lease: Lease,
    now: Timestamp,
) -> Result<(), AppendError> {
    let Ok(event) = NewEvent::json(kind(), now, &lease) else { return Err(AppendError::Empty) };
    let write = StreamWrite::new(stream.clone(), ExpectedVersion::Exact(version), vec![event]);
    store.append(Batch::new().with(write)).await.map(|_| ())
}

fn stream_of(worker: &WorkerName) -> Result<StreamId, WorkflowError> {
    StreamId::new(format!("{PREFIX}{worker}")).map_err(|_| WorkflowError::Contended { tries: 0 })
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
    /// What was written and not confirmed.
    unconfirmed: Option<Lease>,
}

impl OwnLease {
    /// Begins a new life of the worker; an earlier one is fenced off from now on.
    pub(super) async fn begin(
        store: &dyn EventStore,
        worker: &WorkerName,
        now: Timestamp,
        span: Duration,
    ) -> Result<Self, WorkflowError> {
        let stream = stream_of(worker)?;
        for _ in 0..MAX_CONFLICTS {
            let (version, last) = read_on(store, &stream, Version::EMPTY, None).await?;
            let incarnation = last.map_or(0, |lease| lease.incarnation).saturating_add(1);
            let lease = Lease { incarnation, until: now + span };
            match write(store, &stream, version, lease, now).await {
                Ok(()) => {
                    let own = Self {
                        worker: worker.clone(),
                        stream,
                        version: version.next(),
                        lease,
                        standing: Standing::until(lease.until),
                        span,
                        unconfirmed: None,
                    };
                    own.forget(store).await;
                    return Ok(own);
                }
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

    /// Says that the worker is alive. A lease that has ended is not renewed, because others may have begun to take
    /// what it kept: a new life begins, and whatever is under way in the old one begins nothing any more.
    pub(super) async fn renew(
        &mut self,
        store: &dyn EventStore,
        now: Timestamp,
    ) -> Result<(), WorkflowError> {
        for _ in 0..MAX_CONFLICTS {
            let alive = now < self.lease.until;
            let incarnation = self.lease.incarnation.saturating_add(u64::from(!alive));
            let lease = Lease { incarnation, until: now + self.span };
            match write(store, &self.stream, self.version, lease, now).await {
                Ok(()) => {
                    self.version = self.version.next();
                    self.live(lease);
                    if self.version.get().is_multiple_of(KEPT) {
                        self.forget(store).await;
                    }
                    return Ok(());
                }
                Err(AppendError::Conflict { .. }) => self.catch_up(store).await?,
                Err(error) => {
                    self.unconfirmed = Some(lease);
                    return Err(error.into());
                }
            }
        }
        Err(WorkflowError::Contended { tries: MAX_CONFLICTS })
    }

    /// Erases all but the last lease. Where that fails, it is done another time.
    async fn forget(&self, store: &dyn EventStore) {
        let earlier = Version::new(self.version.get().saturating_sub(1));
        if earlier == Version::EMPTY {
            return;
        }
        if let Err(error) = store.erase(&self.stream, earlier).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(worker = %self.worker, error, "earlier leases were not erased");
        }
    }

    /// Gives the lease up, so that others need not wait for its end.
    pub(super) async fn end(&mut self, store: &dyn EventStore, now: Timestamp) -> Result<(), WorkflowError> {
        self.standing.extend(Timestamp::EPOCH);
        for _ in 0..MAX_CONFLICTS {
            let lease = Lease { until: Timestamp::EPOCH, ..self.lease };
            match write(store, &self.stream, self.version, lease, now).await {
                Ok(()) => return Ok(()),
                Err(AppendError::Conflict { .. }) => self.catch_up(store).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(WorkflowError::Contended { tries: MAX_CONFLICTS })
    }

    /// Reads what was written to the lease: by an append of ours that was not confirmed, by those who took it for
    /// over, or by another life.
    async fn catch_up(&mut self, store: &dyn EventStore) -> Result<(), WorkflowError> {
        let (version, last) = read_on(store, &self.stream, self.version, None).await?;
        self.version = version;
        let Some(last) = last else { return Ok(()) };
        if last.incarnation > self.lease.incarnation && self.unconfirmed != Some(last) {
            self.standing.extend(Timestamp::EPOCH);
            return Err(WorkflowError::Replaced {
                worker: self.worker.clone(),
                ours: self.lease.incarnation,
                theirs: last.incarnation,
            });
        }
        self.live(last);
        Ok(())
    }

    /// Lives on by this lease.
    fn live(&mut self, lease: Lease) {
        if lease.incarnation == self.lease.incarnation {
            self.standing.extend(lease.until);
        } else {
            self.standing = Standing::until(lease.until);
        }
        self.lease = lease;
        self.unconfirmed = None;
    }
}

fn span_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

const fn kind() -> EventKind {
    EventKind::constant(KIND)
}
