//! A store under load, relayed over a broker that is killed.

use std::sync::Arc;
use std::time::Duration;

use daa_core::relay::testing::{World, everything_takes_effect_once_in_order};
use daa_store::rabbitmq::RabbitOptions;
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use tokio::time::sleep;

use super::connect;
use super::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_takes_effect_once_in_order_while_the_broker_is_killed() {
    let mut server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteEventStore::open(dir.path().join("events.db"), SqliteOptions::default()).unwrap();
    let options = || {
        let url = format!("amqp://guest:guest@{}/%2f", server.address());
        RabbitOptions::new(&url, "relayed".parse().unwrap()).unwrap().with_partitions(2)
    };
    let mut world = World::new(Arc::new(store), connect(options()).await);
    world.consuming = connect(options()).await;
    everything_takes_effect_once_in_order(world, async {
        sleep(Duration::from_secs(2)).await;
        server.kill();
        sleep(Duration::from_millis(700)).await;
        server.start_again().await;
    })
    .await;
}
