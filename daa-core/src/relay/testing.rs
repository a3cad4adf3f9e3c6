//! A store under load, relayed to a bus, and consumed through inboxes, while relays and consumers are killed: for those
//! who implement a store or a bus, and want to see that everything takes effect once and in order.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{Relay, RelayOptions, Relayed};
use crate::bus::{Backoff, EventBus, SubscribeOptions, Subscriber};
use crate::clock::{Clock, SystemClock};
use crate::event::{
    Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, RecordedEvent, StreamWrite, Version,
};
use crate::fault::{Reaction, Retry};
use crate::id::StreamId;
use crate::inbox::{Admission, Inbox};
use crate::shutdown::ShutdownTrigger;

/// Writers, and the streams that they write to in turns.
const WRITERS: u64 = 8;
const STREAMS: u64 = 5;
/// What each writer appends at least.
const AT_LEAST: u64 = 60;
/// Relays and consumers are killed whenever so many more effects are there.
const KILL_EVERY: u64 = 60;
/// Writers wait while so many events have no effect yet.
const BACKLOG: u64 = 400;
/// No step takes longer on a working system.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is under test.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct World {
    /// What happens.
    pub store: Arc<dyn EventStore>,
    /// What the relays publish on.
    pub publishing: Arc<dyn EventBus>,
    /// What the consumers subscribe on; may be the same.
    pub consuming: Arc<dyn EventBus>,
    /// Where effects and inboxes are; may be the first one.
    pub effects: Arc<dyn EventStore>,
}

impl World {
    /// One store and one bus for everything.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, bus: Arc<dyn EventBus>) -> Self {
        Self { effects: store.clone(), store, publishing: bus.clone(), consuming: bus }
    }
}

/// Eight writers append while `trouble` lasts, and some more; two relays and two consumers are killed and replaced all
/// the while. In the end each event has taken effect exactly once, and those of each stream in its order.
///
/// Needs a multi-threaded runtime with timers. What writers, relays or consumers meet of errors they must survive.
///
/// # Panics
/// Where that does not hold.
pub async fn everything_takes_effect_once_in_order(world: World, trouble: impl Future<Output = ()>) {
    let stop = Arc::new(AtomicBool::new(false));
    let effects = Arc::new(AtomicU64::new(0));
    // A group that no member has joined yet may miss what is published before.
    let mut consumers = vec![consume(&world, &effects).await, consume(&world, &effects).await];
    let mut relays = vec![relay(&world, 0), relay(&world, 1)];
    let backlog = Backlog { written: Arc::default(), effects: effects.clone() };
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| write(&world, writer, stop.clone(), backlog.clone())).collect();
    let mut kills = 0;
    {
        let mut trouble = std::pin::pin!(trouble);
        let (mut over, mut next) = (false, KILL_EVERY);
        while !over || kills < 4 {
            tokio::select! {
                () = &mut trouble, if !over => over = true,
                () = reaches(&effects, next) => {
                    next += KILL_EVERY;
                    kills += 1;
                    // The new member is there before the old one goes: a group in one process ends with its last.
                    consumers.push(consume(&world, &effects).await);
                    kill(consumers.remove(0)).await;
                    relays.push(relay(&world, kills + 1));
                    kill(relays.remove(0)).await;
                }
            }
        }
    }
    stop.store(true, Ordering::Release);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    verify(&world, written).await;
    for task in consumers.into_iter().chain(relays) {
        kill(task).await;
    }
    eprintln!("{written} events took effect once, in order, through {kills} kills of a relay and a consumer");
}

async fn reaches(counter: &AtomicU64, goal: u64) {
    let began = Instant::now();
    while counter.load(Ordering::Acquire) < goal {
        assert!(began.elapsed() < PATIENCE, "stuck at {counter:?} effects, short of {goal}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn kill(task: JoinHandle<()>) {
    task.abort();
    if let Err(ended) = task.await {
        assert!(ended.is_cancelled(), "{ended}");
    }
}

/// How far the effects are behind.
#[derive(Clone, Debug)]
struct Backlog {
    written: Arc<AtomicU64>,
    effects: Arc<AtomicU64>,
}

impl Backlog {
    async fn has_room(&self) {
        while self.written.load(Ordering::Acquire) > self.effects.load(Ordering::Acquire) + BACKLOG {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn write(world: &World, writer: u64, stop: Arc<AtomicBool>, backlog: Backlog) -> JoinHandle<u64> {
    let store = world.store.clone();
    tokio::spawn(async move {
        let mut number = 0;
        while number < AT_LEAST || !stop.load(Ordering::Acquire) {
            backlog.has_room().await;
            let stream: StreamId = format!("load/{}", (writer + number) % STREAMS).parse().unwrap();
            // Where it was not confirmed, it is looked for by a stream of its own.
            let own: StreamId = format!("own/{writer}/{number}").parse().unwrap();
            let event = NewEvent::json("load.done.v1".parse().unwrap(), SystemClock::new().now(), &number);
            let event = event.unwrap();
            let batch = Batch::new()
                .with_event(own.clone(), ExpectedVersion::NO_STREAM, event.clone())
                .with_event(stream, ExpectedVersion::Any, event);
            let written = match store.append(batch).await {
                Ok(_) => true,
                Err(error) => {
                    assert_ne!(error.fault(), crate::fault::Fault::Bug, "{error:?}");
                    sleep(Duration::from_millis(20)).await;
                    let there = store.read_stream(&own, Version::EMPTY, PageSize::new(1)).await;
                    there.is_ok_and(|events| !events.is_empty())
                }
            };
            number += u64::from(written);
            backlog.written.fetch_add(u64::from(written), Ordering::AcqRel);
            tokio::task::yield_now().await;
        }
        number
    })
}

fn relay(world: &World, number: u64) -> JoinHandle<()> {
    #[derive(Debug)]
    struct OnlyLoad(super::ByCategory);
    impl super::Mapping for OnlyLoad {
        fn map(&self, event: &RecordedEvent) -> Result<Option<crate::bus::Message>, super::MappingError> {
            if event.stream.as_str().starts_with("load/") { self.0.map(event) } else { Ok(None) }
        }
    }
    let backoff = Backoff::doubling(Duration::from_millis(10), Duration::from_millis(500));
    let options = RelayOptions::default()
        .with_takeover_after(Duration::from_millis(250))
        .with_backoff(backoff)
        .with_batch(32);
    let holder = format!("relay-{number}").parse().unwrap();
    let (store, bus, clock) = (world.store.clone(), world.publishing.clone(), Arc::new(SystemClock::new()));
    let relay = Relay::new("load".parse().unwrap(), holder, store, bus, clock, options).unwrap();
    let relay = relay.with_mapping(OnlyLoad(super::ByCategory::default()));
    tokio::spawn(async move {
        // Lives as long as the task.
        let (_trigger, shutdown) = ShutdownTrigger::new();
        relay.run(shutdown).await.unwrap();
    })
}

async fn consume(world: &World, effects: &Arc<AtomicU64>) -> JoinHandle<()> {
    let backoff = Backoff::doubling(Duration::from_millis(10), Duration::from_millis(200));
    let options = SubscribeOptions::new("event.load.>".parse().unwrap())
        .with_group("load".parse().unwrap())
        .with_max_attempts(10_000)
        .with_max_in_flight(16)
        .with_backoff(backoff);
    let bus = world.consuming.clone();
    // At once where that is possible: a group in one process must not be without members. A broker may be away.
    let mut joined =
        timeout(Duration::from_secs(1), bus.subscribe(options.clone())).await.ok().and_then(Result::ok);
    let clock = Arc::new(SystemClock::new());
    let inbox = Inbox::new("load".parse().unwrap(), world.effects.clone(), clock).unwrap();
    let effects = effects.clone();
    tokio::spawn(async move {
        let mut subscriber = loop {
            match joined.take() {
                Some(subscriber) => break subscriber,
                None => joined = bus.subscribe(options.clone()).await.ok(),
            }
            sleep(Duration::from_millis(20)).await;
        };
        loop {
            match one(&mut *subscriber, &inbox, &effects).await {
                Ok(()) => {}
                // What is not acknowledged comes again.
                Err(error) => assert_ne!(error.retry(), Retry::Never, "{error:?}"),
            }
        }
    })
}

async fn one(
    subscriber: &mut dyn Subscriber,
    inbox: &Inbox,
    effects: &AtomicU64,
) -> Result<(), crate::inbox::InboxError> {
    let delivery = subscriber.next().await.unwrap().expect("the bus was closed");
    if let Admission::New(admitted) = inbox.admit(delivery.message()).await? {
        let Relayed { stream, position, at, .. } = admitted.relayed().clone();
        assert!(!admitted.is_late(), "{position} of {stream} came late");
        let effect = NewEvent::json("load.effect.v1".parse().unwrap(), at, &position).unwrap();
        let stream = format!("effect/{stream}").parse().unwrap();
        let effect = Batch::new().with(StreamWrite::new(stream, ExpectedVersion::Any, vec![effect]));
        admitted.commit(effect).await?;
        effects.fetch_add(1, Ordering::AcqRel);
    }
    // That it does not reach the bus is no harm.
    let _ = delivery.ack().await;
    Ok(())
}

/// Waits for all effects, and a little longer for those that should not come.
async fn verify(world: &World, written: u64) {
    let (mut moved, mut done) = (Instant::now(), 0);
    while done < written {
        assert!(moved.elapsed() < PATIENCE, "stuck at {done} effects of {written}");
        sleep(Duration::from_millis(50)).await;
        let effects = all_effects(world).await.unwrap_or_default();
        let now = effects.values().map(Vec::len).sum::<usize>() as u64;
        if now > done {
            (moved, done) = (Instant::now(), now);
        }
    }
    sleep(Duration::from_millis(500)).await;
    for number in 0..STREAMS {
        let stream = format!("load/{number}");
        let happened: Vec<Position> =
            whole(&*world.store, &stream).await.unwrap().iter().map(|event| event.position).collect();
        let effects = all_effects(world).await.unwrap().remove(&stream).unwrap_or_default();
        assert_eq!(effects, happened, "what took effect of {stream} is not what happened there");
    }
}

async fn all_effects(world: &World) -> Option<BTreeMap<String, Vec<Position>>> {
    let mut effects = BTreeMap::new();
    for number in 0..STREAMS {
        let stream = format!("load/{number}");
        let events = whole(&*world.effects, &format!("effect/{stream}")).await?;
        effects.insert(stream, events.iter().map(|event| event.json().unwrap()).collect());
    }
    Some(effects)
}

async fn whole(store: &dyn EventStore, stream: &str) -> Option<Vec<RecordedEvent>> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Version::EMPTY, |event| event.version);
        let page = store.read_stream(&stream.parse().unwrap(), after, PageSize::default()).await.ok()?;
        if page.is_empty() {
            return Some(events);
        }
        events.extend(page);
    }
}
