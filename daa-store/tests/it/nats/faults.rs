//! The server is killed, and the network fails.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use daa_core::bus::{BusError, Message};
use daa_store::nats::NatsOptions;

use super::connect;
use super::server::Server;
use crate::bus_faults::{self, Broker};
use crate::bus_load::{Bus, fresh_name};
use crate::certificates::Certificates;

fn options(address: SocketAddr) -> NatsOptions {
    NatsOptions::new(&format!("nats://{address}"), "bus".parse().unwrap()).unwrap()
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
        connect(options(address).with_confirm_within(confirm_within)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_doubles_and_reorders_nothing() {
    let server = Server::start().await;
    bus_faults::a_killed_broker_loses_doubles_and_reorders_nothing(server, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_networks_lose_double_and_reorder_nothing() {
    let server = Server::start().await;
    bus_faults::failing_networks_lose_double_and_reorder_nothing(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_kills_its_consumer_ends_as_a_dead_letter() {
    let server = Server::start().await;
    bus_faults::a_message_that_kills_its_consumer_ends_as_a_dead_letter(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_learns_that_nothing_was_confirmed_in_time() {
    let server = Server::start().await;
    bus_faults::a_publisher_learns_that_nothing_was_confirmed_in_time(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_dead_letter_is_not_kept_comes_again() {
    let server = Server::start().await;
    let address = server.address().to_string();
    let forget = async || {
        let context = async_nats::jetstream::new(async_nats::connect(&address).await.unwrap());
        // It is gone already the second time.
        let _ = context.delete_stream("bus-dead").await;
    };
    bus_faults::a_message_whose_dead_letter_is_not_kept_comes_again(&server, forget).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_refuses_new_messages_and_keeps_the_old_ones() {
    let server = Server::start().await;
    let small = std::num::NonZeroU64::new(64 << 10).unwrap();
    let bus = connect(options(server.address()).with_max_bytes(small)).await;
    let message =
        |number: u32| Message::new("t".parse().unwrap(), vec![u8::try_from(number).unwrap(); 10 << 10]);
    let mut taken = 0;
    let refused = loop {
        match bus.publish(message(taken)).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 20, "the stream has a bound");
    };
    assert!(matches!(refused, BusError::Full { .. }), "{refused:?}");
    let page = bus.replay(&">".parse().unwrap(), None, 100).await.unwrap();
    let kept: Vec<u32> = page.messages.iter().map(|(_, message)| u32::from(message.payload()[0])).collect();
    assert_eq!(kept, (0..taken).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_with_other_partitions_is_refused() {
    let server = Server::start().await;
    let name = fresh_name();
    let address = format!("nats://{}", server.address());
    let options = |partitions| NatsOptions::new(&address, name.clone()).unwrap().with_partitions(partitions);
    let _bus = connect(options(2)).await;
    let clock = std::sync::Arc::new(daa_core::clock::SystemClock::new());
    let refused = daa_store::nats::NatsBus::connect(options(3), clock).await;
    let error = std::error::Error::source(&refused.unwrap_err()).unwrap().to_string();
    assert!(error.contains("partitions=2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speaks_tls_with_a_server_that_it_trusts_and_with_no_other() {
    let keys = tempfile::tempdir().unwrap();
    let made = Certificates::make(keys.path());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let server = Server::start_with(|_| {
        let (certificate, key) = (text(&made.certificate), text(&made.key));
        ["--tls", "--tlscert", &certificate, "--tlskey", &key, "--user", "me", "--pass", "hush"]
            .map(str::to_owned)
            .to_vec()
    })
    .await;
    let options = || {
        let server = format!("tls://localhost:{}", server.address().port());
        NatsOptions::new(&server, "bus".parse().unwrap()).unwrap()
    };
    let trusting = options().with_root_certificates(&made.authority);
    let bus = connect(trusting.clone().with_password("me", "hush")).await;
    let _ = bus.publish(Message::new("t".parse().unwrap(), "1")).await.unwrap();
    assert!(bus.health().await.is_ready());
    let clock = std::sync::Arc::new(daa_core::clock::SystemClock::new());
    for (refused, why) in [
        (options().with_password("me", "hush"), "a stranger"),
        (trusting.with_password("me", "hush!"), "a wrong password"),
    ] {
        let refused = daa_store::nats::NatsBus::connect(refused, clock.clone()).await;
        let told = format!("{:?}", refused.expect_err(why));
        assert!(!told.contains("hush"), "{told}");
    }
}
