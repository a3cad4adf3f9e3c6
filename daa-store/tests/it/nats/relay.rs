//! A store under load, relayed over a server that is killed.

use std::sync::Arc;
use std::time::Duration;

use daa_core::relay::testing::{World, everything_takes_effect_once_in_order};
use daa_store::nats::NatsOptions;
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use tokio::time::sleep;

use super::connect;
use super::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_takes_effect_once_in_order_while_the_server_is_killed() {
    let mut server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteEventStore::open(dir.path().join("events.db"), SqliteOptions::default()).unwrap();
    let options =
        || NatsOptions::new(&format!("nats://{}", server.address()), "relayed".parse().unwrap()).unwrap();
    let mut world = World::new(Arc::new(store), connect(options()).await);
    world.consuming = connect(options()).await;
    everything_takes_effect_once_in_order(world, async {
        for _ in 0..2 {
            sleep(Duration::from_secs(1)).await;
            server.kill();
            sleep(Duration::from_millis(700)).await;
            server.start_again().await;
        }
    })
    .await;
}
