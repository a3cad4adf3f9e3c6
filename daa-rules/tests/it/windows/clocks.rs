//! Windows by the calendar, and clocks that are wrong.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daa_core::clock::{Clock as _, ManualClock, Timestamp};
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, MemoryEventStore, PageSize, Position, ReadError, RecordedEvent,
    Subscription, Version,
};
use daa_core::id::StreamId;

use super::world::{Process, is_denied, paid};

const DAILY: &str = r#"
[owner]
acme = ["alice", "bob"]
[window.daily]
on = "payment.*"
sum = "action.cost"
per = ["action.owner"]
calendar = "day"
zone = "Europe/Berlin"
[[rule]]
on = "payment.*"
when = 'window.daily + action.cost <= money("0.000100 USDC")'
effect = "permit"
"#;

/// 2026-11-21 22:00 UTC: an hour before midnight in Berlin.
const EVENING: Timestamp = Timestamp::from_millis(1_795_298_400_000);

#[tokio::test]
async fn a_window_by_the_calendar_begins_anew_with_each_day_of_its_zone() {
    let (store, clock) = (Arc::new(MemoryEventStore::new()), ManualClock::new(EVENING));
    let process = Process::new(store.clone(), &clock, DAILY);
    process.pay(paid("a", "alice", "carol", 60)).await.unwrap();
    // What an owner's agents do counts together.
    assert!(is_denied(&process.pay(paid("b", "bob", "carol", 41)).await));
    clock.advance(Duration::from_millis(3_600_000 - 1));
    assert!(is_denied(&process.pay(paid("c", "bob", "carol", 41)).await));
    process.pay(paid("d", "bob", "carol", 40)).await.unwrap();
    clock.advance(Duration::from_millis(1));
    process.pay(paid("e", "bob", "carol", 100)).await.unwrap();
    // The whole day, and not 24 hours.
    clock.advance(Duration::from_secs(86_400 - 1));
    for process in [process, Process::new(store, &clock, DAILY)] {
        assert!(is_denied(&process.pay(paid("f", "alice", "carol", 1)).await));
    }
}

const HOURLY: &str = r#"
[window.hourly]
on = "payment.*"
sum = "action.cost"
span = "1h"
[[rule]]
on = "payment.*"
when = 'window.hourly + action.cost <= money("0.000100 USDC")'
effect = "permit"
"#;

/// A store on a machine whose clock is right.
#[derive(Debug)]
struct Timed {
    inner: MemoryEventStore,
    clock: ManualClock,
}

#[async_trait]
impl EventStore for Timed {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        self.inner.append(batch).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_stream(stream, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.inner.subscribe(after).await
    }

    async fn erase(&self, stream: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.inner.erase(stream, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn now(&self) -> Result<Option<Timestamp>, ReadError> {
        Ok(Some(self.clock.now()))
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[tokio::test]
async fn a_clock_that_runs_ahead_or_behind_neither_empties_a_window_nor_fills_it() {
    let right = ManualClock::new(EVENING);
    let store = Arc::new(Timed { inner: MemoryEventStore::new(), clock: right.clone() });
    let year = Duration::from_secs(365 * 86_400);
    let (ahead, behind) =
        (ManualClock::new(EVENING + year), ManualClock::new(Timestamp::from_millis(1_000_000)));
    let process = |clock: &ManualClock| Process::new(store.clone(), clock, HOURLY);
    let (good, ahead_of_it, behind_it) = (process(&right), process(&ahead), process(&behind));
    good.pay(paid("a", "alice", "bob", 60)).await.unwrap();
    // Each of them sees what the others did, and none more than fits.
    assert!(is_denied(&ahead_of_it.pay(paid("b", "alice", "bob", 41)).await));
    ahead_of_it.pay(paid("c", "alice", "bob", 20)).await.unwrap();
    assert!(is_denied(&behind_it.pay(paid("d", "alice", "bob", 21)).await));
    behind_it.pay(paid("e", "alice", "bob", 20)).await.unwrap();
    // An hour later everything has left it, for all of them.
    let all = |span: Duration| [&right, &ahead, &behind].into_iter().for_each(|clock| clock.advance(span));
    all(Duration::from_millis(3_600_000 - 1));
    for (number, process) in [&good, &ahead_of_it, &behind_it].into_iter().enumerate() {
        assert!(is_denied(&process.pay(paid(&format!("f-{number}"), "alice", "bob", 1)).await));
    }
    all(Duration::from_millis(1));
    ahead_of_it.pay(paid("g", "alice", "bob", 100)).await.unwrap();
    // A clock that jumps while the process runs is found out too.
    right.advance(Duration::from_secs(60));
    behind.advance(year * 10);
    assert!(is_denied(&behind_it.pay(paid("h", "alice", "bob", 1)).await));
    // And so is what a wrong clock left in the journal for a window that comes later.
    let later = Process::new(store.clone(), &right, &HOURLY.replace("hourly", "later"));
    assert!(is_denied(&later.pay(paid("i", "alice", "bob", 1)).await));
    right.advance(Duration::from_secs(3_600));
    later.pay(paid("j", "alice", "bob", 100)).await.unwrap();
}
