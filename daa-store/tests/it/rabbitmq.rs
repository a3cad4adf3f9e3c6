//! The event bus on RabbitMQ: the suite that every bus runs, against the broker of `DAA_TEST_RABBITMQ`.

mod faults;
mod relay;
mod server;

use std::sync::Arc;
use std::time::Duration;

use daa_core::bus::{BusError, EventBus, Message, SubscribeOptions};
use daa_core::clock::SystemClock;
use daa_store::bus::BusName;
use daa_store::rabbitmq::{RabbitBus, RabbitOptions};
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio::time::timeout;

use crate::bus_load::fresh_name;

fn address() -> String {
    std::env::var("DAA_TEST_RABBITMQ").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

/// Removes a bus from the broker, with the groups that the suite uses.
struct Cleared {
    name: BusName,
    bus: Arc<RabbitBus>,
}

impl Drop for Cleared {
    fn drop(&mut self) {
        block_in_place(|| {
            Handle::current().block_on(async {
                let clock = Arc::new(SystemClock::new());
                let options = RabbitOptions::new(&address(), self.name.clone()).unwrap();
                let bus = RabbitBus::connect(options, clock).await.unwrap();
                for group in ["g", "red", "blue", "servers"] {
                    // Most tests have none of them.
                    let _ = bus.remove_group(&group.parse().unwrap()).await;
                }
                let _ = self.bus.close().await;
                let connection = lapin::Connection::connect(&address(), Default::default()).await.unwrap();
                let channel = connection.create_channel().await.unwrap();
                for queue in ["dead", "history", "terms"] {
                    let name = format!("{}.{queue}", self.name);
                    channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
                }
                let exchange = self.name.to_string();
                channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.unwrap();
            });
        });
    }
}

async fn connect(options: RabbitOptions) -> Arc<RabbitBus> {
    Arc::new(RabbitBus::connect(options, Arc::new(SystemClock::new())).await.unwrap())
}

async fn fresh(history: bool) -> (Cleared, Arc<dyn EventBus>) {
    let name = fresh_name();
    let options = RabbitOptions::new(&address(), name.clone()).unwrap().with_history(history);
    let bus = connect(options).await;
    (Cleared { name, bus: bus.clone() }, bus)
}

mod conformance {
    use super::fresh;

    daa_core::event_bus_conformance!(fresh(false).await);
}

mod with_history {
    use super::fresh;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn history_is_read_from_any_position() {
        let (_guard, bus) = fresh(true).await;
        daa_core::bus::testing::history_is_read_from_any_position(bus).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_that_nobody_hears_fails() {
        let (_guard, bus) = fresh(true).await;
        daa_core::bus::testing::a_request_that_nobody_hears_fails(bus).await;
    }
}

/// Also while nobody drops what received it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_closed_bus_has_not_handed_out_goes_to_other_members() {
    let (guard, staying) = fresh(false).await;
    let closing = connect(RabbitOptions::new(&address(), guard.name.clone()).unwrap()).await;
    let group = SubscribeOptions::new("t".parse().unwrap()).with_group("g".parse().unwrap());
    let mut first = closing.subscribe(group.clone()).await.unwrap();
    let mut other = staying.subscribe(group).await.unwrap();
    for number in 0..20 {
        let message = Message::new("t".parse().unwrap(), number.to_string());
        let _ = staying.publish(message.with_key(format!("k{number}").parse().unwrap())).await.unwrap();
    }
    let mut held = vec![first.next().await.unwrap().unwrap()];
    closing.close().await.unwrap();
    while let Some(delivery) = first.next().await.unwrap() {
        held.push(delivery);
    }
    let left = 20 - held.len();
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    for _ in 0..left {
        let next = timeout(Duration::from_secs(30), other.next()).await.unwrap();
        next.unwrap().unwrap().ack().await.unwrap();
    }
    drop(first);
}

/// Their consumers end while their queues are being removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_end_leave_the_connection_alone() {
    let (_guard, bus) = fresh(false).await;
    for number in 0..30 {
        let mut subscriber = bus.subscribe(SubscribeOptions::new("t".parse().unwrap())).await.unwrap();
        for payload in ["1", "2"] {
            let message = Message::new("t".parse().unwrap(), payload);
            let message = message.with_key(format!("k{number}").parse().unwrap());
            let published = async {
                // The broker may refuse what a queue is to get that is being removed: then it is published again.
                while let Err(error) = bus.publish(message.clone()).await {
                    assert!(matches!(error, BusError::Full { .. }), "{error:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(Duration::from_secs(30), published).await.unwrap();
        }
        let held = subscriber.next().await.unwrap().unwrap();
        drop(subscriber);
        held.ack().await.unwrap();
    }
    let health = bus.health().await;
    assert!(health.is_ready() && health.reconnects == 0, "{health:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_with_other_partitions_is_refused() {
    let (guard, _bus) = fresh(false).await;
    let options = RabbitOptions::new(&address(), guard.name.clone()).unwrap().with_partitions(3);
    let refused = RabbitBus::connect(options, Arc::new(SystemClock::new())).await;
    let error = std::error::Error::source(&refused.unwrap_err()).unwrap().to_string();
    assert!(error.contains("partitions=4"), "{error}");
}
