//! On real servers.

use std::net::ToSocketAddrs as _;
use std::time::{Duration, Instant};

use daa_core::bus::{Message, SubscribeOptions};
use daa_core::cache::{CacheEntry, CacheKey};
use daa_core::health::{Condition, HealthReport};
use daa_store::backends::Backends;

use super::{append, clock, read};
use crate::proxy::Proxy;

fn unique() -> String {
    format!("cfg{:08x}", rand::random::<u32>())
}

/// The condition of a part.
fn part<'a>(health: &'a HealthReport, name: &str) -> &'a Condition {
    &health.parts.iter().find(|part| part.part == name).unwrap().condition
}

/// Waits until the backends are as they should be.
async fn until(backends: &Backends, as_it_should_be: impl Fn(&HealthReport) -> bool) -> HealthReport {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let health = backends.health().await;
        if as_it_should_be(&health) {
            return health;
        }
        assert!(Instant::now() < deadline, "{health}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_process_on_servers_is_degraded_without_its_cache_and_not_ready_without_its_store() {
    let name = unique();
    let at = |address: &str| address.to_socket_addrs().unwrap().next().unwrap();
    let (store, cache) = (Proxy::to(at("127.0.0.1:5432")).await, Proxy::to(at("127.0.0.1:6379")).await);
    let toml = format!(
        "
        [store]
        url = \"postgres://root@127.0.0.1:{}/test\"
        schema = \"{name}\"
        partitions = 2
        max_connections = 3
        acquire_timeout = \"500ms\"

        [bus]
        url = \"nats://127.0.0.1:4222\"
        name = \"{name}\"

        [cache]
        url = \"redis://127.0.0.1:{}/\"
        namespace = \"{name}\"
        timeout = \"500ms\"
        ",
        store.port(),
        cache.port()
    );
    let backends = Backends::open(&read(&toml, &[]).unwrap(), clock()).await.unwrap();
    until(&backends, |health| health.missing().next().is_none()).await;

    append(&*backends.store, "test.one.v1").await;
    let mut subscriber = backends.bus.subscribe(SubscribeOptions::new("t".parse().unwrap())).await.unwrap();
    let published = backends.bus.publish(Message::new("t".parse().unwrap(), "hello")).await.unwrap();
    assert!(!published.is_duplicate(), "{published:?}");
    let delivery = subscriber.next().await.unwrap().unwrap();
    assert_eq!(delivery.message().payload(), "hello");
    delivery.ack().await.unwrap();
    let key = CacheKey::new("price").unwrap();
    backends.cache.put(&key, CacheEntry::new("1", Duration::from_secs(60))).await.unwrap();

    cache.refuse(true);
    cache.cut();
    let health = until(&backends, |health| !part(health, "cache").is_ready() && health.is_ready()).await;
    assert!(health.is_degraded() && part(&health, "store").is_ready(), "{health}");
    store.refuse(true);
    store.cut();
    until(&backends, |health| !health.is_ready() && part(health, "bus").is_ready()).await;

    store.refuse(false);
    cache.refuse(false);
    until(&backends, |health| health.missing().next().is_none()).await;
    assert_eq!(backends.cache.get(&key).await.unwrap(), Some("1".into()));
    assert_eq!(backends.store.head().await.unwrap().get(), 1);
    backends.close().await;
}

#[tokio::test]
async fn a_bus_on_rabbitmq_is_reached_by_its_url() {
    let url = std::env::var("DAA_TEST_RABBITMQ")
        .unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned());
    let toml = format!("[store]\nurl = \"memory:\"\n[bus]\nurl = \"{url}\"\nname = \"{}\"\n", unique());
    let backends = Backends::open(&read(&toml, &[]).unwrap(), clock()).await.unwrap();
    let health = until(&backends, |health| health.missing().next().is_none()).await;
    assert!(matches!(part(&health, "bus"), Condition::Ready { .. }));
    backends.close().await;
}
