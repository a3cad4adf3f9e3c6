//! On RabbitMQ, beside `lapin`.

use std::sync::Arc;

use daa_core::bus::EventBus;
use daa_core::clock::SystemClock;
use daa_store::rabbitmq::{RabbitBus, RabbitOptions};
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};

use super::{AT_ONCE, MESSAGES, TURNS, at_once, median, name, options, payload, publish, rate, take};
use crate::line::{Better, Line};

pub(super) async fn run() -> Vec<Line> {
    let address = std::env::var("DAA_TEST_RABBITMQ")
        .unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned());
    let Ok(connection) = Connection::connect(&address, ConnectionProperties::default()).await else {
        eprintln!("skipped: bus on RabbitMQ: no broker at DAA_TEST_RABBITMQ");
        return Vec::new();
    };
    let (ours_name, bare_name) = (name("ours"), name("bare"));
    let config = RabbitOptions::new(&address, ours_name.parse().expect("a name")).expect("an address");
    let bus: Arc<dyn EventBus> =
        Arc::new(RabbitBus::connect(config, Arc::new(SystemClock::new())).await.expect("a bus"));
    let mut subscriber = bus.subscribe(options()).await.expect("a subscription");
    let (publishing, mut consumer) = bare(&connection, &bare_name).await;
    let [mut our_publishing, mut our_consuming, mut bare_publishing, mut bare_consuming] =
        [const { Vec::new() }; 4];
    for _ in 0..TURNS {
        bare_publishing.push(rate(bare_publish(&publishing, &bare_name)).await);
        our_publishing.push(rate(publish(&bus)).await);
        bare_consuming.push(rate(bare_take(&mut consumer)).await);
        our_consuming.push(rate(take(&mut *subscriber, MESSAGES)).await);
    }
    bus.remove_group(&"bench".parse().expect("a group")).await.expect("the end of a group");
    clear(&publishing, &ours_name, &bare_name).await;
    let line = |metric: &str, ours, theirs| {
        Line::alone("bus", metric, "messages/s", median(ours)).beside("lapin", median(theirs), Better::Higher)
    };
    vec![
        line("RabbitMQ, confirmed publications", our_publishing, bare_publishing),
        line("RabbitMQ, consumed and acknowledged", our_consuming, bare_consuming),
    ]
}

/// An exchange and a queue as ours are.
async fn bare(connection: &Connection, name: &str) -> (Channel, Consumer) {
    let publishing = connection.create_channel().await.expect("a channel");
    publishing.confirm_select(ConfirmSelectOptions::default()).await.expect("confirmations");
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let made = publishing.exchange_declare(name.into(), ExchangeKind::Topic, durable, FieldTable::default());
    made.await.expect("an exchange");
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let made = publishing.queue_declare(name.into(), QueueDeclareOptions::durable(), quorum);
    made.await.expect("a queue");
    let (binding, options) = ("u.bench.*".into(), QueueBindOptions::default());
    let bound = publishing.queue_bind(name.into(), name.into(), binding, options, FieldTable::default());
    bound.await.expect("a binding");
    let consuming = connection.create_channel().await.expect("a channel");
    consuming.basic_qos(AT_ONCE as u16, BasicQosOptions::default()).await.expect("a prefetch");
    let consumed = consuming.basic_consume(
        name.into(),
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    (publishing, consumed.await.expect("a consumer"))
}

async fn bare_publish(channel: &Channel, name: &str) {
    let payload = payload();
    at_once(|| async {
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent =
            channel.basic_publish(name.into(), "u.bench.topic".into(), mandatory, &payload, persistent);
        let confirmed = sent.await.expect("a publication").await.expect("a confirmation");
        assert!(confirmed.is_ack());
    })
    .await;
}

async fn bare_take(consumer: &mut Consumer) {
    for _ in 0..MESSAGES {
        let delivery = consumer.next().await.expect("not the end").expect("a message");
        delivery.acker.ack(BasicAckOptions::default()).await.expect("an acknowledgement");
    }
}

async fn clear(channel: &Channel, ours: &str, bare: &str) {
    let queues = [bare.to_owned(), format!("{ours}.dead"), format!("{ours}.terms")];
    for queue in queues {
        let deleted = channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default());
        deleted.await.expect("the end of a queue");
    }
    for exchange in [ours, bare] {
        let deleted = channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default());
        deleted.await.expect("the end of an exchange");
    }
}
