//! A relay that dies at each append and each publication: nothing is lost, and what comes again is the same message.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use daa_core::event::*;
use daa_core::workflow::testing::{CrashPoint, CrashStore};

use super::world::*;

/// Appends of a run without a crash: the orders, a claim, four batches, a release.
const APPENDS: u64 = 30 + 6;

#[tokio::test(start_paused = true)]
async fn at_every_append() {
    for point in [CrashPoint::Before, CrashPoint::After] {
        for at in 31..=APPENDS + 1 {
            let (store, clock) = (CrashStore::new(Arc::new(MemoryEventStore::new())), clock());
            let bus = ScriptedBus::takes_all();
            let expected = orders(&*store).await;
            store.crash_at(at, point);
            let dying: Arc<dyn EventStore> = store.clone();
            let running = Running::start(relay("a", &dying, &bus, &clock));
            tokio::select! {
                () = store.died() => {}
                () = running.caught_up(), if at >= APPENDS => {}
            }
            running.kill().await;
            let restarted: Arc<dyn EventStore> = store.restarted();
            append(&*restarted, clock_start(), "order/0", "one more").await;
            let running = Running::start(relay("b", &restarted, &bus, &clock));
            running.caught_up().await;
            let mut expected = expected;
            expected.get_mut("order/0").unwrap().push("one more".to_owned());
            assert_eq!(bus.by_key(), expected, "crashed {point:?} append {at}");
            let copies = bus.taken().len() - 31;
            assert!(copies <= 8, "{copies} copies: more than a batch was repeated");
        }
    }
}

fn clock_start() -> daa_core::clock::Timestamp {
    daa_core::clock::Timestamp::from_millis(1_000_000)
}

#[tokio::test(start_paused = true)]
async fn at_every_publication() {
    for lost in [Does::Hang, Does::TakeSilently] {
        for at in 0..30 {
            let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
            let clock = clock();
            let expected = orders(&*store).await;
            let script = vec![Does::Take; at].into_iter().chain([lost]);
            let bus = ScriptedBus::new(script, Does::Hang);
            let running = Running::start(relay("a", &store, &bus, &clock));
            until("it publishes", async || bus.asked.load(Ordering::Acquire) > at as u64).await;
            running.kill().await;
            bus.now_does(Does::Take);
            let running = Running::start(relay("b", &store, &bus, &clock));
            running.caught_up().await;
            assert_eq!(bus.by_key(), expected, "crashed with {lost:?} at publication {at}");
        }
    }
}
