//! What a worker does when it starts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daa_core::action::Gate;
use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, MemoryEventStore, PageSize, Position, ReadError, RecordedEvent,
    Subscription, Version,
};
use daa_core::id::StreamId;
use daa_core::shutdown::ShutdownTrigger;
use daa_core::workflow::{Start, Step, WorkerOptions, Workflow, WorkflowEngine};
use serde_json::json;

use super::world::alice;

/// A store that notes which streams are read.
#[derive(Clone, Debug, Default)]
struct Watched {
    store: MemoryEventStore,
    reads: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Watched {
    fn reads_of(&self, stream: &str) -> u32 {
        self.reads.lock().unwrap().get(stream).copied().unwrap_or_default()
    }
}

#[async_trait]
impl EventStore for Watched {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.store.append(batch).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        *self.reads.lock().unwrap().entry(stream.to_string()).or_default() += 1;
        self.store.read_stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.store.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.store.subscribe(after).await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.store.erase(stream, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.store.head().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

fn engine(store: &Watched, clock: &Arc<dyn Clock>) -> WorkflowEngine {
    let shared: Arc<dyn EventStore> = Arc::new(store.clone());
    let gate = Gate::builder(shared.clone(), clock.clone()).build();
    WorkflowEngine::builder(shared, clock.clone(), gate).build()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_rests_is_not_performed_when_a_worker_starts() {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
    let store = Watched::default();
    let wait = Step::signal("wait".parse().unwrap(), "go".parse().unwrap());
    let workflow = Workflow::new("waiting".parse().unwrap()).with_step(wait);
    let (resting, due) = ("resting".parse().unwrap(), "due".parse().unwrap());

    let before = engine(&store, &clock);
    before.register(workflow.clone()).await.unwrap();
    let (trigger, shutdown) = ShutdownTrigger::new();
    let serving = tokio::spawn({
        let engine = before.clone();
        async move { engine.serve("main".parse().unwrap(), WorkerOptions::default(), shutdown).await }
    });
    let mut log = store.subscribe(Position::START).await.unwrap();
    before.start(Start::new(resting, workflow.name.clone(), alice(), json!({}))).await.unwrap();
    while log.next().await.unwrap().unwrap().kind.as_str() != "workflow.parked.v1" {}
    trigger.trigger();
    serving.await.unwrap().unwrap();
    before.start(Start::new(due, workflow.name.clone(), alice(), json!({}))).await.unwrap();
    let read = store.reads_of("workflow/resting");

    let after = engine(&store, &clock);
    let (trigger, shutdown) = ShutdownTrigger::new();
    let serving = tokio::spawn({
        let engine = after.clone();
        async move { engine.serve("main".parse().unwrap(), WorkerOptions::default(), shutdown).await }
    });
    // The one that is due comes to rest, and so the worker has looked at all.
    while log.next().await.unwrap().unwrap().kind.as_str() != "workflow.parked.v1" {}
    trigger.trigger();
    serving.await.unwrap().unwrap();
    assert_eq!(store.reads_of("workflow/resting"), read);
    assert!(store.reads_of("workflow/due") > 0);
}
