//! What a bus survives, whatever its broker: the broker is killed, and the network fails.

use std::net::SocketAddr;
use std::time::Duration;

use daa_core::bus::{BusError, Message, SubscribeOptions};
use daa_core::id::Topic;
use tokio::time::{Instant, sleep, timeout};

use crate::bus_load::{
    Bus, PATIENCE, a_message_whose_consumer_dies_becomes_a_dead_letter, nothing_is_lost_doubled_or_reordered,
};
use crate::proxy::Proxy;

/// A broker of a test's own.
pub(crate) trait Broker {
    fn address(&self) -> SocketAddr;

    /// `kill -9`.
    fn kill(&mut self);

    async fn start_again(&mut self);

    /// A bus on the broker at this address, whose publishers wait so long for a confirmation.
    async fn bus(address: SocketAddr, confirm_within: Duration) -> Bus;
}

const CONFIRM_WITHIN: Duration = Duration::from_secs(10);

async fn bus<B: Broker>(address: SocketAddr) -> Bus {
    B::bus(address, CONFIRM_WITHIN).await
}

fn topic() -> Topic {
    "t".parse().unwrap()
}

/// `often`: how often it is killed.
pub(crate) async fn a_killed_broker_loses_doubles_and_reorders_nothing<B: Broker>(mut broker: B, often: u64) {
    let (publisher, consumer) = (bus::<B>(broker.address()).await, bus::<B>(broker.address()).await);
    let watched = publisher.clone();
    nothing_is_lost_doubled_or_reordered(publisher, consumer, async {
        for kill in 1..=often {
            broker.kill();
            sleep(Duration::from_millis(700)).await;
            let health = watched.health().await;
            assert!(!health.is_ready() && health.is_live(), "{health:?}");
            broker.start_again().await;
            if kill < often {
                sleep(Duration::from_millis(1500)).await;
            }
        }
    })
    .await;
    let health = watched.health().await;
    assert!(health.is_ready() && health.reconnects >= often, "{health:?}");
}

pub(crate) async fn failing_networks_lose_double_and_reorder_nothing<B: Broker>(broker: &B) {
    let to_publisher = Proxy::to(broker.address()).await;
    let to_consumer = Proxy::to(broker.address()).await;
    let (publisher, consumer) =
        (bus::<B>(to_publisher.address()).await, bus::<B>(to_consumer.address()).await);
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
}

pub(crate) async fn a_message_that_kills_its_consumer_ends_as_a_dead_letter<B: Broker>(broker: &B) {
    let proxy = Proxy::to(broker.address()).await;
    let (doomed, survivor) = (bus::<B>(proxy.address()).await, bus::<B>(broker.address()).await);
    a_message_whose_consumer_dies_becomes_a_dead_letter(doomed, survivor, async {
        proxy.refuse(true);
    })
    .await;
}

pub(crate) async fn a_publisher_learns_that_nothing_was_confirmed_in_time<B: Broker>(broker: &B) {
    let proxy = Proxy::to(broker.address()).await;
    let impatient = B::bus(proxy.address(), Duration::from_secs(1)).await;
    proxy.refuse(true);
    let began = Instant::now();
    let refused = impatient.publish(Message::new(topic(), "1")).await;
    assert!(matches!(refused, Err(BusError::Unconfirmed { .. })), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
    proxy.refuse(false);
    let sent = timeout(Duration::from_secs(5), async {
        while impatient.publish(Message::new(topic(), "2")).await.is_err() {}
    });
    sent.await.unwrap();
}

/// `forget` takes the place of dead letters away from the broker.
pub(crate) async fn a_message_whose_dead_letter_is_not_kept_comes_again<B: Broker>(
    broker: &B,
    forget: impl AsyncFn(),
) {
    let bus = B::bus(broker.address(), Duration::from_secs(1)).await;
    for key in [None, Some("k")] {
        let group = format!("refuses-{}", key.unwrap_or_default()).parse().unwrap();
        let options = SubscribeOptions::new(topic().as_str().parse().unwrap()).with_group(group);
        let mut subscriber = bus.subscribe(options).await.unwrap();
        let mut message = Message::new(topic(), "poison");
        if let Some(key) = key {
            message = message.with_key(key.parse().unwrap());
        }
        let _ = bus.publish(message).await.unwrap();
        forget().await;
        let next = timeout(PATIENCE, subscriber.next()).await.unwrap().unwrap().unwrap();
        let refused = next.reject("no use").await;
        assert!(refused.is_err(), "{refused:?}");
        let again = timeout(PATIENCE, subscriber.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((again.message().payload(), again.attempt()), (&"poison".into(), 2));
        again.ack().await.unwrap();
    }
}
