//! The broker is killed, and the network fails.

use std::net::SocketAddr;
use std::time::Duration;

use daa_core::bus::{BusError, EventBus, Message, SubscribeOptions};
use daa_store::rabbitmq::RabbitOptions;
use lapin::options::QueueDeleteOptions;

use super::connect;
use super::server::{Server, free_port, listens};
use crate::bus_faults::{self, Broker};
use crate::bus_load::Bus;
use crate::certificates::Certificates;

fn url(address: SocketAddr) -> String {
    format!("amqp://guest:guest@{address}/%2f")
}

impl Broker for Server {
    fn address(&self) -> SocketAddr {
        Self::address(self)
    }

    fn kill(&mut self) {
        Self::kill(self);
    }

    async fn start_again(&mut self) {
        Self::start_again(self).await;
    }

    async fn bus(address: SocketAddr, confirm_within: Duration) -> Bus {
        let options = RabbitOptions::new(&url(address), "bus".parse().unwrap()).unwrap();
        connect(options.with_partitions(2).with_confirm_within(confirm_within)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_doubles_and_reorders_nothing() {
    let server = Server::start().await;
    bus_faults::a_killed_broker_loses_doubles_and_reorders_nothing(server, 1).await;
}

/// One broker for all that does not kill it, as it takes a while to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_networks_and_full_queues_lose_nothing() {
    let server = Server::start().await;
    bus_faults::failing_networks_lose_double_and_reorder_nothing(&server).await;
    bus_faults::a_message_that_kills_its_consumer_ends_as_a_dead_letter(&server).await;
    bus_faults::a_publisher_learns_that_nothing_was_confirmed_in_time(&server).await;
    a_full_queue_refuses_new_messages(server.address()).await;
    let forget = async || {
        let connection =
            lapin::Connection::connect(&url(server.address()), Default::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.queue_delete("bus.dead".into(), QueueDeleteOptions::default()).await.unwrap();
    };
    bus_faults::a_message_whose_dead_letter_is_not_kept_comes_again(&server, forget).await;
}

async fn a_full_queue_refuses_new_messages(server: SocketAddr) {
    let small = std::num::NonZeroU64::new(64 << 10).unwrap();
    let options = RabbitOptions::new(&url(server), "small".parse().unwrap()).unwrap();
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
