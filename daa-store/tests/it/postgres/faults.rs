//! The server is killed and the network fails, while writers write and a reader follows: nothing that was
//! acknowledged is lost, nothing is there twice, and the order of each writer is kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, RecordedEvent, Version,
};
use daa_core::id::StreamId;
use daa_store::postgres::{PostgresEventStore, PostgresOptions};
use tokio::task::JoinHandle;

use super::server::{Server, url_at};
use crate::proxy::Proxy;

const WRITERS: u64 = 4;

/// Writers with a stream each, that go on whatever happens.
struct Load {
    store: Arc<PostgresEventStore>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    writers: Vec<JoinHandle<Vec<u64>>>,
    reader: JoinHandle<Vec<Position>>,
}

impl Load {
    async fn begin(url: &str) -> Self {
        let options = PostgresOptions::new(url)
            .unwrap()
            .with_statement_timeout(Duration::from_secs(2))
            .with_poll_interval(Duration::from_millis(100));
        let store = Arc::new(PostgresEventStore::open(options).await.unwrap());
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writers = (0..WRITERS)
            .map(|writer| tokio::spawn(write(store.clone(), writer, stop.clone(), acknowledged.clone())))
            .collect();
        let reader = tokio::spawn(follow(store.clone()));
        Self { store, stop, acknowledged, writers, reader }
    }

    /// Waits for the next acknowledgement; how long that took.
    async fn recovery(&self) -> Duration {
        let (began, before) = (Instant::now(), self.acknowledged.load(Ordering::Acquire));
        while self.acknowledged.load(Ordering::Acquire) == before {
            assert!(began.elapsed() < Duration::from_secs(30), "no append was acknowledged any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    }

    /// Stops the writers, and checks what is in the log.
    async fn check(self) {
        self.stop.store(true, Ordering::Release);
        let mut acknowledged = BTreeMap::new();
        for (writer, task) in (0..).zip(self.writers) {
            acknowledged.insert(writer, task.await.unwrap());
        }
        let all = everything(&*self.store).await;
        for (writer, acknowledged) in acknowledged {
            let stream = stream(writer);
            let stored: Vec<u64> = all
                .iter()
                .filter(|event| event.stream == stream)
                .map(|event| event.json().unwrap())
                .collect();
            assert!(acknowledged.len() > 20, "writer {writer} got {} appends through", acknowledged.len());
            assert_eq!(
                stored, acknowledged,
                "what writer {writer} knows to be in the log, and what is there"
            );
        }
        let head = self.store.head().await.unwrap();
        assert_eq!(head, Position::new(all.len() as u64));
        self.store.close().await;
        let seen = tokio::time::timeout(Duration::from_secs(30), self.reader).await.unwrap().unwrap();
        let expected: Vec<Position> = (1..=head.get()).map(Position::new).collect();
        assert_eq!(seen, expected, "what a reader saw that followed all the time");
    }
}

fn stream(writer: u64) -> StreamId {
    StreamId::new(format!("writer/{writer}")).unwrap()
}

/// Appends numbers; answers those that are in the log, by what it was told.
async fn write(
    store: Arc<PostgresEventStore>,
    writer: u64,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
) -> Vec<u64> {
    let stream = stream(writer);
    let (mut written, mut number) = (Vec::new(), 0);
    while !stop.load(Ordering::Acquire) {
        number += 1;
        let event = NewEvent::json("number.v1".try_into().unwrap(), Timestamp::EPOCH, &number).unwrap();
        let before = Version::new(written.len() as u64);
        let batch = Batch::new().with_event(stream.clone(), ExpectedVersion::Exact(before), event);
        match store.append(batch).await {
            Ok(_) => {
                written.push(number);
                acknowledged.fetch_add(1, Ordering::AcqRel);
            }
            Err(AppendError::Unavailable { .. }) => {}
            Err(error) => panic!("writer {writer} at {number}: {error:?}"),
        }
    }
    written
}

/// Follows from the start until the store is closed.
async fn follow(store: Arc<PostgresEventStore>) -> Vec<Position> {
    let mut log = store.subscribe(Position::START).await.unwrap();
    drop(store);
    let mut seen = Vec::new();
    loop {
        match log.next().await {
            Ok(Some(event)) => seen.push(event.position),
            Ok(None) => return seen,
            Err(daa_core::event::ReadError::Unavailable { .. }) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("after {:?}: {error:?}", seen.last()),
        }
    }
}

async fn everything(store: &dyn EventStore) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |event| event.position);
        let page = store.read_all(after, PageSize::default()).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_started_again_loses_nothing_and_is_used_within_five_seconds() {
    let mut server = Server::start().await;
    let load = Load::begin(&server.url()).await;
    for _ in 0..3 {
        load.recovery().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.start_again().await;
        let recovery = load.recovery().await;
        assert!(recovery < Duration::from_secs(5), "{recovery:?} until the next append");
    }
    load.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_in_the_middle_of_appends_lose_nothing_and_double_nothing() {
    let server = Server::start().await;
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
    let load = Load::begin(&url_at(proxy.port())).await;
    // A commit takes longer than the way there and back, so that many answers are lost. Now and then there is time
    // for more than one.
    let began = Instant::now();
    for cut in 0_u64.. {
        let enough = cut >= 60 && load.acknowledged.load(Ordering::Acquire) >= 50 * WRITERS;
        if enough {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "after {cut} cuts too little came through");
        tokio::time::sleep(Duration::from_millis(15 + 37 * cut % 150)).await;
        proxy.cut();
    }
    load.recovery().await;
    load.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_and_one_that_is_away_for_seconds_lose_nothing() {
    let server = Server::start().await;
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
    let load = Load::begin(&url_at(proxy.port())).await;
    load.recovery().await;
    proxy.delay(Duration::from_millis(20));
    for _ in 0..10 {
        load.recovery().await;
    }
    proxy.delay(Duration::ZERO);
    proxy.refuse(true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    proxy.refuse(false);
    let recovery = load.recovery().await;
    assert!(recovery < Duration::from_secs(5), "{recovery:?} until the next append");
    for _ in 0..50 {
        load.recovery().await;
    }
    load.check().await;
}
