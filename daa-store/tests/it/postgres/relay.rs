//! A store under load whose server is killed, relayed, and consumed into the same store.

use std::sync::Arc;
use std::time::Duration;

use daa_core::bus::{InProcessBus, InProcessOptions};
use daa_core::clock::SystemClock;
use daa_core::relay::testing::{World, everything_takes_effect_once_in_order};
use daa_store::postgres::{PostgresEventStore, PostgresOptions};
use tokio::time::sleep;

use super::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_takes_effect_once_in_order_while_the_server_is_killed() {
    let mut server = Server::start().await;
    let options = PostgresOptions::new(&server.url()).unwrap().with_patience(Duration::from_secs(3));
    let store = Arc::new(PostgresEventStore::open(options).await.unwrap());
    let bus = InProcessOptions::new().with_remembered_ids(0);
    let bus = Arc::new(InProcessBus::with_options(Arc::new(SystemClock::new()), bus));
    everything_takes_effect_once_in_order(World::new(store, bus), async {
        for _ in 0..2 {
            sleep(Duration::from_secs(1)).await;
            server.kill();
            sleep(Duration::from_millis(700)).await;
            server.start_again().await;
        }
    })
    .await;
}
