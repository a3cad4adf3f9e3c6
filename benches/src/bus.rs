//! The event bus: in process, and on NATS and RabbitMQ beside their bare clients.
//!
//! The bare side does the same with the same server: as many publications under way at once, persistent and confirmed;
//! messages fetched as far ahead, and acknowledged one by one. The sides take turns; each figure is the median of the
//! turns. A broker that is not there is said to be skipped.

mod nats;
mod rabbitmq;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use daa_core::bus::{EventBus, InProcessBus, Message, SubscribeOptions, Subscriber};
use daa_core::clock::SystemClock;
use daa_core::id::Topic;
use futures_util::{StreamExt, stream};

use crate::line::Line;

const TURNS: usize = 7;
/// Messages of one turn on a broker.
const MESSAGES: usize = 20_000;
/// Publications under way at once, and messages fetched ahead.
const AT_ONCE: usize = 256;
/// Bytes in a payload.
const PAYLOAD: usize = 200;

pub(crate) fn run() -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut lines = vec![in_process().await];
        lines.extend(nats::run().await);
        lines.extend(rabbitmq::run().await);
        lines
    })
}

fn topic() -> Topic {
    "bench.topic".parse().expect("a topic")
}

fn payload() -> Bytes {
    Bytes::from(vec![7; PAYLOAD])
}

fn options() -> SubscribeOptions {
    SubscribeOptions::new("bench.*".parse().expect("a pattern"))
        .with_group("bench".parse().expect("a group"))
        .with_capacity(SubscribeOptions::MAX_CAPACITY)
        .with_max_in_flight(AT_ONCE)
}

async fn in_process() -> Line {
    const MANY: usize = 1_000_000;
    let mut rates = Vec::new();
    for _ in 0..TURNS {
        let bus: Arc<dyn EventBus> = Arc::new(InProcessBus::new(Arc::new(SystemClock::new())));
        let mut subscriber = bus.subscribe(options()).await.expect("a subscription");
        let consumer = tokio::spawn(async move { take(&mut *subscriber, MANY).await });
        let began = Instant::now();
        let publisher = tokio::spawn(async move {
            let (topic, payload) = (topic(), payload());
            for _ in 0..MANY {
                let message = Message::new(topic.clone(), payload.clone());
                let published = bus.publish(message).await.expect("a publication");
                assert_eq!(published.delivered(), 1);
            }
        });
        publisher.await.expect("the publisher");
        consumer.await.expect("the consumer");
        rates.push(MANY as f64 / began.elapsed().as_secs_f64());
    }
    Line::alone("bus", "in process, to one subscriber", "messages/s", median(rates))
}

async fn take(subscriber: &mut dyn Subscriber, messages: usize) {
    for _ in 0..messages {
        let delivery = subscriber.next().await.expect("a message").expect("not the end");
        delivery.ack().await.expect("an acknowledgement");
    }
}

async fn publish(bus: &Arc<dyn EventBus>) {
    let (topic, payload) = (topic(), payload());
    at_once(|| async {
        let _ = bus.publish(Message::new(topic.clone(), payload.clone())).await.expect("a publication");
    })
    .await;
}

/// Does it for every message, as many at once as are allowed.
async fn at_once<F: Future<Output = ()>>(each: impl Fn() -> F) {
    stream::iter(0..MESSAGES).map(|_| each()).buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
}

/// Messages a second.
async fn rate(work: impl Future<Output = ()>) -> f64 {
    let began = Instant::now();
    work.await;
    MESSAGES as f64 / began.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// A name of this process alone.
fn name(side: &str) -> String {
    format!("bench-{side}-{}", std::process::id())
}
