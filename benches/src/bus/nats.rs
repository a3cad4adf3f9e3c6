//! On NATS JetStream, beside `async-nats`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, stream};
use daa_core::bus::EventBus;
use daa_core::clock::SystemClock;
use daa_store::nats::{NatsBus, NatsOptions};
use futures_util::StreamExt;

use super::{AT_ONCE, MESSAGES, TURNS, at_once, median, name, options, payload, publish, rate, take};
use crate::line::{Better, Line};

pub(super) async fn run() -> Vec<Line> {
    let address = std::env::var("DAA_TEST_NATS").unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());
    let Ok(client) = async_nats::connect(&address).await else {
        eprintln!("skipped: bus on NATS: no server at DAA_TEST_NATS");
        return Vec::new();
    };
    let bare = jetstream::new(client);
    let (ours_name, bare_name) = (name("ours"), name("bare"));
    let config = NatsOptions::new(&address, ours_name.parse().expect("a name")).expect("an address");
    let bus: Arc<dyn EventBus> =
        Arc::new(NatsBus::connect(config, Arc::new(SystemClock::new())).await.expect("a bus"));
    let mut subscriber = bus.subscribe(options()).await.expect("a subscription");
    let consumer = consumer(&bare, &bare_name).await;
    let mut fetched = consumer.stream().max_messages_per_batch(AT_ONCE).messages().await.expect("messages");
    let [mut our_publishing, mut our_consuming, mut bare_publishing, mut bare_consuming] =
        [const { Vec::new() }; 4];
    for _ in 0..TURNS {
        bare_publishing.push(rate(bare_publish(&bare, &bare_name)).await);
        our_publishing.push(rate(publish(&bus)).await);
        bare_consuming.push(rate(bare_take(&mut fetched)).await);
        our_consuming.push(rate(take(&mut *subscriber, MESSAGES)).await);
    }
    for stream in [ours_name.clone(), format!("{ours_name}-dead"), bare_name] {
        bare.delete_stream(stream).await.expect("the end of a stream");
    }
    let line = |metric: &str, ours, theirs| {
        Line::alone("bus", metric, "messages/s", median(ours)).beside(
            "async-nats",
            median(theirs),
            Better::Higher,
        )
    };
    vec![
        line("NATS, confirmed publications", our_publishing, bare_publishing),
        line("NATS, consumed and acknowledged", our_consuming, bare_consuming),
    ]
}

async fn consumer(bare: &jetstream::Context, name: &str) -> PullConsumer {
    let config = stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        storage: stream::StorageType::File,
        ..stream::Config::default()
    };
    let stream = bare.create_stream(config).await.expect("a stream");
    let config = pull::Config {
        durable_name: Some("bench".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.expect("a consumer")
}

/// Under ids, so that what is sent again is kept once, as ours is.
async fn bare_publish(bare: &jetstream::Context, name: &str) {
    let (subject, payload, made) = (format!("{name}.bench.topic"), payload(), AtomicU64::new(0));
    let run = bare.client().new_inbox();
    at_once(|| async {
        let id = format!("{run}-{}", made.fetch_add(1, Ordering::Relaxed));
        let message = PublishMessage::build().payload(payload.clone()).message_id(id);
        let sent = bare.send_publish(subject.clone(), message).await.expect("a publication");
        sent.await.expect("a confirmation");
    })
    .await;
}

async fn bare_take(messages: &mut pull::Stream) {
    for _ in 0..MESSAGES {
        let message = messages.next().await.expect("not the end").expect("a message");
        message.ack().await.expect("an acknowledgement");
    }
}
