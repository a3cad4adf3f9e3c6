//! What does not grow with time.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, MemoryEventStore, PageSize, Position, ReadError, RecordedEvent,
    Subscription, Version,
};
use daa_core::id::StreamId;
use daa_core::workflow::testing::{CrashStore, Script, World};
use daa_core::workflow::{Limit, Rate, Retry, RunOutcome, Step, Workflow};
use serde_json::{Value, json};

use super::stores::{Behind, Weather};
use super::world::{Bench, action, completed, number, secs, then, workflow};

/// Counts the events that are read of streams.
#[derive(Debug, Default)]
struct Counting {
    store: MemoryEventStore,
    read: AtomicUsize,
}

#[async_trait]
impl EventStore for Counting {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.store.append(batch).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let events = self.store.read_stream(stream, after, page).await?;
        self.read.fetch_add(events.len(), Ordering::Relaxed);
        Ok(events)
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        EventStore::read_all(&self.store, after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.store.subscribe(after).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.store.head().await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.store.erase(stream, up_to).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_run_costs_no_more_the_longer_its_history_is() {
    let clock = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
    let counting = Arc::new(Counting::default());
    let outside = World::new().with_clock(clock.clone());
    let bench = Bench::on(CrashStore::new(counting.clone()), clock, outside, "rules 1");
    let flow = Workflow::new("w".parse().unwrap()).with_step(
        Step::signal("s".parse().unwrap(), "go".parse().unwrap()).with_repeat(
            serde_json::from_value(json!({ "eq": ["${last}", "stop"] })).unwrap(),
            number(1_000),
        ),
    );
    let serving = bench.serve("main");
    let run = bench.start("run-1", &flow, json!(null)).await;
    for at in 0..400 {
        bench.engine.signal(&run, "go".parse().unwrap(), at, None).await.unwrap();
        bench.clock.sleep(Duration::from_millis(1)).await;
    }
    let (_, all) = live(&bench, "workflow/run-1").await;
    assert!(all > 1_200, "{all}");
    serving.stop().await.unwrap();
    let before = counting.read.load(Ordering::Relaxed);
    for at in 0..20 {
        bench.engine.signal(&run, "go".parse().unwrap(), at, None).await.unwrap();
        bench.engine.view(&run).await.unwrap();
    }
    let read = (counting.read.load(Ordering::Relaxed) - before) / 40;
    assert!(read < all / 2, "{read} of {all}");
}

async fn live(bench: &Bench, stream: &str) -> (usize, usize) {
    let (mut all, mut live, mut after) = (0, 0, Version::EMPTY);
    loop {
        let page =
            bench.store.read_stream(&stream.parse().unwrap(), after, PageSize::default()).await.unwrap();
        let Some(last) = page.last() else { return (live, all) };
        after = last.version;
        all += page.len();
        live += page.iter().filter(|event| !event.is_erased()).count();
    }
}

fn limited(limit: Limit) -> Workflow {
    let step = Step::action("one".parse().unwrap(), "a".parse().unwrap(), json!({}));
    Workflow::new("w".parse().unwrap()).with_step(step.with_each("${input}", None).with_limit(limit))
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_limit_are_summed_up_and_it_holds_all_the_same() {
    let bench = Bench::new();
    let limit = Limit::at_once("all", NonZeroU32::new(10).unwrap());
    let items: Vec<Value> = (0..900).map(Value::from).collect();
    assert!(bench.run(&limited(limit), json!(items)).await.is_completed());
    let (left, all) = live(&bench, "workflow-limit/all").await;
    assert!(all >= 1_800 && left <= 300, "{left} of {all}");
    assert_eq!(bench.outside.effects().len(), 900);
    // The next process knows what was taken within the hour.
    let bench = bench.restart();
    let rate = Rate::new(NonZeroU32::new(5).unwrap(), Duration::from_secs(3_600));
    let limit = Limit::at_once("hourly", NonZeroU32::new(10).unwrap()).with_rate(rate);
    let items: Vec<Value> = (0..12).map(Value::from).collect();
    let run = bench.start("run-2", &limited(limit), json!(items)).await;
    let (before, serving) = (bench.clock.now(), bench.serve("main"));
    bench.engine.outcome(&run).await.unwrap();
    let took = bench.clock.now().since(before);
    assert!(took >= Duration::from_secs(7_200) && took < Duration::from_secs(7_300), "{took:?}");
    serving.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_the_last_leases_of_a_worker_are_kept() {
    let bench = Bench::new();
    bench.outside.script("a", [Script::succeed(1).after(Duration::from_secs(24 * 3_600))]);
    let step = Step::action("one".parse().unwrap(), "a".parse().unwrap(), json!({}));
    let flow = Workflow::new("w".parse().unwrap()).with_step(step);
    assert!(bench.run(&flow, json!(null)).await.is_completed());
    let (left, all) = live(&bench, "workflow-worker/main").await;
    assert!(all > 5_000 && left <= 65, "{left} of {all}");
    // The next life follows on the last one.
    let again = bench.restart();
    let serving = again.serve("main");
    again.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(live(&again, "workflow-worker/main").await, (1, all + 1));
    serving.stop().await.unwrap();
}

/// More tries than a page of events holds.
const TRIES: u32 = 400;

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_hundreds_of_times_is_tried_until_it_succeeds() {
    let bench = Bench::new();
    bench.outside.script("a", vec![Script::fail(); TRIES as usize]);
    let retry = Retry::forever().with_waits(secs(1), secs(1));
    let flow = workflow("w").with_step(action("one", "a").with_retry(retry)).with_output("done");
    let run = tokio::time::timeout(secs(3_600), bench.run(&flow, json!(null)));
    assert_eq!(run.await.expect("the run ends"), completed("done"));
    assert_eq!(bench.outside.calls("run-1/one"), TRIES + 1);
    assert_eq!(bench.outside.effects()[0].attempt, TRIES + 1);
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_fails_hundreds_of_times_is_tried_until_it_succeeds() {
    let bench = Bench::new();
    bench.outside.script("unbook", vec![Script::fail(); TRIES as usize]);
    bench.outside.script("b", [Script::reject()]);
    let first = action("one", "book").with_undo("unbook".parse().unwrap(), json!({}));
    let flow = workflow("w").with_step(first).with_step(then("two", "b", "one"));
    let run = tokio::time::timeout(secs(7 * 24 * 3_600), bench.run(&flow, json!(null)));
    let RunOutcome::RolledBack { left, .. } = run.await.expect("the run ends") else { panic!() };
    assert_eq!(left, []);
    assert_eq!(bench.outside.effects()[1].attempt, TRIES + 1);
}

/// Counts what is read of the streams of actions.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<AtomicUsize>);

impl Weather for Counted {
    fn brought(&self, stream: &StreamId, events: usize) {
        if stream.as_str().starts_with("action/") {
            self.0.fetch_add(events, Ordering::Relaxed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_hundreds_of_times_is_not_read_whole_for_each_try() {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
    let (counted, outside) = (Counted::default(), World::new().with_clock(clock.clone()));
    let store = Behind::new(counted.clone(), Arc::new(MemoryEventStore::new()));
    let bench = Bench::on(CrashStore::new(store), clock, outside, "rules 1");
    bench.outside.script("a", vec![Script::fail(); TRIES as usize]);
    let retry = Retry::forever().with_waits(secs(1), secs(1));
    let flow = workflow("w").with_step(action("one", "a").with_retry(retry));
    let run = tokio::time::timeout(secs(3_600), bench.run(&flow, json!(null)));
    assert!(run.await.expect("the run ends").is_completed());
    let read = counted.0.load(Ordering::Relaxed);
    assert!(read < 10 * TRIES as usize, "{read} events for {TRIES} tries");
}
