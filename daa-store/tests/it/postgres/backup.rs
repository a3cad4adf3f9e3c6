//! The commands of `docs/guide/backup-and-restore.md` for PostgreSQL, on servers of the test's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daa_core::event::{EventStore, Position};
use daa_store::postgres::{PostgresEventStore, PostgresOptions};

use super::server::{Server, shell};
use super::support::connect;
use crate::backup::{Load, WRITERS, check, commands, everything, run};

async fn open(server: &Server) -> Arc<PostgresEventStore> {
    Arc::new(PostgresEventStore::open(PostgresOptions::new(&server.url()).unwrap()).await.unwrap())
}

/// Runs a command while the load goes on.
async fn beside(command: &str, variables: &[(&str, &str)]) {
    let (command, variables) = (command.to_owned(), variables.to_vec());
    let variables: Vec<(String, String)> =
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let running = tokio::task::spawn_blocking(move || {
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        run(shell(), &command, &variables);
    });
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_beside_eight_writers_is_a_prefix_of_the_store() {
    let [dump, restore] = <[String; 2]>::try_from(commands("PostgreSQL: one store")).unwrap();
    let (server, new) = (Server::start().await, Server::start().await);
    let store = open(&server).await;
    let load = Load::begin(&store);
    let least = load.goes_on(&*store, 500).await;
    let (url, new_url, backup) = (server.url(), new.url(), new.dir().join("daa.dump"));
    let backup = backup.to_str().unwrap();
    beside(&dump, &[("SCHEMA", "daa"), ("BACKUP", backup), ("URL", &url)]).await;
    let most = store.head().await.unwrap();
    load.goes_on(&*store, 100).await;
    load.end().await;
    let original = everything(&*store).await;

    beside(&restore, &[("BACKUP", backup), ("NEW_URL", &new_url)]).await;
    let restored = open(&new).await;
    check(&*restored, &original, least, most).await;
    // As the original does, it tells when what it got was written.
    let far = daa_core::clock::Timestamp::from_millis(u64::MAX);
    assert_eq!(restored.position_at(far).await.unwrap(), restored.head().await.unwrap());
    restored.close().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_backup_and_the_log_of_the_server_give_back_a_moment() {
    let section = commands("PostgreSQL: the whole server, to any moment");
    let [archive, copy, restore] = <[String; 3]>::try_from(section).unwrap();
    let (mut server, mut new) = (Server::start().await, Server::prepare());
    let (url, wal, base) = (server.url(), server.dir().join("wal"), server.dir().join("base"));
    let (wal, base, data) = (wal.to_str().unwrap(), base.to_str().unwrap(), new.data());
    beside("mkdir \"$WAL\"", &[("WAL", wal)]).await;
    beside(&archive, &[("URL", &url), ("WAL", wal)]).await;
    server.kill();
    server.start_again().await;
    let store = open(&server).await;
    let load = Load::begin(&store);
    load.goes_on(&*store, 200).await;
    beside(&copy, &[("URL", &url), ("BASE", base)]).await;
    let least = load.goes_on(&*store, 200).await;
    let conn = connect(&url).await.unwrap();
    let moment: String = conn.query_one("SELECT clock_timestamp()::text", &[]).await.unwrap().get(0);
    // A group may have begun to commit before the moment, and be visible after it; each writer has an event in it.
    let most = Position::new(store.head().await.unwrap().get() + WRITERS);
    load.goes_on(&*store, 200).await;
    load.end().await;
    let original = everything(&*store).await;
    store.close().await;
    // What was written last is in the log that is kept.
    let last: String = conn.query_one("SELECT pg_walfile_name(pg_switch_wal())", &[]).await.unwrap().get(0);
    let began = Instant::now();
    while !std::path::Path::new(wal).join(&last).exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "{last} is not archived");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.kill();

    let data = data.to_str().unwrap();
    beside(&restore, &[("BASE", base), ("DATA", data), ("WAL", wal), ("MOMENT", &moment)]).await;
    new.start_again().await;
    let conn = connect(&new.url()).await.unwrap();
    let began = Instant::now();
    while conn.query_one("SELECT pg_is_in_recovery()", &[]).await.unwrap().get(0) {
        assert!(began.elapsed() < Duration::from_secs(60), "the server does not come up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let restored = open(&new).await;
    check(&*restored, &original, least, most).await;
    restored.close().await;
}
