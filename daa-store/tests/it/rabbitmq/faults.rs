//! The broker is killed, and the network fails.

use std::net::SocketAddr;
use std::time::Duration;

use daa_core::bus::{BusError, EventBus, Message, SubscribeOptions};
use daa_store::rabbitmq::RabbitOptions;
use tokio::time::{Instant, sleep, timeout};

use super::connect;
use super::server::{Server, free_port, listens};
use crate::bus_load::{
    Bus, a_message_whose_consumer_dies_becomes_a_dead_letter, nothing_is_lost_doubled_or_reordered,
};
use crate::certificates::Certificates;
use crate::proxy::Proxy;

fn options(address: SocketAddr) -> RabbitOptions {
    let server = format!("amqp://guest:guest@{address}/%2f");
    RabbitOptions::new(&server, "bus".parse().unwrap()).unwrap().with_partitions(2)
}

async fn bus(address: SocketAddr) -> Bus {
    connect(options(address)).await
}

fn address(proxy: &Proxy) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], proxy.port()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_doubles_and_reorders_nothing() {
    let mut server = Server::start().await;
    let (publisher, consumer) = (bus(server.address()).await, bus(server.address()).await);
    let watched = publisher.clone();
    nothing_is_lost_doubled_or_reordered(publisher, consumer, async {
        server.kill();
        sleep(Duration::from_millis(700)).await;
        let health = watched.health().await;
        assert!(!health.is_ready() && health.is_live(), "{health:?}");
        server.start_again().await;
    })
    .await;
    let health = watched.health().await;
    assert!(health.is_ready() && health.reconnects >= 1, "{health:?}");
}

/// One broker for all that does not kill it, as it takes a while to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_networks_lose_double_and_reorder_nothing() {
    let server = Server::start().await;
    let (to_publisher, to_consumer) = (Proxy::to(server.address()).await, Proxy::to(server.address()).await);
    let (publisher, consumer) = (bus(address(&to_publisher)).await, bus(address(&to_consumer)).await);
    nothing_is_lost_doubled_or_reordered(publisher, consumer, async {
        for _ in 0..4 {
            to_publisher.cut();
            sleep(Duration::from_millis(300)).await;
            to_consumer.cut();
            sleep(Duration::from_millis(300)).await;
        }
        to_publisher.refuse(true);
        to_consumer.refuse(true);
        sleep(Duration::from_secs(2)).await;
        to_publisher.refuse(false);
        to_consumer.refuse(false);
        sleep(Duration::from_secs(2)).await;
        to_publisher.delay(Duration::from_millis(200));
        to_consumer.delay(Duration::from_millis(200));
        sleep(Duration::from_secs(3)).await;
        to_publisher.delay(Duration::ZERO);
        to_consumer.delay(Duration::ZERO);
    })
    .await;

    let proxy = Proxy::to(server.address()).await;
    let (doomed, survivor) = (bus(address(&proxy)).await, bus(server.address()).await);
    a_message_whose_consumer_dies_becomes_a_dead_letter(doomed, survivor, async {
        proxy.refuse(true);
    })
    .await;
    proxy.refuse(false);

    let impatient = connect(options(address(&proxy)).with_confirm_within(Duration::from_secs(1))).await;
    proxy.refuse(true);
    let began = Instant::now();
    let refused = impatient.publish(Message::new("t".parse().unwrap(), "1")).await;
    assert!(matches!(refused, Err(BusError::Unconfirmed { .. })), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
    proxy.refuse(false);
    let sent = timeout(Duration::from_secs(5), async {
        while impatient.publish(Message::new("t".parse().unwrap(), "2")).await.is_err() {}
    });
    sent.await.unwrap();

    a_full_queue_refuses_new_messages(server.address()).await;
}

async fn a_full_queue_refuses_new_messages(server: SocketAddr) {
    let small = std::num::NonZeroU64::new(64 << 10).unwrap();
    let address = format!("amqp://guest:guest@{server}/%2f");
    let options = RabbitOptions::new(&address, "small".parse().unwrap()).unwrap();
    let bus = connect(options.with_max_bytes(small)).await;
    let group = SubscribeOptions::new("full".parse().unwrap()).with_group("full".parse().unwrap());
    drop(bus.subscribe(group).await.unwrap());
    let mut taken = 0;
    let refused = loop {
        match bus.publish(Message::new("full".parse().unwrap(), vec![0; 10 << 10])).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "the queue has a bound");
    };
    assert!(matches!(refused, BusError::Full { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speaks_tls_with_a_broker_that_it_trusts_and_with_no_other() {
    let keys = tempfile::tempdir().unwrap();
    let made = Certificates::make(keys.path());
    let address = free_port();
    let port = address.port();
    let _server = Server::start_with(&format!(
        "listeners.ssl.default = 127.0.0.1:{port}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
         ssl_options.keyfile = {}\n",
        made.authority.display(),
        made.certificate.display(),
        made.key.display()
    ))
    .await;
    listens(address).await;
    let options = |password: &str| {
        let server = format!("amqps://guest:{password}@localhost:{port}/%2f");
        RabbitOptions::new(&server, "bus".parse().unwrap()).unwrap()
    };
    let trusted = options("guest").with_root_certificates(&made.authority);
    let bus = connect(trusted).await;
    let _ = bus.publish(Message::new("t".parse().unwrap(), "1")).await.unwrap();
    assert!(bus.health().await.is_ready());
    let clock = std::sync::Arc::new(daa_core::clock::SystemClock::new());
    let wrong = options("hush").with_root_certificates(&made.authority);
    for (refused, why) in [(options("guest"), "a stranger"), (wrong, "a wrong password")] {
        let refused = daa_store::rabbitmq::RabbitBus::connect(refused, clock.clone()).await;
        let told = format!("{:?}", refused.expect_err(why));
        assert!(!told.contains("hush"), "{told}");
    }
}
