//! Opening: the tables are made once, by whoever comes first, and those of others are left alone.

use daa_core::event::{EventStore, ReadError, Version};
use daa_core::fault::{Reaction, Retry};
use daa_store::open::OpenError;
use daa_store::postgres::{PostgresEventStore, PostgresOptions};

use super::support::Schema;
use crate::support::{append, small};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_that_open_at_the_same_moment_make_one_schema() {
    let schema = Schema::new();
    let opening = (0..8).map(|_| tokio::spawn(PostgresEventStore::open(schema.options())));
    let mut stores = Vec::new();
    for store in opening.collect::<Vec<_>>() {
        stores.push(store.await.unwrap().unwrap());
    }
    for (tag, store) in (1..).zip(&stores) {
        append(store, small(tag)).await;
    }
    for store in stores {
        assert_eq!(store.head().await.unwrap().get(), 24);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_with_tables_of_somebody_else_is_left_alone() {
    let schema = Schema::new();
    let conn = schema.connect().await;
    conn.batch_execute(&format!("CREATE SCHEMA {}", schema.name)).await.unwrap();
    conn.batch_execute("CREATE TABLE invoices (id int)").await.unwrap();
    let refused = PostgresEventStore::open(schema.options()).await;
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_format_is_worked_on_only_where_it_says_so() {
    let schema = Schema::new();
    schema.open().await.close().await;
    let conn = schema.connect().await;
    conn.batch_execute("UPDATE daa_format SET version = 7, needs = 1").await.unwrap();
    let store = schema.open().await;
    append(&store, small(1)).await;
    store.close().await;
    conn.batch_execute("UPDATE daa_format SET version = 7, needs = 7").await.unwrap();
    let refused = PostgresEventStore::open(schema.options()).await;
    let Err(OpenError::SchemaTooNew { found: 7, .. }) = refused else { panic!("{refused:?}") };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_unavailable_and_may_be_tried_again() {
    let options = PostgresOptions::new("postgres://root:s3cret@127.0.0.1:1/test").unwrap();
    let refused = PostgresEventStore::open(options).await.unwrap_err();
    assert!(matches!(refused, OpenError::Unavailable { .. }), "{refused:?}");
    assert_eq!(refused.retry(), Retry::Later);
    assert!(!format!("{refused:?} {refused}").contains("s3cret"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_behind_the_back_of_the_store_is_reported_and_not_served() {
    let changes = [
        "UPDATE events SET payload = 'other' WHERE position = 2",
        "UPDATE events SET version = 9 WHERE position = 2",
        "UPDATE events SET kind = 'other.v1' WHERE position = 2",
        "UPDATE streams SET name = 'other' WHERE id = 1",
        "DELETE FROM events WHERE position = 2",
        "DELETE FROM streams WHERE id = 1",
    ];
    for change in changes {
        let schema = Schema::new();
        let writer = schema.open().await;
        append(&writer, small(0)).await;
        writer.close().await;
        schema.connect().await.batch_execute(change).await.unwrap();
        let store = schema.open().await;
        let read = store.read_all(Default::default(), Default::default()).await;
        assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{change}: {read:?}");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_of_one_owner_are_in_one_partition() {
    let schema = Schema::new();
    let store = schema.open().await;
    for agent in 0..40 {
        for stream in [format!("agent/{agent}"), format!("agent/{agent}/memory")] {
            let event = daa_core::event::NewEvent::new(
                "test.v1".try_into().unwrap(),
                daa_core::clock::Timestamp::EPOCH,
                "x".into(),
            );
            let stream = stream.try_into().unwrap();
            let expected = daa_core::event::ExpectedVersion::Exact(Version::EMPTY);
            store.append(daa_core::event::Batch::new().with_event(stream, expected, event)).await.unwrap();
        }
    }
    let conn = schema.connect().await;
    let spread = "SELECT count(DISTINCT tableoid) FROM events";
    let spread: i64 = conn.query_one(spread, &[]).await.unwrap().get(0);
    assert!(spread > 4, "{spread} of 8 partitions are used by 40 agents");
    let split = "SELECT count(*) FROM (SELECT split_part(s.name, '/', 2) FROM events e JOIN streams s ON s.id = e.stream
         GROUP BY 1 HAVING count(DISTINCT e.tableoid) > 1) split";
    let split: i64 = conn.query_one(split, &[]).await.unwrap().get(0);
    assert_eq!(split, 0, "agents whose streams are in several partitions");
    store.close().await;
}
