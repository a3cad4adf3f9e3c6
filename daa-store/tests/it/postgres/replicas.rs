//! Reads that replicas may answer, and the bound on how far behind they are: against a primary and replicas of the
//! test's own.

use std::time::{Duration, Instant};

use daa_core::event::{EventStore, PageSize, Position, ReadAll, ReadError, Version};
use daa_store::postgres::{PostgresEventStore, PostgresOptions, StaleReads};
use tokio_postgres::Client;

use super::server::Server;
use super::support::connect;
use crate::support::{append, small};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

async fn open(primary: &Server, replicas: &[&Server]) -> PostgresEventStore {
    let mut options = PostgresOptions::new(&primary.url())
        .unwrap()
        .with_acquire_timeout(Duration::from_secs(2))
        .with_poll_interval(Duration::from_millis(50));
    for replica in replicas {
        options = options.with_replica(&replica.url()).unwrap();
    }
    PostgresEventStore::open(options).await.unwrap()
}

/// What a reader sees to be the end, by reading.
async fn end(reads: &StaleReads) -> Result<u64, ReadError> {
    Ok(reads.read_all(Position::START, PageSize::default()).await?.len() as u64)
}

async fn soon(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn replay(replica: &Client, call: &str) {
    replica.batch_execute(&format!("SELECT pg_wal_replay_{call}()")).await.unwrap();
}

/// How many events a server has, past every store.
async fn has(server: &Client) -> i64 {
    let count = server.query_one("SELECT count(*) FROM daa.events", &[]).await;
    // The tables may not be there yet.
    count.map_or(0, |row| row.get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_answers_as_long_as_it_is_within_the_bound_and_the_primary_otherwise() {
    let primary = Server::start().await;
    let mut replica = primary.replica().await;
    let store = open(&primary, &[&replica]).await;
    append(&store, small(1)).await;
    let behind = connect(&replica.url()).await.unwrap();
    soon("the replica has the first events", async || has(&behind).await == 3).await;
    let (now, stale) = (store.stale(Duration::ZERO), store.stale(HOUR));
    assert_eq!((end(&now).await.unwrap(), end(&stale).await.unwrap()), (3, 3));

    // What stands still shows who answers.
    replay(&behind, "pause").await;
    append(&store, small(2)).await;
    assert_eq!(end(&now).await.unwrap(), 6, "the bound leaves only the primary");
    assert_eq!(end(&stale).await.unwrap(), 3, "the replica is good enough");
    assert_eq!(stale.head().await.unwrap(), Position::new(3));
    assert_eq!(now.head().await.unwrap(), Position::new(6));
    let shared = "shared".try_into().unwrap();
    let of_stream = async |reads: &StaleReads| {
        reads.read_stream(&shared, Version::EMPTY, PageSize::default()).await.unwrap().len()
    };
    assert_eq!((of_stream(&now).await, of_stream(&stale).await), (2, 1));

    // Whatever was acknowledged longer ago than the bound is shown.
    let bound = Duration::from_millis(700);
    let reads = store.stale(bound);
    let acknowledged = Instant::now();
    loop {
        let began = Instant::now();
        let seen = end(&reads).await.unwrap();
        assert!(seen == 6 || began - acknowledged <= bound, "{seen} events after {:?}", began - acknowledged);
        if began - acknowledged > 3 * bound {
            break;
        }
    }

    // It goes on, and is used within the tightest bound again.
    replay(&behind, "resume").await;
    soon("the replica has all", async || has(&behind).await == 6).await;
    primary_is_spared(&store, &behind).await;

    // It is killed: the primary answers; and it is used again when it is back.
    replica.kill();
    assert_eq!(end(&stale).await.unwrap(), 6);
    append(&store, small(3)).await;
    assert_eq!(end(&stale).await.unwrap(), 9);
    replica.start_again().await;
    let behind = connect(&replica.url()).await.unwrap();
    soon("the replica has all", async || has(&behind).await == 9).await;
    replay(&behind, "pause").await;
    append(&store, small(4)).await;
    soon("the replica answers again", async || end(&stale).await.unwrap() == 9).await;
    assert_eq!(end(&now).await.unwrap(), 12);

    store.close().await;
    assert!(matches!(end(&stale).await, Err(ReadError::Closed)));
    assert!(matches!(stale.head().await, Err(ReadError::Closed)));
}

/// Reads within no lag at all come from a replica that has everything: it says so itself.
async fn primary_is_spared(store: &PostgresEventStore, replica: &Client) {
    let reads = store.stale(Duration::ZERO);
    let scans = async || -> i64 {
        replica.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
        let calls = "SELECT coalesce(sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0)), 0)::bigint
            FROM pg_stat_all_tables WHERE schemaname = 'daa' AND relname LIKE 'events%'";
        replica.query_one(calls, &[]).await.unwrap().get(0)
    };
    let before = scans().await;
    soon("the replica counts scans of its own", async || {
        assert_eq!(end(&reads).await.unwrap(), 6);
        scans().await > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_primary_is_away_replicas_answer_as_long_as_the_bound_can_be_kept() {
    let mut primary = Server::start().await;
    let replicas = [primary.replica().await, primary.replica().await];
    let store = open(&primary, &[&replicas[0], &replicas[1]]).await;
    append(&store, small(1)).await;
    for replica in &replicas {
        let conn = connect(&replica.url()).await.unwrap();
        soon("a replica has all", async || has(&conn).await == 3).await;
    }
    // The store has looked at the primary since.
    soon("the log is known", async || end(&store.stale(Duration::from_secs(5))).await.unwrap() == 3).await;
    primary.kill();
    let (stale, now) = (store.stale(HOUR), store.stale(Duration::ZERO));
    assert_eq!(end(&stale).await.unwrap(), 3);
    let refused = end(&now).await;
    assert!(matches!(refused, Err(ReadError::Unavailable { .. })), "{refused:?}");
    assert_eq!(end(&stale).await.unwrap(), 3);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_its_own_way_is_passed_over() {
    let primary = Server::start().await;
    let other = primary.replica().await;
    let store = open(&primary, &[&other]).await;
    append(&store, small(1)).await;
    let conn = connect(&other.url()).await.unwrap();
    soon("the replica has all", async || has(&conn).await == 3).await;
    // It becomes a primary itself, and others write there.
    conn.query_one("SELECT pg_promote()", &[]).await.unwrap();
    let parted = open(&other, &[]).await;
    append(&parted, small(7)).await;
    append(&store, small(2)).await;
    soon("the store has looked", async || {
        let read = store.stale(Duration::ZERO).read_all(Position::new(3), PageSize::default()).await.unwrap();
        assert!(read.iter().all(|event| crate::support::tag(event) == 2), "of the other history");
        let read = store
            .stale(Duration::from_secs(1))
            .read_all(Position::new(3), PageSize::default())
            .await
            .unwrap();
        read.iter().all(|event| crate::support::tag(event) == 2) && read.len() == 3
    })
    .await;
    parted.close().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_replicas_the_primary_answers() {
    let schema = super::support::Schema::new();
    let store = schema.open().await;
    append(&store, small(1)).await;
    assert_eq!(end(&store.stale(HOUR)).await.unwrap(), 3);
    assert_eq!(store.stale(HOUR).head().await.unwrap(), Position::new(3));
    store.close().await;
}
