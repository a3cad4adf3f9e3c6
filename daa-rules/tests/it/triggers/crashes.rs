//! A crash at every write: what rules do is done once.

use std::sync::Arc;
use std::task::{Context, Waker};

use async_trait::async_trait;
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, MemoryEventStore, PageSize, Position, ReadError, RecordedEvent,
    Subscription, Version,
};
use daa_core::id::StreamId;
use daa_core::workflow::testing::{CrashPoint, CrashStore};
use serde_json::json;

use super::world::{Outside, START, World, happen, settle};

const RULES: &str = r#"
[event.order]
data = { n = "int" }
[parameter.sum]
type = "int"
value = 0
[notification.many]
[[rule]]
on = "act"
effect = "permit"
[[rule]]
id = "add"
on = { event = "order" }
set = { sum = "parameter.sum + event.data.n" }
emit = { kind = "act", params = { n = "event.data.n" } }
notify = { name = "many", text = "${event.data.n}" }
[[rule]]
id = "alarm"
on = { value = "parameter.sum", above = 5 }
notify = { name = "many", text = "above" }
emit = { kind = "act", params = { n = "threshold.value" } }
"#;

/// Lives through the orders, dying at one append and starting again; what is there in the end.
async fn live(crash: Option<(u64, CrashPoint)>) -> (World, u64, bool) {
    let store = CrashStore::new(Arc::new(MemoryEventStore::new()));
    let (clock, outside) = (ManualClock::new(Timestamp::from_millis(START)), Arc::<Outside>::default());
    let world = World::on(store.clone(), clock.clone(), outside.clone(), RULES, None);
    world.begun().await;
    for n in [1, 2, 4] {
        happen(&*store, "order", json!({ "n": n })).await;
    }
    let before = store.appends();
    if let Some((at, point)) = crash {
        store.crash_at(before + at, point);
    }
    let mut runner = world.runner();
    let lived = settle(&mut runner).await;
    let appends = store.appends() - before;
    let died = lived.is_err();
    let world = World::on(store.restarted(), clock, outside, RULES, None);
    settle(&mut world.runner()).await.unwrap();
    (world, appends, died)
}

async fn summary(world: &World) -> (Vec<String>, Vec<i64>, usize, serde_json::Value) {
    let mut done: Vec<i64> =
        world.outside.done().iter().map(|(_, params)| params["n"].as_i64().unwrap()).collect();
    done.sort_unstable();
    let fired = world.fired().await;
    let sum = fired.iter().filter_map(|fired| fired.set.get("sum")).next_back().cloned().unwrap();
    (world.texts().await, done, fired.len(), sum)
}

#[tokio::test]
async fn whatever_dies_when_everything_is_done_once() {
    let (world, appends, died) = live(None).await;
    let expected = summary(&world).await;
    assert!(!died);
    assert_eq!(
        expected,
        (["1", "2", "4", "above"].map(ToOwned::to_owned).to_vec(), vec![1, 2, 4, 7], 4, json!(7))
    );
    assert!(appends > 10, "{appends}");
    for at in 1..=appends {
        for point in [CrashPoint::Before, CrashPoint::After] {
            let (world, _, died) = live(Some((at, point))).await;
            assert!(died, "append {at}");
            assert_eq!(summary(&world).await, expected, "{point:?} append {at}");
        }
    }
}

/// A store that lets others go on after each append, before it says that it was made: there a call can be dropped.
#[derive(Debug, Default)]
struct Slow(MemoryEventStore);

#[async_trait]
impl EventStore for Slow {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let appended = self.0.append(batch).await;
        tokio::task::yield_now().await;
        appended
    }

    async fn read_stream(
        &self,
        of: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.0.read_stream(of, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.0.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.0.subscribe(after).await
    }

    async fn erase(&self, of: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.0.erase(of, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.0.head().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test]
async fn a_pass_may_be_dropped_at_any_append_and_the_runner_goes_on() {
    let (clock, outside) = (ManualClock::new(Timestamp::from_millis(START)), Arc::<Outside>::default());
    let mut dropped = 0;
    for polls in 1.. {
        let world = World::on(Arc::new(Slow::default()), clock.clone(), outside.clone(), RULES, None);
        world.begun().await;
        for n in [1, 2, 4] {
            happen(&*world.store, "order", json!({ "n": n })).await;
        }
        let mut runner = world.runner();
        let ended = {
            let mut look = std::pin::pin!(runner.look());
            (0..polls).any(|_| look.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready())
        };
        settle(&mut runner).await.unwrap();
        let (texts, _, fired, sum) = summary(&world).await;
        assert_eq!((texts.len(), fired, sum), (4, 4, json!(7)), "dropped after {polls} polls");
        if ended {
            break;
        }
        dropped += 1;
    }
    assert!(dropped > 5, "{dropped}");
}
