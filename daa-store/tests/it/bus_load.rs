//! Load on a bus while its broker fails: what was confirmed is delivered, once after deduplication, in the order of its
//! key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daa_core::bus::{Deduplicated, EventBus, Message, SubscribeOptions, Subscriber};
use daa_core::fault::{Reaction, Retry};
use daa_store::bus::BusName;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

pub(crate) type Bus = Arc<dyn EventBus>;

/// How long a bus may take until it works again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);
/// How long the load lasts before and after the trouble.
const CALM: Duration = Duration::from_millis(1500);
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: usize = 4;

/// A name of a bus that no other test uses, nor one of an earlier run.
pub(crate) fn fresh_name() -> BusName {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    format!("t-{:x}-{:x}-{number}", now & 0xff_ffff_ffff, std::process::id()).parse().unwrap()
}

/// The numbers of each key, in the order in which they were seen.
type Seen = Arc<Mutex<BTreeMap<String, Vec<u32>>>>;

#[derive(Clone, Default)]
struct Progress {
    stop: Arc<AtomicBool>,
    confirmed: Arc<AtomicU64>,
    delivered: Arc<AtomicU64>,
}

/// Publishes numbers until it is told to stop, each one until it is confirmed; returns how many.
fn publish(bus: Bus, key: Option<usize>, progress: Progress) -> JoinHandle<u32> {
    tokio::spawn(async move {
        let mut number = 0;
        while !progress.stop.load(Ordering::Relaxed) {
            let name = key.map_or("none".to_owned(), |key| format!("k{key}"));
            let mut message = Message::new("load.x".parse().unwrap(), format!("{name}:{number}"))
                .with_id(format!("{name}:{number}").parse().unwrap());
            if key.is_some() {
                message = message.with_key(name.parse().unwrap());
            }
            while let Err(error) = bus.publish(message.clone()).await {
                assert_ne!(error.retry(), Retry::Never, "{error:?}");
                sleep(Duration::from_millis(20)).await;
            }
            progress.confirmed.fetch_add(1, Ordering::Relaxed);
            number += 1;
        }
        number
    })
}

fn consume(mut subscriber: impl Subscriber + 'static, seen: Seen, progress: Progress) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(delivery) = subscriber.next().await.unwrap() {
            let text = String::from_utf8(delivery.message().payload().to_vec()).unwrap();
            let (key, number) = text.split_once(':').unwrap();
            seen.lock().unwrap().entry(key.to_owned()).or_default().push(number.parse().unwrap());
            progress.delivered.fetch_add(1, Ordering::Relaxed);
            // What does not reach the bus comes again.
            let _ = delivery.ack().await;
        }
    })
}

async fn grows(what: &str, counter: &AtomicU64) {
    let before = counter.load(Ordering::Relaxed);
    let growth = async {
        while counter.load(Ordering::Relaxed) < before + 20 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, growth).await.unwrap_or_else(|_| panic!("nothing is {what} any more"));
}

fn unique(seen: &Seen) -> BTreeMap<String, BTreeSet<u32>> {
    let seen = seen.lock().unwrap();
    seen.iter().map(|(key, numbers)| (key.clone(), numbers.iter().copied().collect())).collect()
}

async fn wait_for(what: &str, seen: &Seen, expected: &BTreeMap<String, BTreeSet<u32>>) {
    let all = async {
        while unique(seen) != *expected {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(PATIENCE, all).await.is_err() {
        for (key, numbers) in expected {
            let got = unique(seen).remove(key).unwrap_or_default();
            let missing: Vec<_> = numbers.difference(&got).take(20).collect();
            eprintln!("{what}, {key}: {} of {} seen, missing {missing:?}", got.len(), numbers.len());
        }
        panic!("{what} lost confirmed messages");
    }
}

/// Numbers that were seen for the first time come in order.
fn assert_in_order(what: &str, seen: &Seen) {
    for (key, numbers) in seen.lock().unwrap().iter().filter(|(key, _)| *key != "none") {
        let mut known = BTreeSet::new();
        let first_seen: Vec<u32> = numbers.iter().copied().filter(|number| known.insert(*number)).collect();
        assert!(first_seen.is_sorted(), "{what} saw {key} out of order: {first_seen:?}");
    }
}

/// Publishes on one bus and consumes on the other, before, during and after the trouble.
pub(crate) async fn nothing_is_lost_doubled_or_reordered(
    publisher: Bus,
    consumer: Bus,
    trouble: impl Future<Output = ()>,
) {
    let progress = Progress::default();
    let pattern = || SubscribeOptions::new("load.>".parse().unwrap()).with_max_attempts(20);
    let (alone, group) = (Seen::default(), Seen::default());
    let subscriber = Deduplicated::new(consumer.subscribe(pattern()).await.unwrap(), 1 << 20);
    let mut consumers = vec![consume(subscriber, alone.clone(), progress.clone())];
    for bus in [&consumer, &publisher] {
        let member = bus.subscribe(pattern().with_group("workers".parse().unwrap())).await.unwrap();
        consumers.push(consume(member, group.clone(), progress.clone()));
    }
    let publishers: Vec<_> = (0..KEYS)
        .map(Some)
        .chain([None])
        .map(|key| publish(publisher.clone(), key, progress.clone()))
        .collect();
    sleep(CALM).await;
    trouble.await;
    let over = Instant::now();
    grows("confirmed", &progress.confirmed).await;
    grows("delivered", &progress.delivered).await;
    let recovered = over.elapsed();
    eprintln!("recovered {recovered:?} after the trouble was over");
    assert!(recovered <= RECOVERED_WITHIN, "it took {recovered:?} to recover");
    sleep(CALM).await;
    progress.stop.store(true, Ordering::Relaxed);
    let mut expected = BTreeMap::new();
    for (index, publisher) in publishers.into_iter().enumerate() {
        let count = timeout(PATIENCE, publisher).await.unwrap().unwrap();
        let key = if index < KEYS { format!("k{index}") } else { "none".to_owned() };
        eprintln!("{key}: {count} confirmed");
        expected.insert(key, (0..count).collect::<BTreeSet<_>>());
    }
    wait_for("the subscription", &alone, &expected).await;
    wait_for("the group", &group, &expected).await;
    for (key, numbers) in alone.lock().unwrap().iter() {
        assert_eq!(numbers.len(), expected[key].len(), "{key} came twice after deduplication");
    }
    assert_in_order("the subscription", &alone);
    assert_in_order("the group", &group);
    for consumer in consumers {
        consumer.abort();
    }
}

/// A member takes the only attempt of a message and is never heard of again.
pub(crate) async fn a_message_whose_consumer_dies_becomes_a_dead_letter(
    doomed: Bus,
    survivor: Bus,
    die: impl Future<Output = ()>,
) {
    let options = SubscribeOptions::new("t".parse().unwrap())
        .with_group("g".parse().unwrap())
        .with_max_attempts(1)
        .with_max_in_flight(1);
    let mut victim = doomed.subscribe(options.clone()).await.unwrap();
    let _ = survivor.publish(Message::new("t".parse().unwrap(), "poison")).await.unwrap();
    let held = timeout(PATIENCE, victim.next()).await.unwrap().unwrap().unwrap();
    let mut other = survivor.subscribe(options).await.unwrap();
    die.await;
    let mut letters = Vec::new();
    let began = Instant::now();
    while letters.is_empty() {
        assert!(began.elapsed() < PATIENCE, "it is not a dead letter");
        tokio::select! {
            next = other.next() => panic!("it was handed out again: {next:?}"),
            () = sleep(Duration::from_millis(100)) => {}
        }
        letters = survivor.dead_letters(None, 10).await.unwrap();
    }
    assert_eq!((letters.len(), letters[0].attempts), (1, 1));
    assert_eq!(letters[0].message.payload(), "poison");
    assert!(letters[0].error.contains("without an answer"), "{}", letters[0].error);
    drop(held);
}
