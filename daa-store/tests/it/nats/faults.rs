//! The server is killed, and the network fails.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use daa_core::bus::{BusError, Message};
use daa_store::nats::NatsOptions;
use tokio::time::{Instant, sleep, timeout};

use super::server::Server;
use super::{connect, fresh_name};
use crate::bus_load::{
    Bus, a_message_whose_consumer_dies_becomes_a_dead_letter, nothing_is_lost_doubled_or_reordered,
};
use crate::certificates::Certificates;
use crate::proxy::Proxy;

fn options(address: SocketAddr) -> NatsOptions {
    NatsOptions::new(&format!("nats://{address}"), "bus".parse().unwrap()).unwrap()
}

async fn bus(address: SocketAddr) -> Bus {
    connect(options(address)).await
}

async fn through(proxy: &Proxy) -> Bus {
    bus(SocketAddr::from(([127, 0, 0, 1], proxy.port()))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_doubles_and_reorders_nothing() {
    let mut server = Server::start().await;
    let (publisher, consumer) = (bus(server.address()).await, bus(server.address()).await);
    let watched = publisher.clone();
    nothing_is_lost_doubled_or_reordered(publisher, consumer, async {
        for _ in 0..2 {
            server.kill();
            sleep(Duration::from_millis(700)).await;
            let health = watched.health().await;
            assert!(!health.is_ready() && health.is_live(), "{health:?}");
            server.start_again().await;
            sleep(Duration::from_millis(1500)).await;
        }
        server.kill();
        sleep(Duration::from_secs(2)).await;
        server.start_again().await;
    })
    .await;
    let health = watched.health().await;
    assert!(health.is_ready() && health.reconnects >= 3, "{health:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_connections_lose_double_and_reorder_nothing() {
    let server = Server::start().await;
    let (to_publisher, to_consumer) = (Proxy::to(server.address()).await, Proxy::to(server.address()).await);
    let (publisher, consumer) = (through(&to_publisher).await, through(&to_consumer).await);
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
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_loses_doubles_and_reorders_nothing() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let (publisher, consumer) = (through(&proxy).await, through(&proxy).await);
    nothing_is_lost_doubled_or_reordered(publisher, consumer, async {
        proxy.delay(Duration::from_millis(200));
        sleep(Duration::from_secs(3)).await;
        proxy.delay(Duration::ZERO);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_kills_its_consumer_ends_as_a_dead_letter() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let (doomed, survivor) = (through(&proxy).await, bus(server.address()).await);
    a_message_whose_consumer_dies_becomes_a_dead_letter(doomed, survivor, async {
        proxy.refuse(true);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_learns_that_nothing_was_confirmed_in_time() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let address = SocketAddr::from(([127, 0, 0, 1], proxy.port()));
    let bus = connect(options(address).with_confirm_within(Duration::from_secs(1))).await;
    proxy.refuse(true);
    let began = Instant::now();
    let refused = bus.publish(Message::new("t".parse().unwrap(), "1")).await;
    assert!(matches!(refused, Err(BusError::Unconfirmed { .. })), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
    proxy.refuse(false);
    let sent = timeout(Duration::from_secs(5), async {
        while bus.publish(Message::new("t".parse().unwrap(), "2")).await.is_err() {}
    });
    sent.await.unwrap();
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
