//! Actions that cost something, and the books that others write to as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use daa_core::action::{Action, Gate, Refusal, ReservationId, Treasury, TreasuryChange, TreasuryError};
use daa_core::amount::{Currency, Money};
use daa_core::clock::Timestamp;
use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent, StreamWrite};
use daa_core::id::StreamId;
use daa_core::workflow::{Step, Workflow, WorkflowEngine};
use serde_json::{Value, json};

use super::world::{Bench, ByKind, completed, executors};

/// Books that somebody else has always just written to, this many times.
#[derive(Debug)]
struct Busy(Arc<AtomicU32>);

#[derive(Debug)]
struct Change {
    late: bool,
    moved: bool,
}

fn books() -> StreamId {
    "books".parse().unwrap()
}

fn entry() -> NewEvent {
    NewEvent::json("books.v1".parse().unwrap(), Timestamp::EPOCH, &json!(null)).unwrap()
}

#[async_trait]
impl Treasury for Busy {
    async fn begin(&self) -> Result<Box<dyn TreasuryChange>, TreasuryError> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        Ok(Box::new(Change { late: left.is_ok(), moved: false }))
    }
}

impl TreasuryChange for Change {
    fn reserve(&mut self, action: &Action, _: Timestamp) -> Result<ReservationId, Refusal> {
        self.moved = true;
        Ok(action.id().as_str().parse().unwrap())
    }

    fn settle(&mut self, _: &ReservationId, _: Money, _: Timestamp) -> Result<(), Refusal> {
        self.moved = true;
        Ok(())
    }

    fn release(&mut self, _: &ReservationId, _: Timestamp) -> Result<(), Refusal> {
        self.moved = true;
        Ok(())
    }

    fn writes(&self) -> Vec<StreamWrite> {
        let expected = if self.late { ExpectedVersion::NO_STREAM } else { ExpectedVersion::Any };
        self.moved.then(|| StreamWrite::new(books(), expected, vec![entry()])).into_iter().collect()
    }

    fn confirm(self: Box<Self>) {}
}

fn over(bench: Bench, treasury: Arc<dyn Treasury>) -> Bench {
    let store: Arc<dyn EventStore> = bench.store.clone();
    let gate = Gate::builder(store.clone(), bench.clock.clone())
        .with_policy(Arc::new(ByKind("rules 1")))
        .with_treasury(treasury)
        .build();
    let engine = WorkflowEngine::builder(store, bench.clock.clone(), gate)
        .with_executors(executors(&bench.outside))
        .build();
    Bench { engine, ..bench }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_books_are_never_free_is_left_alone_for_a_while() {
    let late = Arc::new(AtomicU32::new(1_000));
    let bench = over(Bench::new(), Arc::new(Busy(late.clone())));
    bench.store.append(Batch::new().with_event(books(), ExpectedVersion::NO_STREAM, entry())).await.unwrap();
    let cost = Currency::new("USD", 2).unwrap().units(5);
    let pay =
        Step::action("pay".parse().unwrap(), "a".parse().unwrap(), json!({})).with_max_cost(json!(cost));
    let before = bench.clock.now();
    assert_eq!(
        bench.run(&Workflow::new("w".parse().unwrap()).with_step(pay), json!(null)).await,
        completed(Value::Null)
    );
    assert_eq!(late.load(Ordering::Relaxed), 0);
    assert!(bench.clock.now() > before, "it was tried a thousand times without a pause");
    assert_eq!(bench.outside.log(), ["run-1/pay"]);
}
