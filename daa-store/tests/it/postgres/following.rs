//! A subscriber that begins in history and goes on beside live writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_core::event::{
    Batch, EventStore, ExpectedVersion, NewEvent, Position, ReadError, RecordedEvent, Subscription,
};

use super::support::Schema;

const WRITERS: u64 = 8;
const EVENTS: u64 = 100_000;
/// Events in an append.
const EACH: u64 = 10;

fn batch(writer: u64, first: u64) -> Batch {
    (first..first + EACH).fold(Batch::new(), |batch, number| {
        let event = NewEvent::json("number.v1".try_into().unwrap(), Timestamp::EPOCH, &number).unwrap();
        batch.with_event(format!("writer/{writer}").try_into().unwrap(), ExpectedVersion::Any, event)
    })
}

/// Transactions that stay open for long, and hold on to a number of their own meanwhile: what makes readers of
/// sequences miss what commits late.
async fn long_transactions(schema: &Schema, stop: Arc<AtomicBool>) {
    let conn = schema.connect().await;
    conn.batch_execute("CREATE TABLE others (id bigserial PRIMARY KEY, what text)").await.unwrap();
    while !stop.load(Ordering::Acquire) {
        conn.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
        conn.batch_execute("INSERT INTO others (what) SELECT kind FROM events LIMIT 10").await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        conn.batch_execute("COMMIT").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_misses_nothing_and_sees_nothing_twice_beside_eight_writers_and_long_transactions() {
    let schema = Arc::new(Schema::new());
    // Two stores, so that half of the writers are strangers to the one that is followed.
    let stores = [Arc::new(schema.open().await), Arc::new(schema.open().await)];
    let share = EVENTS / WRITERS;
    // A quarter is history when the subscriber comes.
    for writer in 0..WRITERS {
        for first in (0..share / 4).step_by(EACH as usize) {
            stores[0].append(batch(writer, first)).await.unwrap();
        }
    }
    let before = stores[0].head().await.unwrap().get();
    let mut log = stores[0].subscribe(Position::START).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let long = {
        let (schema, stop) = (schema.clone(), stop.clone());
        tokio::spawn(async move { long_transactions(&schema, stop).await })
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = stores[(writer % 2) as usize].clone();
            tokio::spawn(async move {
                let first = (0..share).step_by(EACH as usize).find(|&first| first >= share / 4).unwrap();
                for first in (first..share).step_by(EACH as usize) {
                    store.append(batch(writer, first)).await.unwrap();
                }
            })
        })
        .collect();
    let mut next = vec![0_u64; WRITERS as usize];
    for position in 1..=EVENTS {
        let event =
            tokio::time::timeout(Duration::from_secs(60), log.next()).await.expect("an event in time");
        let event = event.unwrap().unwrap();
        assert_eq!(event.position.get(), position, "missed, twice, or out of order");
        let writer: usize = event.stream.as_str().strip_prefix("writer/").unwrap().parse().unwrap();
        assert_eq!(event.json::<u64>().unwrap(), next[writer], "the order of writer {writer}");
        next[writer] += 1;
    }
    assert!(before > 0 && before < EVENTS, "{before} events were history");
    assert_eq!(next, vec![share; WRITERS as usize]);
    for writer in writers {
        writer.await.unwrap();
    }
    stop.store(true, Ordering::Release);
    long.await.unwrap();
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_store_appends_is_told_at_once_and_found_after_all_connections_ended() {
    let schema = Schema::new();
    let slow = schema.options().with_poll_interval(Duration::from_secs(3600));
    let told = daa_store::postgres::PostgresEventStore::open(slow).await.unwrap();
    let other = schema.open().await;
    let mut log = told.subscribe(Position::START).await.unwrap();
    // The listening begins in the background.
    tokio::time::sleep(Duration::from_millis(500)).await;
    other.append(batch(1, 0)).await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(5), log.next()).await.expect("it is told");
    assert_eq!(event.unwrap().unwrap().position.get(), 1);

    // Every connection of the stores ends, as an administrator or a firewall ends them.
    let conn = schema.connect().await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'daa/' || current_schema()";
    let ended = conn.query(end, &[]).await.unwrap();
    assert!(ended.len() >= 4, "{} connections ended", ended.len());
    other.append(batch(1, 10)).await.unwrap();
    for position in 2..=20 {
        let event = tokio::time::timeout(Duration::from_secs(5), next(&mut log)).await.expect("it is found");
        assert_eq!(event.position.get(), position);
    }
    for store in [told, other] {
        store.close().await;
    }
}

/// The next event, whatever happens to the connections meanwhile.
async fn next(log: &mut Subscription) -> RecordedEvent {
    loop {
        match log.next().await {
            Ok(event) => return event.unwrap(),
            Err(ReadError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error:?}"),
        }
    }
}
