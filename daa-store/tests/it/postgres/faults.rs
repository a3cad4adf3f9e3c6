//! The server is killed and the network fails, while writers write and a reader follows: nothing that was
//! acknowledged is lost, nothing is there twice, and the order of each writer is kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, ReadError, RecordedEvent,
    Version,
};
use daa_core::id::StreamId;
use daa_store::postgres::{PostgresEventStore, PostgresOptions};
use tokio::task::JoinHandle;

use super::server::{Server, url_at};
use super::support::connect;
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
            Err(ReadError::Unavailable { .. }) => {
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
    // A commit takes longer than the way there and back, so that many answers are lost. Every fourth cut waits until
    // something came through, however slow this machine is.
    for cut in 0_u64.. {
        let enough = cut >= 60 && load.acknowledged.load(Ordering::Acquire) >= 50 * WRITERS;
        if enough {
            break;
        }
        tokio::time::sleep(Duration::from_millis(15 + 37 * cut % 150)).await;
        if cut % 4 == 3 {
            load.recovery().await;
        }
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

fn note(text: &str) -> Batch {
    let event = NewEvent::json("note.v1".try_into().unwrap(), Timestamp::EPOCH, &text).unwrap();
    Batch::new().with_event(stream(0), ExpectedVersion::Any, event)
}

/// On one thread, so that two appends are one group: the writer runs when both wait for it.
#[tokio::test]
async fn a_group_whose_answer_was_lost_is_not_reported_as_refused_by_a_server_that_became_read_only() {
    let server = Server::start().await;
    let admin = connect(&server.url()).await.unwrap();
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
    let options = PostgresOptions::new(&url_at(proxy.port())).unwrap();
    let store = PostgresEventStore::open(options.with_patience(Duration::from_secs(5))).await.unwrap();
    // From here on the writer knows the stream, and how to write to it: it sends nothing but the group.
    store.append(note("one")).await.unwrap();
    store.append(note("two")).await.unwrap();

    proxy.lose_answers(true);
    let meanwhile = async {
        let count = "SELECT count(*) FROM daa.events";
        while admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0) < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let refuse = "ALTER DATABASE postgres SET default_transaction_read_only = on";
        admin.batch_execute(refuse).await.unwrap();
        proxy.lose_answers(false);
        proxy.cut();
    };
    let (three, four, ()) = tokio::join!(store.append(note("three")), store.append(note("four")), meanwhile);
    for told in [three, four] {
        assert!(matches!(told, Err(AppendError::Unconfirmed { .. })), "{told:?}");
    }
    let refused = store.append(note("never")).await;
    assert!(matches!(refused, Err(AppendError::ReadOnly)), "nothing is in doubt here: {refused:?}");

    admin.batch_execute("ALTER DATABASE postgres RESET default_transaction_read_only").await.unwrap();
    store.append(note("five")).await.unwrap();
    let stored: Vec<String> = everything(&store).await.iter().map(|event| event.json().unwrap()).collect();
    assert_eq!(stored, ["one", "two", "three", "four", "five"]);
    store.close().await;
}

/// Connections that were open stay silent for ever: nobody closes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_falls_silent_fails_reads_in_time_and_new_connections_are_made_when_it_is_back() {
    let server = Server::start().await;
    let proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], server.port()))).await;
    let options = PostgresOptions::new(&url_at(proxy.port()))
        .unwrap()
        .with_statement_timeout(Duration::from_secs(2))
        .with_acquire_timeout(Duration::from_secs(2))
        .with_poll_interval(Duration::from_millis(50));
    let store = PostgresEventStore::open(options).await.unwrap();
    let elsewhere = PostgresEventStore::open(PostgresOptions::new(&server.url()).unwrap()).await.unwrap();
    let mut log = store.subscribe(Position::START).await.unwrap();
    elsewhere.append(note("before")).await.unwrap();
    assert_eq!(log.next().await.unwrap().unwrap().json::<String>().unwrap(), "before");

    // So that there are connections for both.
    let (one, two) = tokio::join!(store.head(), store.head());
    assert_eq!((one.unwrap().get(), two.unwrap().get()), (1, 1));

    proxy.delay(Duration::from_secs(3600));
    // The notification of this one is never delivered.
    elsewhere.append(note("meanwhile")).await.unwrap();
    let in_time = Duration::from_secs(60);
    let stream = stream(0);
    let read = tokio::time::timeout(in_time, store.read_all(Position::START, PageSize::default()));
    let erased = tokio::time::timeout(in_time, store.erase(&stream, Version::new(1)));
    let (read, erased) = tokio::join!(read, erased);
    let read = read.expect("a read fails in time");
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    let erased = erased.expect("an erasure fails in time");
    assert!(matches!(erased, Err(AppendError::Unavailable { .. })), "{erased:?}");

    proxy.delay(Duration::ZERO);
    let heard = async {
        loop {
            match log.next().await {
                Ok(event) => return event.unwrap(),
                Err(ReadError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    let heard = tokio::time::timeout(in_time, heard).await.expect("a subscription hears again");
    assert_eq!(heard.json::<String>().unwrap(), "meanwhile");
    for store in [store, elsewhere] {
        store.close().await;
    }
}
