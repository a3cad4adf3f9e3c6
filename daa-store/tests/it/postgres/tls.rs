//! TLS, and whom it trusts.

use std::time::Duration;

use daa_core::event::{EventStore, Position};
use daa_store::postgres::{PostgresEventStore, PostgresOptions};

use super::server::Server;
use super::support::connect;
use crate::certificates::Certificates;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speaks_tls_with_a_server_that_it_trusts_and_with_no_other() {
    let keys = tempfile::tempdir().unwrap();
    let made = Certificates::make(keys.path());
    let server = Server::start().await;
    server.speak_tls(&made.certificate, &made.key).await;
    let url = format!("postgres://postgres@localhost:{}/postgres?sslmode=require", server.port());
    let options = || {
        let options = PostgresOptions::new(&url).unwrap();
        options.with_patience(Duration::from_millis(500)).with_acquire_timeout(Duration::from_millis(500))
    };
    let authority = std::fs::read(&made.authority).unwrap();
    let trusting = options().with_root_certificates(&authority).unwrap();
    let store = PostgresEventStore::open(trusting).await.unwrap();
    assert_eq!(store.head().await.unwrap(), Position::START);
    // The connections of the store, and no others, are those that the server encrypts.
    let client = connect(&server.url()).await.unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl WHERE ssl";
    assert!(client.query_one(encrypted, &[]).await.unwrap().get::<_, i64>(0) > 0);

    let other = tempfile::tempdir().unwrap();
    let stranger = std::fs::read(Certificates::make(other.path()).authority).unwrap();
    for refused in [options(), options().with_root_certificates(&stranger).unwrap()] {
        let refused = PostgresEventStore::open(refused).await;
        let told = format!("{:?}", refused.expect_err("a stranger"));
        assert!(told.contains("ertificate"), "{told}");
    }
}
